// ROUGE over answers.
import { type RougeOptions, rougeRows, type RougeScores } from "../../metrics/rouge.ts";
import { meanMeasure, type Score } from "../score.ts";

const KINDS: [keyof RougeScores, string][] = [
  ["rouge1", "ROUGE-1"],
  ["rouge2", "ROUGE-2"],
  ["rougeL", "ROUGE-L"],
  ["rougeLsum", "ROUGE-Lsum"],
];

/**
 * ROUGE-1, -2, -L and -Lsum: mean F over the rows, as {@linkcode rougeScore} has them.
 *
 * @param options see {@linkcode RougeOptions}
 *
 * @example
 * ```ts
 * import { byRouge } from "@fintune/fintune";
 * console.log(byRouge().name); // ROUGE
 * ```
 */
export function byRouge(options: RougeOptions = {}): Score {
  return {
    name: "ROUGE",
    measure(answers) {
      const rows = rougeRows(
        answers.map(({ prediction }) => prediction),
        answers.map(({ reference }) => reference),
        options,
      );
      return KINDS.map(([kind, name]) => meanMeasure(name, rows.map((row) => row[kind].fmeasure)));
    },
  };
}
