// Half a character inside a text: which bytes of UTF-8 or of an escape can follow, and what they come to.

import { NO_WAY, type Ways } from "./frame.ts";

/** Half a character: nothing, some bytes of UTF-8, or some of an escape (\\n, \\u00e9, two for characters beyond U+FFFF). */
export type Half =
  | { kind: "none" }
  | { kind: "bytes"; code: number; left: number; least: number }
  // Whichever bytes follow, the text goes on from the same state, which is then the frame's: one state for thousands of halves.
  | { kind: "any"; left: number }
  | { kind: "escape" }
  | { kind: "hex"; unit: number; digits: number; high: number }
  | { kind: "second" | "secondU"; high: number };

export const NONE: Half = { kind: "none" };
export const ESCAPED: Record<number, number | undefined> = {
  0x22: 0x22,
  0x2f: 0x2f,
  0x5c: 0x5c,
  0x62: 8,
  0x66: 12,
  0x6e: 10,
  0x72: 13,
  0x74: 9,
};
export type Within = (next: Half, ...ranges: [lo: number, hi: number][]) => Ways;

/** UTF-8's first byte says how many follow; what a shorter form could write is refused by `least`. */
export function firstByte(byte: number, within: Within): Ways {
  const left = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
  if (byte < 0xc2 || byte > 0xf4) return NO_WAY;
  const code = byte & (0x3f >> left), least = [0x80, 0x800, 0x10000][left - 1];
  const [lo, hi] = following(code, left, least);
  return within({ kind: "bytes", code, left, least }, [lo, hi]);
}

export function nextByte(
  half: Half & { kind: "bytes" },
  byte: number,
  within: Within,
  after: (code: number) => Ways,
): Ways {
  const code = half.code << 6 | byte & 0x3f, left = half.left - 1;
  const [lo, hi] = following(code, left, half.least);
  if (lo > hi) return NO_WAY;
  return left === 0 ? after(code) : within({ ...half, code, left }, [lo, hi]);
}

/** The characters that begin with so much. */
function following(code: number, left: number, least: number): [lo: number, hi: number] {
  return [Math.max(code << 6 * left, least), (code + 1 << 6 * left) - 1];
}

/** \\uXXXX: a character, or one of the two halves of a character beyond U+FFFF. */
export function hexDigit(
  { unit, digits, high }: Half & { kind: "hex" },
  byte: number,
  within: Within,
  after: (code: number) => Ways,
): Ways {
  const digit = hexOf(byte);
  if (digit < 0) return NO_WAY;
  const next = unit * 16 + digit, left = 3 - digits;
  const lo = next * 16 ** left, hi = lo + 16 ** left - 1;
  if (high > 0) { // the second half: U+DC00 to U+DFFF
    const from = Math.max(lo, 0xdc00),
      to = Math.min(hi, 0xdfff),
      base = 0x10000 + (high - 0xd800) * 1024 - 0xdc00;
    if (from > to) return NO_WAY;
    return left === 0
      ? after(base + lo)
      : within({ kind: "hex", unit: next, digits: digits + 1, high }, [base + from, base + to]);
  }
  const from = Math.max(lo, 0xd800), to = Math.min(hi, 0xdbff);
  const beyond: [number, number][] = from > to
    ? []
    : [[0x10000 + (from - 0xd800) * 1024, 0x10000 + (to - 0xd800) * 1024 + 1023]];
  if (left === 0) return beyond.length > 0 ? within({ kind: "second", high: lo }, ...beyond) : after(lo);
  return within({ kind: "hex", unit: next, digits: digits + 1, high: 0 }, [lo, hi], ...beyond);
}

function hexOf(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
