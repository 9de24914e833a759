// The bytes that each token stands for, by the kind of its tokenizer: what turns places in a text into tokens, and back.

import { isObject, type JsonObject } from "./files.ts";
import { tokenIds, type TokenizerJson } from "./tokenizer_json.ts";

/** A function that gives the bytes of a token; undefined for kinds whose tokens do not tell them (WordPiece). */
export function tokenBytes(json: TokenizerJson): ((id: number) => Uint8Array | undefined) | undefined {
  if (json.model.type === "WordPiece") return undefined;
  const byteLevel = [json.decoder, json.pre_tokenizer].some((part) => holds(part, "ByteLevel"));
  const added = new Set(json.added_tokens.map((token) => token.id));
  const known = new Map<number, Uint8Array>();
  let names: Map<number, string> | undefined; // only when first asked: it takes some milliseconds
  return (id) => {
    const before = known.get(id);
    if (before) return before;
    names ??= new Map([...tokenIds(json)].map(([name, at]) => [at, name]));
    const name = names.get(id);
    if (name === undefined) return undefined;
    const bytes = added.has(id) ? encoder.encode(name) : byteLevel ? byteLevelBytes(name) : pieceBytes(name);
    known.set(id, bytes);
    return bytes;
  };
}

const encoder = new TextEncoder();

/** GPT-2's alphabet: printable bytes are themselves, the other 68 follow behind U+0100 in their order. */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 256;
  const printable = (byte: number) => byte > 32 && byte < 127 || byte > 160 && byte !== 173;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();
const BYTE_OF = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

function byteLevelBytes(name: string): Uint8Array {
  const bytes = [...name].map((character) => BYTE_OF.get(character));
  return bytes.includes(undefined) ? encoder.encode(name) : Uint8Array.from(bytes as number[]);
}

// SentencePiece's: "▁" is a space, <0x0A> a byte.
function pieceBytes(name: string): Uint8Array {
  const byte = /^<0x([0-9A-F]{2})>$/.exec(name);
  return byte ? Uint8Array.of(parseInt(byte[1], 16)) : encoder.encode(name.replaceAll("▁", " "));
}

function holds(part: unknown, type: string): boolean {
  if (!isObject(part)) return false;
  const inner = [part.decoders, part.pretokenizers].flatMap((list) =>
    Array.isArray(list) ? list as JsonObject[] : []
  );
  return part.type === type || inner.some((one) => holds(one, type));
}

/**
 * Where each token ends in the bytes of its text, or undefined where the tokenizer changed the text (normalised it, or did
 * not know a character). A space that the tokenizer itself puts in front of words takes no place; white space that a
 * special token swallows belongs to it.
 */
export function tokenEnds(
  bytes: Uint8Array,
  ids: ArrayLike<number>,
  bytesOf: (id: number) => Uint8Array | undefined,
): Int32Array | undefined {
  const ends = new Int32Array(ids.length);
  let at = 0;
  for (let i = 0; i < ids.length; i++) {
    const token = bytesOf(ids[i]);
    if (!token) return undefined;
    let next = after(bytes, at, token);
    for (let skip = at; next < 0 && isSpace(bytes[skip]); skip++) {
      next = after(bytes, skip + 1, token);
    }
    if (next < 0) return undefined;
    ends[i] = at = next;
  }
  while (isSpace(bytes[at])) at++;
  if (at !== bytes.length) return undefined;
  if (ends.length > 0) ends[ends.length - 1] = at;
  return ends;
}

function after(bytes: Uint8Array, at: number, token: Uint8Array): number {
  if (startsWith(bytes, at, token, 0)) return at + token.length;
  return token[0] === 32 && startsWith(bytes, at, token, 1) ? at + token.length - 1 : -1;
}

function startsWith(bytes: Uint8Array, at: number, token: Uint8Array, from: number): boolean {
  if (at + token.length - from > bytes.length) return false;
  for (let i = from; i < token.length; i++) if (bytes[at + i - from] !== token[i]) return false;
  return true;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 32 || byte !== undefined && byte >= 9 && byte <= 13;
}
