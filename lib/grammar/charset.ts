// Sets of code points as sorted ranges: what a character of a pattern may be.

/** Sorted, disjoint and inclusive ranges, flat: [lo, hi, lo, hi, ...]. */
export type CharSet = readonly number[];

/** All that UTF-8 can write: surrogates are no characters. */
export const ANY: CharSet = [0, 0xd7ff, 0xe000, 0x10ffff];
/** The set of any ranges, in any order. */
export function charSet(ranges: readonly (readonly [lo: number, hi: number])[]): CharSet {
  const set: number[] = [];
  for (const [lo, hi] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = set.length - 1;
    if (set.length > 0 && lo <= set[last] + 1) set[last] = Math.max(set[last], hi);
    else set.push(lo, hi);
  }
  return set;
}

export function pairs(set: CharSet): [lo: number, hi: number][] {
  return Array.from({ length: set.length / 2 }, (_, i) => [set[2 * i], set[2 * i + 1]]);
}

export const union = (...sets: CharSet[]): CharSet => charSet(sets.flatMap(pairs));

export function intersect(a: CharSet, b: CharSet): CharSet {
  const set: number[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const lo = Math.max(a[i], b[j]), hi = Math.min(a[i + 1], b[j + 1]);
    if (lo <= hi) set.push(lo, hi);
    if (a[i + 1] < b[j + 1]) i += 2;
    else j += 2;
  }
  return set;
}

/** All characters that are not in the set. */
export function complement(set: CharSet): CharSet {
  const gaps: number[] = [];
  let from = 0;
  for (const [lo, hi] of pairs(set)) {
    if (lo > from) gaps.push(from, lo - 1);
    from = hi + 1;
  }
  if (from <= 0x10ffff) gaps.push(from, 0x10ffff);
  return intersect(gaps, ANY);
}

export const without = (a: CharSet, b: CharSet): CharSet => intersect(a, complement(b));

/** The characters of a text, each once. */
export const charsOf = (text: string): CharSet =>
  charSet([...text].map((character) => [character.codePointAt(0)!, character.codePointAt(0)!] as const));
