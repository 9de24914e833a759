// Corpus BLEU over answers.
import { bleuCounts, bleuOfSums } from "../../metrics/bleu.ts";
import type { Score } from "../score.ts";

/**
 * Corpus BLEU, 0 to 100, as {@linkcode corpusBleu} has it. It is no mean over rows; a row's own BLEU finds best and worst.
 *
 * @example
 * ```ts
 * import { byBleu } from "@fintune/fintune";
 * console.log(byBleu().name); // BLEU
 * ```
 */
export function byBleu(): Score {
  return {
    name: "BLEU",
    measure(answers) {
      const counts = bleuCounts(
        answers.map(({ prediction }) => prediction),
        answers.map(({ reference }) => reference),
      );
      const total = (sums: ArrayLike<number>) => bleuOfSums(sums).score;
      return [{ name: "BLEU", counts, total, rows: counts.map(total), max: 100 }];
    },
  };
}
