// Texts as sets of hashed runs of words, which is what near-duplicates and leaked test rows are found by.

import { UserError } from "../errors.ts";
import { atRow } from "./row.ts";

/** A field's name, or a function that gives the text which rows are compared by. */
export type TextKey<T> = (keyof T & string) | ((row: T) => string);

/** The texts of rows by their key. */
export function textsOf<T>(rows: Iterable<T>, key: TextKey<T>, name: string): string[] {
  return Array.from(rows, (row, i) =>
    atRow(name, i, () => {
      const value: unknown = typeof key === "function" ? key(row) : row[key];
      if (typeof value === "string") return value;
      if (typeof value === "number") return String(value);
      const what = value === undefined ? "missing" : value === null ? "null" : `of type ${typeof value}`;
      throw new UserError(
        `${typeof key === "function" ? "its key" : `field "${key}"`} is ${what}: rows are compared by text.`,
      );
    }));
}

const UNSPACED =
  "\\p{sc=Han}\\p{sc=Hiragana}\\p{sc=Katakana}\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Khmer}\\p{sc=Myanmar}";
const HAS_UNSPACED = new RegExp(`[${UNSPACED}]`, "u");
const WORD = /[\p{L}\p{M}\p{N}]+/gu;
const WORD_OR_CHARACTER = new RegExp(`[${UNSPACED}]|(?:(?![${UNSPACED}])[\\p{L}\\p{M}\\p{N}])+`, "gu");

/**
 * The words of a text: runs of letters and digits in lower case; of scripts without spaces every character. Punctuation
 * and white space do not count.
 */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(HAS_UNSPACED.test(text) ? WORD_OR_CHARACTER : WORD) ?? [];
}

/**
 * The distinct runs of `ngram` words as 53-bit hashes in ascending order. A text of fewer words is one run, which equals
 * only that of a text of the same words; a text without a word is one run of its characters.
 */
export function shingles(text: string, ngram: number): Float64Array {
  const words = wordsOf(text);
  if (words.length === 0) return Float64Array.of(hashRun([`\0${text.trim()}`], 0, 1));
  const size = Math.min(ngram, words.length);
  const [low, high] = wordHashes(words);
  const runs = new Float64Array(words.length - size + 1);
  for (let at = 0; at < runs.length; at++) runs[at] = combine(low, high, at, size);
  return distinct(runs.sort());
}

function hashRun(words: string[], at: number, size: number): number {
  const [low, high] = wordHashes(words);
  return combine(low, high, at, size);
}

/** Two independent 32-bit hashes of every word. */
function wordHashes(words: string[]): [Int32Array, Int32Array] {
  const low = new Int32Array(words.length), high = new Int32Array(words.length);
  for (let w = 0; w < words.length; w++) {
    const word = words[w];
    let a = 0x811c9dc5 | 0, b = 0x9e3779b9 | 0;
    for (let i = 0; i < word.length; i++) {
      const code = word.charCodeAt(i);
      a = Math.imul(a ^ code, 0x01000193);
      b = Math.imul(b + code, 0x85ebca6b) ^ (b >>> 15);
    }
    low[w] = mix32(a);
    high[w] = mix32(b);
  }
  return [low, high];
}

/** The hash of `size` words from `at` on: 32 bits of one kind and 21 of another. */
function combine(low: Int32Array, high: Int32Array, at: number, size: number): number {
  let a = size, b = ~size;
  for (let i = at; i < at + size; i++) {
    a = Math.imul(a, 0x9e3779b1) + low[i] | 0;
    b = Math.imul(b, 0x85ebca77) + high[i] | 0;
  }
  return (mix32(a) >>> 0) + (mix32(b) >>> 11) * 2 ** 32;
}

/** Chris Wellons' lowbias32: every bit of the argument changes every bit of the result. */
export function mix32(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}

function distinct(sorted: Float64Array): Float64Array {
  let count = 0;
  for (let i = 0; i < sorted.length; i++) {
    if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[count++] = sorted[i];
  }
  return sorted.slice(0, count);
}

/** Jaccard's similarity of two sets: what they share over what they hold together. */
export function jaccard(a: Float64Array, b: Float64Array): number {
  let i = 0, j = 0, shared = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      shared++;
      i++;
      j++;
    } else if (a[i] < b[j]) i++;
    else j++;
  }
  return shared / (a.length + b.length - shared);
}
