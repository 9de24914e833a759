// The log of a run: one JSON object a line, appended as it happens, so that a killed process leaves whole lines; and the
// same numbers as TensorBoard's events where asked for.
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { fileError } from "../formats/file_error.ts";
import { openEvents } from "./tensorboard.ts";

const KINDS: unknown[] = ["start", "step", "evaluation", "checkpoint", "resume", "end"];

/**
 * A line of a run's log. `start` and `end` frame a run; `step` carries loss, gradNorm, learningRate, tokens,
 * tokensPerSecond (the mean of this process until then) and memory (bytes resident in it); `evaluation` the loss on
 * held-out rows, epoch and best; `checkpoint` says that one was saved, `resume` that the run went on from one. Further fields
 * are kept as they are.
 */
export type LogEntry = {
  /** What happened. */
  kind: "start" | "step" | "evaluation" | "checkpoint" | "resume" | "end";
  /** Optimizer steps done by then. */
  step: number;
  /** When, in seconds since 1970. */
  time: number;
  /** Anything else; numbers that are not finite are stored as the words "NaN", "Infinity" and "-Infinity". */
  [field: string]: number | string | boolean | undefined;
};

/** Options of {@linkcode openRunLog}. */
export interface RunLogOptions {
  /** A folder (made where missing) for an event file that TensorBoard shows while the run goes on. */
  tensorBoard?: string;
  /** Go on with a log that is there, from this step on: entries of later steps are dropped, as the run repeats them. */
  resumeAt?: number;
}

/** An open log. */
export interface RunLog {
  /** Appends a line; those of checkpoints and of the end are flushed to the disk with all before them. */
  write(entry: LogEntry): void;
  /** Closes the files; a second call does nothing. */
  close(): void;
}

/**
 * Opens a log for writing. With `resumeAt` the file goes on: a torn last line and the entries of later steps are dropped, and
 * a step or an evaluation that is in the file already is not written twice. A file that is not there is made.
 *
 * @param path of the file, by habit log.jsonl; its folder must exist
 * @throws UserError when the file is there and `resumeAt` is not given, is no log, or may not be written
 *
 * @example
 * ```ts
 * import { openRunLog, readRunLog } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const path = await Deno.makeTempDir() + "/log.jsonl";
 * const log = await openRunLog(path);
 * log.write({ kind: "step", step: 1, time: Date.now() / 1000, loss: 2.5, gradNorm: 0.8 });
 * log.close();
 * assert.equal((await readRunLog(path))[0].loss, 2.5);
 * ```
 */
export async function openRunLog(path: string, options: RunLogOptions = {}): Promise<RunLog> {
  const { tensorBoard, resumeAt } = options;
  if (resumeAt !== undefined && !(resumeAt >= 0)) {
    throw new UserError(`resumeAt is ${resumeAt}; it must be a step, 0 or more.`);
  }
  const written = await readyFile(path, resumeAt);
  const last = (kind: string) =>
    written.reduce((step, entry) => entry.kind === kind ? Math.max(step, entry.step) : step, -1);
  const repeated: Record<string, number> = { step: last("step"), evaluation: last("evaluation") };
  const file = openToAppend(path);
  const events = tensorBoard === undefined ? undefined : await openEvents(tensorBoard, resumeAt);
  let open = true;
  return {
    write(entry) {
      if (entry.step <= (repeated[entry.kind] ?? -1)) return;
      try {
        append(file, JSON.stringify(entry, (_, value) => storable(value)) + "\n");
        if (entry.kind === "checkpoint" || entry.kind === "end") file.syncSync();
      } catch (error) {
        throw fileError(error, path, "write");
      }
      events?.write(entry);
    },
    close() {
      if (!open) return;
      open = false;
      file.close();
      events?.close();
    },
  };
}

/** Makes the file fit to be appended to; returns the entries that stay. */
async function readyFile(path: string, resumeAt: number | undefined): Promise<LogEntry[]> {
  const bytes = await Deno.readFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return new Uint8Array();
    throw fileError(error, path, "read");
  });
  if (bytes.length === 0) return [];
  if (resumeAt === undefined) {
    throw new UserError(
      `${path} holds the log of another run: go on with that run (resume), remove the file, or choose another.`,
    );
  }
  const kept = parseLines(bytes, path).filter(({ entry }) => entry.step <= resumeAt);
  const text = kept.map(({ line }) => line + "\n").join("");
  const whole = new TextEncoder().encode(text);
  if (whole.length !== bytes.length) await writeFileAtomic(path, whole);
  return kept.map(({ entry }) => entry);
}

function openToAppend(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { append: true, create: true });
  } catch (error) {
    throw fileError(error, path, "write");
  }
}

/** One write a line: the system finishes it even if the process is killed meanwhile. */
function append(file: Deno.FsFile, line: string): void {
  const bytes = new TextEncoder().encode(line);
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}

/** JSON has no word for these numbers, and would write null. */
const storable = (value: unknown) =>
  typeof value === "number" && !Number.isFinite(value) ? String(value) : value;

const NOT_FINITE = new Map<unknown, number>([NaN, Infinity, -Infinity].map((value) => [`${value}`, value]));

/**
 * Reads the log of a run, finished, killed or still going on. A torn last line (the machine went down while it was written)
 * is left out.
 *
 * @param path of the file that `openRunLog` wrote
 * @throws UserError naming file and line where a line is no entry of a log
 *
 * @example
 * ```ts
 * import { readRunLog } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const path = await Deno.makeTempFile({ suffix: ".jsonl" });
 * await Deno.writeTextFile(path, '{"kind":"step","step":1,"time":1.7e9,"loss":"NaN"}\n{"kind":"st');
 * assert.deepEqual(await readRunLog(path), [{ kind: "step", step: 1, time: 1.7e9, loss: NaN }]);
 * ```
 */
export async function readRunLog(path: string): Promise<LogEntry[]> {
  const bytes = await Deno.readFile(path).catch((error) => {
    throw fileError(error, path, "read");
  });
  return parseLines(bytes, path).map(({ entry }) => entry);
}

function parseLines(bytes: Uint8Array, path: string): { line: string; entry: LogEntry }[] {
  const lines: { line: string; entry: LogEntry }[] = [];
  const decoder = new TextDecoder();
  for (let start = 0, number = 1; start < bytes.length; number++) {
    const end = bytes.indexOf(10, start);
    const line = decoder.decode(bytes.subarray(start, end < 0 ? bytes.length : end));
    start = end < 0 ? bytes.length : end + 1;
    const entry = parseEntry(line);
    if (entry) lines.push({ line, entry });
    else if (end >= 0) throw new UserError(`${path}, line ${number} is no entry of a run's log.`);
  }
  return lines;
}

function parseEntry(line: string): LogEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const entry = Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, NOT_FINITE.get(field) ?? field]),
  );
  const { kind, step, time } = entry;
  const plain = Object.values(entry).every((field) => ["number", "string", "boolean"].includes(typeof field));
  const valid = plain && KINDS.includes(kind) && Number.isInteger(step) && step >= 0 && Number.isFinite(time);
  return valid ? entry as LogEntry : undefined;
}
