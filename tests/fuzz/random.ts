// Choices drawn from a seeded source of random numbers.
import { seededRandom } from "../../lib/data/random.ts";

export type Random = () => number;

/** The source of one input: decided by the run's seed, the reader's name and the input's number alone. */
export function inputRandom(seed: number, reader: string, number: number): Random {
  let state = seed >>> 0;
  for (const character of reader) state = Math.imul(state ^ character.charCodeAt(0), 0x01000193) >>> 0;
  return seededRandom(state + (number + 1) * 2 ** 32);
}

/** A whole number from 0 to count - 1. */
export const below = (random: Random, count: number): number => Math.floor(random() * count);

/** One of a list. */
export const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)];

/** True in so many of all cases. */
export const chance = (random: Random, share: number): boolean => random() < share;
