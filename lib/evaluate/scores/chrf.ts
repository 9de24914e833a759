// Corpus chrF over answers.
import { chrfCounts, chrfOfSums, type ChrfOptions } from "../../metrics/chrf.ts";
import type { Score } from "../score.ts";

/**
 * Corpus chrF, 0 to 100, as {@linkcode chrfScore} has it (chrF++ with `wordOrder: 2`).
 *
 * @param options see {@linkcode ChrfOptions}
 *
 * @example
 * ```ts
 * import { byChrf } from "@fintune/fintune";
 * console.log(byChrf({ wordOrder: 2 }).name); // chrF++
 * ```
 */
export function byChrf(options: ChrfOptions = {}): Score {
  const name = options.wordOrder ? "chrF++" : "chrF";
  return {
    name,
    measure(answers) {
      const counts = chrfCounts(
        answers.map(({ prediction }) => prediction),
        answers.map(({ reference }) => reference),
        options,
      );
      const total = (sums: ArrayLike<number>) => chrfOfSums(sums, options);
      return [{ name, counts, total, rows: counts.map(total), max: 100 }];
    },
  };
}
