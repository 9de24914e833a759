// Bytes to text, piece by piece: byte order marks, UTF-8 checked strictly, latin-1 found out where that is allowed.

import { UserError } from "../errors.ts";
import { joined, type Pieces } from "./bytes.ts";

/** How bytes become text. */
export interface TextOptions {
  /** As TextDecoder names it; undefined: a byte order mark decides, else UTF-8. */
  encoding?: string;
  /** Whether bytes that are no UTF-8 may be taken for latin-1 (windows-1252) without being told. */
  guess: boolean;
}

/** A JavaScript string holds no more characters. */
export const LONGEST_TEXT: number = 2 ** 29 - 24;

/** Decodes a file; pieces never end inside a character. Errors name the line. */
export async function* decodeText(bytes: Pieces, name: string, options: TextOptions): AsyncGenerator<string> {
  const decode = { current: undefined as ((piece: Uint8Array, last: boolean) => string) | undefined };
  for await (const piece of bytes) {
    decode.current ??= decoderOf(piece, name, options);
    const text = decode.current(piece, false);
    if (text !== "") yield text;
  }
  const text = decode.current?.(new Uint8Array(), true) ?? "";
  if (text !== "") yield text;
}

function decoderOf(first: Uint8Array, name: string, { encoding, guess }: TextOptions) {
  const marked = first[0] === 0xff && first[1] === 0xfe
    ? "utf-16le"
    : first[0] === 0xfe && first[1] === 0xff
    ? "utf-16be"
    : undefined;
  const named = encoding ?? marked;
  if (named !== undefined && !/^utf-?8$/i.test(named)) return namedDecoder(named, name);
  if (first.includes(0)) {
    throw new UserError(
      `${name} holds zero bytes, so it is no UTF-8 text: give { encoding: "utf-16le" } if it is UTF-16 without a mark.`,
    );
  }
  return utf8Decoder(name, guess && encoding === undefined);
}

function namedDecoder(encoding: string, name: string): (piece: Uint8Array, last: boolean) => string {
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(encoding, { fatal: true });
  } catch {
    throw new UserError(`the encoding "${encoding}" is not known.`);
  }
  let lines = 1;
  return (piece, last) => {
    try {
      const text = decoder.decode(piece, { stream: !last });
      lines += countLines(text);
      return text;
    } catch {
      throw new UserError(`${name}, at line ${lines} or after, is not ${encoding} text: check { encoding }.`);
    }
  };
}

/**
 * UTF-8, strictly. With `guess`, a first byte above 127 that is no UTF-8 makes the file latin-1 from there on: all before it
 * was ASCII, which is the same in both. A file that mixes the two is refused.
 */
function utf8Decoder(name: string, guess: boolean): (piece: Uint8Array, last: boolean) => string {
  let utf8 = new TextDecoder("utf-8", { fatal: true });
  const later = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }); // a mark counts at the file's start only
  let carry: Uint8Array = new Uint8Array(), lines = 1, ascii = true;
  let latin: ((bytes: Uint8Array) => string) | undefined;
  return (piece, last) => {
    const whole = carry.length > 0 ? joined([carry, piece]) : piece;
    const end = last || latin ? whole.length : completeEnd(whole);
    const bytes = whole.subarray(0, end);
    carry = whole.subarray(end);
    let text: string;
    try {
      text = latin ? latin(bytes) : utf8.decode(bytes);
      ascii &&= text.length === bytes.length;
    } catch {
      const good = validLength(bytes);
      const before = utf8.decode(bytes.subarray(0, good));
      if (!guess || !ascii || before.length !== good) {
        throw notUTF8(`${name}, line ${lines + countLines(before)}`);
      }
      latin = latinDecoder(name);
      text = latin(whole);
      carry = new Uint8Array();
    }
    if (bytes.length > 0) utf8 = later;
    lines += countLines(text);
    return text;
  };
}

function notUTF8(where: string): UserError {
  return new UserError(
    `${where} is not utf-8 text: say how it is encoded, for example { encoding: "latin1" }.`,
  );
}

// A stray byte may look like UTF-8 by chance (an "É" before a closing quote), many more of them than others do not.
function latinDecoder(name: string): (bytes: Uint8Array) => string {
  const decoder = new TextDecoder("windows-1252");
  let pairs = 0, strays = 0;
  return (bytes) => {
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] < 0x80) continue;
      const pair = bytes[i] >= 0xc2 && bytes[i] <= 0xef && bytes[i + 1] >= 0x80 && bytes[i + 1] <= 0xbf;
      if (pair) [pairs, i] = [pairs + 1, i + 1];
      else strays++;
    }
    if (pairs > 3 && pairs > strays) throw notUTF8(`${name} mixes encodings: it`);
    return decoder.decode(bytes);
  };
}

// Where the last whole character of a piece ends: a lead byte among the last three may want more bytes than there are.
function completeEnd(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if (byte < 0x80) return bytes.length;
    if (byte < 0xc0) continue;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needs > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

// How many bytes from the start are whole UTF-8 characters, by halving.
function validLength(bytes: Uint8Array): number {
  let [low, high] = [0, bytes.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      low = middle;
    } catch {
      high = middle - 1;
    }
  }
  return completeEnd(bytes.subarray(0, low));
}

/** How many line ends a text holds. */
export function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

/** Complete lines, without their "\n", in blocks; `first` is the number of a block's first line, from 1. */
export interface LineBlock {
  lines: string[];
  first: number;
}

/** Cuts text into lines. A last line without an end counts when it is not empty. */
export async function* lineBlocks(text: AsyncIterable<string>, name: string): AsyncGenerator<LineBlock> {
  let open: string[] = [], length = 0, first = 1;
  for await (const piece of text) {
    length += piece.length;
    open.push(piece);
    if (!piece.includes("\n")) {
      if (length > LONGEST_TEXT) throw new UserError(`${name}, line ${first} is longer than 512 MB.`);
      continue;
    }
    const lines = open.join("").split("\n");
    open = [lines.pop()!];
    length = open[0].length;
    yield { lines, first };
    first += lines.length;
  }
  const last = open.join("");
  if (last !== "") yield { lines: [last], first };
}
