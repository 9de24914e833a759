// Random numbers that a seed decides, the same on every machine: what shuffles and splits draw from.

/**
 * A source of numbers in [0, 1), each a multiple of 2^-32: Chris Doty-Humphrey's sfc32 (128 bits of state, from PractRand),
 * whose state is the seed, mixed by twelve first draws that are thrown away, as its author does.
 *
 * @param seed an integer; its low 32 bits and the next 21 count, so that 1 and 2**32 + 1 differ
 * @example
 * ```ts
 * import { seededRandom } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const [one, same, other] = [seededRandom(42), seededRandom(42), seededRandom(43)];
 * assert.equal(one(), same());
 * assert.notEqual(one(), other());
 * ```
 */
export function seededRandom(seed: number): () => number {
  let a = 0;
  let b = seed | 0;
  let c = Math.floor(seed / 2 ** 32) | 0;
  let counter = 1;
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}

/** The numbers 0 to count - 1 in an order that the seed decides (Fisher and Yates' shuffle). */
export function permutation(count: number, seed: number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  const random = seededRandom(seed);
  for (let last = count - 1; last > 0; last--) {
    const chosen = Math.floor(random() * (last + 1));
    [order[last], order[chosen]] = [order[chosen], order[last]];
  }
  return order;
}
