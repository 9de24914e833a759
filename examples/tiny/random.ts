// The library's seeded numbers with the few verbs that a text generator needs: one stream decides every choice.

import { seededRandom } from "@fintune/fintune";

/** Draws from one seeded stream; every draw moves it on. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number;
  /** One of the options, each as likely as the others. */
  pick<T>(options: readonly T[]): T;
  /** True with the given probability. */
  chance(probability: number): boolean;
  /** The items in a random order, as a new array. */
  shuffle<T>(items: readonly T[]): T[];
}

/** A `Random` from a whole-number seed: the same seed gives the same draws on every machine. */
export function drawFrom(seed: number): Random {
  const next = seededRandom(seed);
  const int = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    int,
    pick: (options) => options[int(0, options.length - 1)],
    chance: (probability) => next() < probability,
    shuffle: (items) => {
      const out = [...items];
      for (let i = out.length - 1; i > 0; i--) {
        const j = int(0, i);
        [out[i], out[j]] = [out[j], out[i]];
      }
      return out;
    },
  };
}
