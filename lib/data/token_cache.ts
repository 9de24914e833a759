// Tokenized blocks on disk, each in a file named after the hash of all that its tokens depend on.

import { join } from "@std/path";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { UserError } from "../errors.ts";
import { writeFileAtomicSync } from "../formats/atomic.ts";
import { fileError } from "../formats/file_error.ts";
import type { TokenBlock } from "./token_rows.ts";

/** Raise it whenever the file's layout changes, or what tokens or labels the same text gets. */
const VERSION = 1;
const MAGIC = "fintune tokens\r\n";
// magic, version, rows, tokens, width of an id in bytes, 1 where labels are ids of their own and 2 more where rows have answers, truncated, dropped, SHA-256 of the rest
const HEADER_BYTES = 16 + 7 * 4 + 32 + 4;

/** A folder of tokenized blocks. */
export interface TokenCache {
  /** The block with this key; undefined where there is none, or where its file is damaged. */
  read(key: string): TokenBlock | undefined;
  /** Keeps a block. Where the disk does not take it, that is said once, and nothing is lost but time. */
  write(key: string, block: TokenBlock): void;
}

/** The name of a block: SHA-256 of the parts as JSON. Texts stand in it whole, so that other texts have another name. */
export function blockKey(...parts: unknown[]): string {
  return createHash("sha256").update(JSON.stringify([VERSION, ...parts])).digest("hex");
}

/** Opens the folder, which is made with the first block; `true` is {@linkcode defaultCacheFolder}. */
export function openTokenCache(folder: string | true): TokenCache {
  const root = folder === true ? defaultCacheFolder() : folder;
  let complained = false;
  const pathOf = (key: string) => join(root, `${key}.tokens`);
  return {
    read(key) {
      try {
        return decodeBlock(Deno.readFileSync(pathOf(key)));
      } catch (error) {
        if (error instanceof Deno.errors.NotCapable) throw fileError(error, pathOf(key), "read");
        return undefined; // unreadable is as good as absent: tokenized again, and written anew
      }
    },
    write(key, block) {
      try {
        Deno.mkdirSync(root, { recursive: true });
        writeFileAtomicSync(pathOf(key), encodeBlock(block));
      } catch (error) {
        if (error instanceof Deno.errors.NotCapable) throw fileError(error, root, "write");
        if (!complained) console.warn(`tokens are not cached in ${root}: ${(error as Error).message}`);
        complained = true;
      }
    },
  };
}

/**
 * Where this system keeps what can be made again: $XDG_CACHE_HOME/fintune/tokens, ~/.cache/fintune/tokens,
 * ~/Library/Caches/... on macOS, %LOCALAPPDATA%\... on Windows.
 */
export function defaultCacheFolder(): string {
  try {
    const named = Deno.env.get(Deno.build.os === "windows" ? "LOCALAPPDATA" : "XDG_CACHE_HOME");
    const home = named ? undefined : Deno.env.get("HOME");
    const base = named || home && join(home, Deno.build.os === "darwin" ? "Library/Caches" : ".cache");
    if (base) return join(base, "fintune", "tokens");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    throw new UserError(
      'cache: true needs to know your cache folder (--allow-env=XDG_CACHE_HOME,HOME); or name one: { cache: "folder" }.',
    );
  }
  throw new UserError('this system names no cache folder (HOME is not set); name one: { cache: "folder" }.');
}

/** A block as a file: header, starts, rows, ids, labels; numbers with their lowest byte first. */
export function encodeBlock(
  { ids, starts, rows, answers = new Uint32Array(), labels, truncated, dropped }: TokenBlock,
): Uint8Array<ArrayBuffer> {
  const bytes = (part: Uint8Array | Uint16Array | Uint32Array | Int32Array) =>
    Buffer.from(part.buffer, part.byteOffset, part.byteLength);
  const padding = Buffer.alloc(-ids.byteLength & 3);
  const body = Buffer.concat([...[starts, rows, answers, ids].map(bytes), padding, bytes(labels)]);
  const own = (labels instanceof Int32Array ? 1 : 0) + (answers.length > 0 ? 2 : 0);
  const file = new Uint8Array(HEADER_BYTES + body.length);
  file.set(new TextEncoder().encode(MAGIC));
  const header = [VERSION, rows.length, ids.length, ids.BYTES_PER_ELEMENT, own, truncated, dropped];
  new Uint32Array(file.buffer, 16, 7).set(header);
  file.set(body, HEADER_BYTES);
  file.set(checksum(file), 16 + 7 * 4);
  return file;
}

/** The block of a file, or undefined where anything about the file is not as it was written. */
export function decodeBlock(file: Uint8Array<ArrayBuffer>): TokenBlock | undefined {
  if (file.length < HEADER_BYTES || new TextDecoder().decode(file.subarray(0, 16)) !== MAGIC) {
    return undefined;
  }
  const [version, rowCount, tokens, width, own, truncated, dropped] = new Uint32Array(
    file.buffer,
    file.byteOffset + 16,
    7,
  );
  if (version !== VERSION || (width !== 2 && width !== 4) || own > 3) return undefined;
  const idBytes = (tokens * width + 3) & ~3;
  const labelBytes = own & 1 ? tokens * 4 : Math.ceil(tokens / 8);
  const sizes = [(rowCount + 1) * 4, rowCount * 4, own & 2 ? rowCount * 4 : 0, idBytes, labelBytes];
  if (file.length !== sizes.reduce((sum, size) => sum + size, HEADER_BYTES)) return undefined;
  const written = file.subarray(16 + 7 * 4, 16 + 7 * 4 + 32);
  if (checksum(file).some((byte, i) => byte !== written[i])) return undefined;
  let at = file.byteOffset + HEADER_BYTES;
  const next = (bytes: number) => (at += bytes) - bytes;
  const starts = new Uint32Array(file.buffer, next(sizes[0]), rowCount + 1);
  const rows = new Uint32Array(file.buffer, next(sizes[1]), rowCount);
  const answers = new Uint32Array(file.buffer, next(sizes[2]), sizes[2] / 4);
  const ids = new (width === 2 ? Uint16Array : Int32Array)(file.buffer, next(idBytes), tokens);
  const labels = own & 1 ? new Int32Array(file.buffer, next(labelBytes), tokens) : file.subarray(-labelBytes);
  const paired = own & 2 ? { answers } : {};
  const block: TokenBlock = { ids, starts, rows, ...paired, labels, truncated, dropped };
  return isSound(block) ? block : undefined;
}

/** SHA-256 of the numbers of the header and of all that follows it. */
function checksum(file: Uint8Array): Uint8Array {
  return createHash("sha256").update(file.subarray(16, 16 + 7 * 4)).update(file.subarray(HEADER_BYTES))
    .digest();
}

/** A checksum shows that a file is whole, not that it makes sense: rows lie behind one another, ids are not negative. */
function isSound({ ids, starts, rows, answers, labels }: TokenBlock): boolean {
  return starts[0] === 0 && starts.at(-1) === ids.length &&
    rows.every((row, i) => starts[i] < starts[i + 1] && (i === 0 || row > rows[i - 1])) &&
    (answers ?? []).every((at, row) => starts[row] < at && at < starts[row + 1]) &&
    ids.every((id: number) => id >= 0) &&
    (labels instanceof Uint8Array || labels.every((label) => label >= 0 || label === -100));
}
