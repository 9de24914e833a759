// Files and folders are written whole or not at all: under a temporary name beside the target, flushed to disk, renamed.

import { basename, dirname, join } from "@std/path";
import { UserError } from "../errors.ts";
import { exists } from "./exists.ts";
import { fileError } from "./file_error.ts";

/** What a file can be written from: bytes, text, or pieces that come one after another (so the whole never is in memory). */
export type FileContent = Uint8Array | string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Options of {@linkcode writeFileAtomic}. */
export interface WriteOptions {
  /** Replace a file that is already there (default true); false makes that an error. */
  overwrite?: boolean;
}

/**
 * Writes a file so that nobody ever sees half of it: on any failure the old file stays as it was and the temporary file
 * is removed. The folder must exist.
 *
 * @param path where the file goes
 * @param content its bytes: at once, as text (UTF-8), or in pieces
 * @param options `overwrite: false` refuses to replace an existing file
 * @throws UserError when the folder is missing, permission is missing, or the file exists and may not be replaced
 */
export async function writeFileAtomic(
  path: string,
  content: FileContent,
  options: WriteOptions = {},
): Promise<void> {
  const overwrite = options.overwrite ?? true;
  if (!overwrite) await refuseExisting(path);
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    await writePieces(temporary, content);
    if (!overwrite) await refuseExisting(path); // it may have appeared while a long stream was written
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw fileError(error, path, "write");
  }
}

/**
 * As {@linkcode writeFileAtomic}, for functions that cannot wait: replaces what is there.
 *
 * @throws UserError as writeFileAtomic
 */
export function writeFileAtomicSync(path: string, content: Uint8Array): void {
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    writeFlushedSync(temporary, content);
    Deno.renameSync(temporary, path);
  } catch (error) {
    try {
      Deno.removeSync(temporary);
    } catch { /* it was never made */ }
    throw fileError(error, path, "write");
  }
}

function writeFlushedSync(path: string, content: Uint8Array): void {
  using file = Deno.openSync(path, { write: true, createNew: true });
  for (let done = 0; done < content.length;) done += file.writeSync(content.subarray(done));
  file.syncSync();
}

async function writePieces(path: string, content: FileContent): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  for await (const piece of pieces(content)) {
    for (let done = 0; done < piece.length;) done += await file.write(piece.subarray(done));
  }
  await file.sync();
}

function pieces(content: FileContent): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof content === "string") return [new TextEncoder().encode(content)];
  return content instanceof Uint8Array ? [content] : content;
}

async function refuseExisting(path: string): Promise<void> {
  if (await exists(path)) {
    throw new UserError(`${path} exists already: choose another name, or allow it to be overwritten.`);
  }
}

/** A temporary name, of a file or (with a dot before it) a folder: whatever else lies there is not touched. */
const LEFTOVER = /^(\.?)(.+)\.[0-9a-f]{8}\.tmp$/;

const temporaryName = (folder: string): string =>
  join(dirname(folder), `.${basename(folder)}.${crypto.randomUUID().slice(0, 8)}.tmp`);

/**
 * Makes a folder that is there with all its files or not at all: `fill` writes them (each flushed to disk) under a
 * temporary name beside it. On any failure nothing stays behind. The folder above must exist, the folder itself not.
 *
 * @throws UserError when the folder exists or cannot be written; whatever `fill` throws
 */
export async function writeFolder(
  folder: string,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  await refuseExisting(folder);
  const temporary = temporaryName(folder);
  try {
    await Deno.mkdir(temporary);
    await fill(temporary);
    await syncFolder(temporary);
    await Deno.rename(temporary, folder);
    await syncFolder(dirname(folder));
  } catch (error) {
    await Deno.remove(temporary, { recursive: true }).catch(() => {});
    if (!(error instanceof UserError)) throw fileError(error, folder, "write");
    throw new UserError(error.message.replaceAll(temporary, folder)); // the name that the user knows
  }
}

/** Removes a folder so that nobody ever sees half of it: renamed first. */
export async function removeFolder(folder: string): Promise<void> {
  const temporary = temporaryName(folder);
  try {
    await Deno.rename(folder, temporary);
    await Deno.remove(temporary, { recursive: true });
  } catch (error) {
    throw fileError(error, folder, "write");
  }
}

/** Removes what the functions here left when they were killed, for targets whose names `ours` knows. */
export async function removeLeftovers(parent: string, ours: (name: string) => boolean): Promise<void> {
  try {
    for (const { name, isDirectory } of await Array.fromAsync(Deno.readDir(parent))) {
      const [, dot, target] = LEFTOVER.exec(name) ?? [];
      if (target === undefined || !ours(target) || isDirectory !== (dot === ".")) continue;
      await Deno.remove(join(parent, name), { recursive: true });
    }
  } catch (error) {
    throw fileError(error, parent, "write");
  }
}

/** New names survive a power cut only when their folder is flushed too; Windows has no such call. */
async function syncFolder(folder: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using handle = await Deno.open(folder);
  await handle.sync();
}
