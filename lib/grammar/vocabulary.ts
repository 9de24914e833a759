// A tokenizer's tokens as bytes in tries, ready to be walked together with a machine.

import { UserError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { ANY, type CharSet, type CharSet as Set, charSet, intersect, union } from "./charset.ts";
import { MOST_FREE } from "./characters.ts";

/** Nodes in preorder: a subtree is what lies between a node and its `skip`. */
export interface Trie {
  bytes: Uint8Array;
  depths: Uint16Array;
  /** The first node behind the subtree. */
  skip: Int32Array;
  /** A token that ends here, or -1; others with the same bytes follow in `twins`. */
  tokens: Int32Array;
  deepest: number;
}

export interface Vocabulary {
  /** Highest id + 1. */
  size: number;
  bytesOf(id: number): Uint8Array | undefined;
  /** The next token with the same bytes, or -1. */
  twins: Int32Array;
  all: Trie;
  /** Tokens that are not free: with a quote, a backslash, a control character or half a character in them. */
  rest: Trie;
  /** Ids of free tokens (whole characters that a JSON string can hold as they are) of at most so many characters, as bits. */
  free(characters: number): Uint32Array;
  /** Characters that can be written at all: each has a token of its own, or one for each of its bytes. */
  alphabet: CharSet;
  eosIds: readonly number[];
  /** Decoding leaves out one space before the first token (SentencePiece). */
  stripsSpace: boolean;
  /** Tokens that spell the bytes (each a character of the text), longest first. */
  spell(bytes: string): number[];
}

/** Characters that stand in JSON strings as they are. */
export const FREE: CharSet = charSet([[0x20, 0x21], [0x23, 0x5b], [0x5d, 0xd7ff], [0xe000, 0x10ffff]]);

const known = new WeakMap<Tokenizer, Vocabulary>();

/** @throws UserError where the tokenizer's tokens have no bytes (WordPiece), or it has no tokenizer.json */
export function vocabularyOf(tokenizer: Tokenizer): Vocabulary {
  let vocabulary = known.get(tokenizer);
  if (!vocabulary) known.set(tokenizer, vocabulary = readVocabulary(tokenizer));
  return vocabulary;
}

function readVocabulary(tokenizer: Tokenizer): Vocabulary {
  const { vocabSize: size, eosIds } = tokenizer, names = tokenNames(tokenizer);
  const singles = new Set(names.filter((name) => name !== undefined && name.length === 1));
  const bytewise = FOLLOWING.every((byte) => singles.has(byte));
  // Where not every byte has a token, half a character might never be finished.
  const texts = names.map((name) => name === undefined ? undefined : textOf(name));
  const usable = names.map((name, id) => bytewise || texts[id] !== undefined ? name : undefined);
  const lengths = texts.map((text) => text !== undefined && !NOT_FREE.test(text) ? [...text].length : 0);
  const free = lengths.map((length, id) => length > 0 && length <= MOST_FREE && usable[id] !== undefined);
  const ids = [...usable.keys()].filter((id) => usable[id] !== undefined)
    .sort((a, b) => usable[a]! < usable[b]! ? -1 : usable[a]! > usable[b]! ? 1 : a - b);
  const twins = new Int32Array(size).fill(-1);
  const all = buildTrie(ids, usable as string[], twins);
  const ownToken = texts.flatMap((text, id) => text && usable[id] && isOneCharacter(text) ? [text] : []);
  const written = charSet(ownToken.map((text) => [text.codePointAt(0)!, text.codePointAt(0)!]));
  const masks = new Map<number, Uint32Array>(),
    longest = lengths.reduce((most, one) => Math.max(most, one), 0);
  return {
    size,
    eosIds,
    twins,
    all,
    rest: buildTrie(ids.filter((id) => !free[id]), usable as string[], twins),
    alphabet: intersect(bytewise ? union(written, begunBy(singles)) : written, ANY),
    stripsSpace: stripsSpace(tokenizer, usable),
    bytesOf: (id) => usable[id] === undefined ? undefined : bytesOf(usable[id]!),
    free(characters) {
      const most = Math.min(characters, longest);
      let mask = masks.get(most);
      if (!mask) masks.set(most, mask = bits(size, (id) => free[id] && lengths[id] <= most));
      return mask;
    },
    spell: (bytes) => spell(all, bytes),
  };
}

/** The bytes of each token as a text of U+0000 to U+00FF; special tokens and those without bytes have none. */
function tokenNames(tokenizer: Tokenizer): (string | undefined)[] {
  const { tokenBytes, specialIds = [], bosId, eosId, padId, unkId, eosIds } = tokenizer;
  const special = new Set([...specialIds, ...eosIds, bosId, eosId, padId, unkId]);
  if (!tokenBytes) {
    throw new UserError(
      "This tokenizer's tokens have no bytes of their own (WordPiece): what it writes cannot be constrained.",
    );
  }
  return Array.from({ length: tokenizer.vocabSize }, (_, id) => {
    const bytes = special.has(id) ? undefined : tokenBytes(id);
    return bytes && bytes.length > 0 && bytes.length <= 0xffff ? String.fromCharCode(...bytes) : undefined;
  });
}

/** Bytes that go on with a character beyond ASCII: where each has a token, whatever has begun can be finished. */
const FOLLOWING = Array.from({ length: 64 }, (_, i) => String.fromCharCode(0x80 + i));

/** The characters whose first byte is one of these. */
function begunBy(bytes: ReadonlySet<string | undefined>): CharSet {
  const ranges = Array.from({ length: 0xf5 - 0xc2 }, (_, i): [number, number] | undefined => {
    const byte = 0xc2 + i, bits = byte < 0xe0 ? 6 : byte < 0xf0 ? 12 : 18;
    const from = (byte & (0x1f >> (bits / 6 - 1))) << bits;
    const least = [0x80, 0x800, 0x10000][bits / 6 - 1]; // smaller ones have fewer bytes
    return bytes.has(String.fromCharCode(byte)) ? [Math.max(from, least), from + 2 ** bits - 1] : undefined;
  });
  return charSet(ranges.filter((range) => range !== undefined));
}
const NOT_FREE = /[^ !#-[\]-\u{10ffff}]/u;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const bytesOf = (name: string) => Uint8Array.from(name, (byte) => byte.charCodeAt(0));

/** What the bytes say as UTF-8; undefined where they are no whole characters. */
function textOf(name: string): string | undefined {
  if (/^\p{ASCII}*$/u.test(name)) return name;
  try {
    return decoder.decode(bytesOf(name));
  } catch {
    return undefined;
  }
}

const isOneCharacter = (text: string) => text.length === (text.codePointAt(0)! > 0xffff ? 2 : 1);

function bits(size: number, has: (id: number) => boolean): Uint32Array {
  const mask = new Uint32Array(Math.ceil(size / 32));
  for (let id = 0; id < size; id++) if (has(id)) mask[id >> 5] |= 1 << (id & 31);
  return mask;
}

/** @param ids sorted by their names; tokens with the name of the one before are chained to it */
function buildTrie(ids: number[], names: string[], twins: Int32Array): Trie {
  const most = ids.reduce((sum, id) => sum + names[id].length, 0);
  const bytes = new Uint8Array(most), depths = new Uint16Array(most);
  const skip = new Int32Array(most), tokens = new Int32Array(most).fill(-1);
  const path: number[] = []; // the nodes above the next one
  let count = 0, before = "", last = -1, deepest = 0;
  const close = (depth: number) => {
    while (path.length > depth) skip[path.pop()!] = count;
  };
  for (const id of ids) {
    const name = names[id];
    if (name === before) {
      twins[last] = id;
      last = id;
      continue;
    }
    let shared = 0;
    while (shared < before.length && before[shared] === name[shared]) shared++;
    close(shared);
    for (let depth = shared; depth < name.length; depth++) {
      bytes[count] = name.charCodeAt(depth);
      depths[count] = depth;
      path.push(count++);
    }
    tokens[count - 1] = last = id;
    deepest = Math.max(deepest, name.length);
    before = name;
  }
  close(0);
  return {
    bytes: bytes.slice(0, count),
    depths: depths.slice(0, count),
    skip: skip.slice(0, count),
    tokens: tokens.slice(0, count),
    deepest,
  };
}

/** The longest token at each place. */
function spell({ bytes, depths, skip, tokens }: Trie, text: string): number[] {
  const spelled: number[] = [];
  for (let at = 0; at < text.length;) {
    let found = -1, length = 0;
    for (
      let node = 0, depth = 0;
      node < bytes.length && depths[node] === depth && at + depth < text.length;
    ) {
      if (bytes[node] !== text.charCodeAt(at + depth)) {
        node = skip[node];
        continue;
      }
      depth++;
      if (tokens[node] >= 0) [found, length] = [tokens[node], depth];
      node++;
    }
    if (found < 0) return spelled; // cannot be: every character of the alphabet has tokens
    spelled.push(found);
    at += length;
  }
  return spelled;
}

/** Whether a word's own space is missing where it comes first: seen in a token that has one. */
function stripsSpace(tokenizer: Tokenizer, names: readonly (string | undefined)[]): boolean {
  const id = names.findIndex((name) => name !== undefined && /^ [a-z]+$/i.test(name));
  return id >= 0 && !tokenizer.decode([id]).startsWith(" ");
}
