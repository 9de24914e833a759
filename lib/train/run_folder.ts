// The folder of a run: checkpoint-<step> folders, of which the last few and the best are kept, and one process at a time.
import { join } from "@std/path";
import { UserError } from "../errors.ts";
import { removeFolder, removeLeftovers } from "../formats/atomic.ts";
import { fileError } from "../formats/file_error.ts";

const CHECKPOINT = /^checkpoint-(\d{1,15})$/;

/** The log's name in the folder. */
export const LOG = "log.jsonl";

export const checkpointPath = (out: string, step: number): string => join(out, `checkpoint-${step}`);

/** Makes the folder, takes it for this process, and clears away what a killed run left half written. */
export async function openRunFolder(out: string): Promise<{ close(): void }> {
  let lock: Deno.FsFile;
  try {
    await Deno.mkdir(out, { recursive: true });
    lock = await Deno.open(join(out, ".lock"), { write: true, create: true });
  } catch (error) {
    throw fileError(error, out, "write");
  }
  // The system gives the lock back when a process ends in whatever way. A file system without locks is taken on trust.
  if (await lock.tryLock(true).catch(() => true)) {
    try {
      await removeLeftovers(out, (name) => name === LOG || CHECKPOINT.test(name));
      return { close: () => lock.close() };
    } catch (error) {
      lock.close();
      throw error;
    }
  }
  lock.close();
  throw new UserError(`Another process is training into ${out}: let it end, or choose another folder.`);
}

/** Steps of the checkpoints in the folder, ascending. */
export async function checkpointSteps(out: string): Promise<number[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(out));
    return entries.flatMap(({ name }) => CHECKPOINT.exec(name)?.[1] ?? []).map(Number).sort((a, b) => a - b);
  } catch (error) {
    throw fileError(error, out, "read");
  }
}

/** Removes all checkpoints but the last `keep` and the best. */
export async function prune(out: string, keep: number, best: number | undefined): Promise<void> {
  const steps = await checkpointSteps(out);
  for (const step of steps.slice(0, -keep)) if (step !== best) await removeFolder(checkpointPath(out, step));
}

/**
 * The checkpoint to go on from, or undefined for a new run.
 *
 * @param out undefined: nothing is saved
 * @param resume see RunOptions
 */
export async function findStart(
  out: string | undefined,
  resume: boolean | string,
): Promise<string | undefined> {
  if (out === undefined) {
    if (typeof resume === "string" && resume !== "auto") return resume;
    if (resume) {
      throw new UserError("resume needs `out`, the folder of the run, or the path of a checkpoint.");
    }
    return undefined;
  }
  const steps = await checkpointSteps(out), newest = steps.at(-1);
  if (typeof resume === "string" && resume !== "auto") {
    await refuseNewer(out, resume, newest);
    return resume;
  }
  if (newest === undefined) {
    if (resume === true) {
      throw new UserError(`${out} holds no checkpoint to go on from: resume "auto" begins anew then.`);
    }
    return undefined;
  }
  if (resume) return checkpointPath(out, newest);
  throw new UserError(
    `${out} already holds checkpoint-${newest}: go on from it with resume, or choose another folder.`,
  );
}

/** A run that goes on from an older checkpoint would come upon the later ones, which are of another course. */
async function refuseNewer(out: string, from: string, newest: number | undefined): Promise<void> {
  if (newest === undefined) return;
  const path = (folder: string) =>
    Deno.realPath(folder).catch((error) => Promise.reject(fileError(error, folder, "read")));
  if (await path(from) === await path(checkpointPath(out, newest))) return;
  throw new UserError(
    `${out} holds checkpoint-${newest}, which a run from ${from} would come upon: move the later checkpoints away, or ` +
      "choose another folder as `out`.",
  );
}
