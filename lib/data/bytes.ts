// A data file as pieces of bytes: from disk or the web, unpacked where it is gzip, never more than the declared limits.

import { createGunzip } from "node:zlib";
import { Readable } from "node:stream";
import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";
import { formatBytes } from "../report/format.ts";
import { download, isURL } from "./download.ts";

/** How much a file may hold once it is unpacked. */
export interface ByteLimits {
  /** The most bytes that are read from one file, counted after unpacking. */
  maxBytes: number;
  /** How many times its own size a compressed file may unpack to. */
  maxExpansion: number;
}

/** Bytes in pieces, one after another. */
export type Pieces = AsyncIterable<Uint8Array>;

const PIECE = 2 ** 18; // large enough that per-piece work vanishes, small enough that memory does not notice
const FREE_EXPANSION = 2 ** 26; // a small file may always unpack to 64 MiB

/** The bytes of a file or URL in pieces of some 256 KB; gzip is recognised by its first bytes, whatever the name says. */
export async function* openBytes(path: string, limits: ByteLimits): AsyncGenerator<Uint8Array> {
  const packed = { bytes: 0 };
  const source = regroup(counted(isURL(path) ? download(path, limits.maxBytes) : filePieces(path), packed));
  const first = await source.next();
  if (first.done) return;
  refusePointer(first.value, path);
  const rest = chain([first.value], source);
  const gzip = first.value[0] === 0x1f && first.value[1] === 0x8b;
  let total = 0;
  for await (const piece of gzip ? regroup(gunzip(rest, path)) : rest) {
    total += piece.length;
    if (total > limits.maxBytes) throw tooLarge(path, limits.maxBytes);
    if (gzip) checkExpansion(path, total, packed.bytes, limits);
    yield piece;
  }
}

/** Refuses a compressed file that unpacks to more than its size times the limit. */
export function checkExpansion(path: string, unpacked: number, packed: number, limits: ByteLimits): void {
  if (unpacked <= Math.max(FREE_EXPANSION, packed * limits.maxExpansion)) return;
  throw new UserError(
    `${path} unpacks to more than ${limits.maxExpansion} times its size, which no ordinary data does; raise { maxExpansion } if it is to be trusted.`,
  );
}

/** Refuses the few lines that stand for a file in a git repository that was cloned without its large files. */
export function refusePointer(start: Uint8Array, path: string): void {
  if (
    !new TextDecoder().decode(start.subarray(0, 40)).startsWith("version https://git-lfs.github.com/spec/")
  ) return;
  throw new UserError(
    `${path} is not the file itself but git's pointer to it: run "git lfs pull" in its folder, or load it by its name on the Hub.`,
  );
}

/** The complaint about a file beyond `maxBytes`. */
export function tooLarge(path: string, maxBytes: number): UserError {
  return new UserError(
    `${path} holds more than ${
      formatBytes(maxBytes)
    }: read it in pieces with streamDataset(), or raise { maxBytes }.`,
  );
}

/** The pieces in one array, for formats that need to jump about. */
export async function gather(pieces: Pieces): Promise<Uint8Array<ArrayBuffer>> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return joined(all);
}

/** One array of several. */
export function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Things that were taken from a generator already, then what is left of it; closes it in any case. */
export async function* chain<T>(taken: Iterable<T>, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  try {
    yield* taken;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

async function* filePieces(path: string): AsyncGenerator<Uint8Array> {
  try {
    using file = await Deno.open(path);
    while (true) {
      const buffer = new Uint8Array(PIECE);
      const count = await file.read(buffer);
      if (count === null) return;
      yield buffer.subarray(0, count);
    }
  } catch (error) {
    throw fileError(error, path, "read");
  }
}

async function* counted(pieces: Pieces, seen: { bytes: number }): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    seen.bytes += piece.length;
    yield piece;
  }
}

// Networks and zlib give pieces of a few KB, down to one byte: joined, so that the first shows a byte order mark whole.
async function* regroup(pieces: Pieces): AsyncGenerator<Uint8Array> {
  let group: Uint8Array[] = [], size = 0;
  for await (const piece of pieces) {
    group.push(piece);
    size += piece.length;
    if (size < PIECE) continue;
    yield group.length === 1 ? piece : joined(group);
    [group, size] = [[], 0];
  }
  if (size > 0) yield joined(group);
}

// node:zlib and not DecompressionStream: only it reads files of several members, as pigz and bgzip write them.
async function* gunzip(pieces: Pieces, path: string): AsyncGenerator<Uint8Array> {
  const unzip = createGunzip();
  const input = Readable.from(pieces);
  input.on("error", (error) => unzip.destroy(error));
  try {
    for await (const piece of input.pipe(unzip)) yield piece;
  } catch (error) {
    if (!/^Z_/.test((error as { code?: string }).code ?? "")) throw error;
    throw new UserError(`${path} is damaged or cut short: gzip says "${(error as Error).message}".`);
  } finally {
    input.destroy();
    unzip.destroy();
  }
}
