// Which texts were seen before, by 128 bits of each: what a stream keeps to drop repeated rows.

import { hash } from "node:crypto";
import { UserError } from "../errors.ts";

const WORDS = 4; // 32-bit words of a fingerprint
const MOST = 2 ** 29; // slots: 8 GiB

/**
 * A set of texts that keeps the first 128 bits of their SHA-256 in an open-addressing table at most three quarters full:
 * 21 to 43 bytes a text, however long it is. Two different texts among n pass for one with a probability of about
 * n^2 / 2^129: 1.5e-21 for a billion of them.
 *
 * @returns a function that says whether a text is new, and remembers it
 */
export function seenTexts(slots: number = 1024): (text: string) => boolean {
  let table = new Uint32Array(slots * WORDS);
  const words = new Uint32Array(WORDS);
  let used = 0;
  const insert = (into: Uint32Array, words: Uint32Array, from: number): boolean => {
    const mask = into.length / WORDS - 1;
    for (let slot = words[from] & mask;; slot = (slot + 1) & mask) {
      const at = slot * WORDS;
      if (into[at + 3] === 0) {
        for (let i = 0; i < WORDS; i++) into[at + i] = words[from + i];
        return true;
      }
      if (
        into[at] === words[from] && into[at + 1] === words[from + 1] && into[at + 2] === words[from + 2] &&
        into[at + 3] === words[from + 3]
      ) return false;
    }
  };
  return (text) => {
    if (used >= table.length / WORDS * 0.75) {
      if (table.length / WORDS >= MOST) {
        throw new UserError("more than 400 million distinct rows to remember.");
      }
      const larger = new Uint32Array(table.length * 2);
      for (let at = 0; at < table.length; at += WORDS) if (table[at + 3] !== 0) insert(larger, table, at);
      table = larger;
    }
    const digest = hash("sha256", text, "binary"); // a string of bytes: a Buffer each would be slow to collect
    for (let i = 0; i < WORDS; i++) words[i] = wordOf(digest, i * 4);
    words[3] ||= 1; // zero marks a free slot
    const fresh = insert(table, words, 0);
    if (fresh) used++;
    return fresh;
  };
}

function wordOf(bytes: string, at: number): number {
  return bytes.charCodeAt(at) | bytes.charCodeAt(at + 1) << 8 | bytes.charCodeAt(at + 2) << 16 |
    bytes.charCodeAt(at + 3) << 24;
}
