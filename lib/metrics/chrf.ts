// chrF and chrF++ (Popović 2015, 2017): how many runs of characters, and of words, prediction and reference share.
import { UserError } from "../errors.ts";
import { commonRuns, countRuns } from "./ngrams.ts";
import { textPairs } from "./pairs.ts";

/** Options of {@linkcode chrfScore}. */
export interface ChrfOptions {
  /** Longest runs of characters; default 6. */
  charOrder?: number;
  /** Longest runs of words; default 0 (chrF), 2 is chrF++. */
  wordOrder?: number;
  /** How much more recall counts than precision; default 2. */
  beta?: number;
}

/** Of one order: runs in the prediction (0 where the reference has none), in the reference, in both. */
type Counts = [predicted: number, expected: number, common: number];

/**
 * Corpus chrF, 0 to 100, equal to sacrebleu 2.6 within 1e-9. Spaces are not counted.
 *
 * @param predictions the texts that were generated
 * @param references the expected text of each prediction, or several: the best one counts
 * @throws {UserError} when the counts differ, there is no row, or an entry is not a text
 *
 * @example
 * ```ts
 * import { chrfScore } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.equal(chrfScore(["bond yield"], ["bond yields"]).toFixed(2), "88.40");
 * ```
 */
export function chrfScore(
  predictions: Iterable<string>,
  references: Iterable<unknown>,
  options: ChrfOptions = {},
): number {
  const rows = chrfCounts(predictions, references, options);
  if (rows.length === 0) throw new UserError("chrF needs at least one prediction, and got none.");
  return chrfOfSums(rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0)), options);
}

/** What each row adds to a corpus's chrF: for each order runs predicted, expected, common. */
export function chrfCounts(
  predictions: Iterable<string>,
  references: Iterable<unknown>,
  { charOrder = 6, wordOrder = 0, beta = 2 }: ChrfOptions = {},
): number[][] {
  return textPairs("chrF", predictions, references).map(({ prediction, references }) => {
    const runs = allRuns(prediction, charOrder, wordOrder);
    let best: Counts[] = runs.map(() => [0, 0, 0]), bestScore = -1;
    for (const reference of references) {
      const counts = allRuns(reference, charOrder, wordOrder).map((expected, i) =>
        compare(runs[i], expected)
      );
      const score = fScore(counts, beta);
      if (score > bestScore) [best, bestScore] = [counts, score];
    }
    return best.flat();
  });
}

/** The score from the sums of {@linkcode chrfCounts}. */
export function chrfOfSums(sums: ArrayLike<number>, { beta = 2 }: ChrfOptions = {}): number {
  const counts = Array.from(
    { length: sums.length / 3 },
    (_, i): Counts => [sums[3 * i], sums[3 * i + 1], sums[3 * i + 2]],
  );
  return fScore(counts, beta);
}

type Runs = Map<string, number>;

function allRuns(text: string, charOrder: number, wordOrder: number): Runs[] {
  const characters = [...text.replace(/\s+/gu, "")], words = separated(text);
  const of = (tokens: readonly string[], orders: number, glue: string) =>
    Array.from({ length: orders }, (_, i) => countRuns(tokens, i + 1, glue));
  return [...of(characters, charOrder, ""), ...of(words, wordOrder, " ")];
}

/** Words with one mark at their end, or else at their beginning, set apart. */
function separated(text: string): string[] {
  const isMark = (letter: string) => /[!-/:-@[-`{-~]/.test(letter);
  return text.split(/\s+/).filter((word) => word !== "").flatMap((word) => {
    const letters = [...word];
    if (letters.length === 1) return [word];
    if (isMark(letters.at(-1)!)) return [letters.slice(0, -1).join(""), letters.at(-1)!];
    return isMark(letters[0]) ? [letters[0], letters.slice(1).join("")] : [word];
  });
}

function compare(predicted: Runs, expected: Runs): Counts {
  const sum = (runs: Runs) => [...runs.values()].reduce((total, count) => total + count, 0);
  return [expected.size > 0 ? sum(predicted) : 0, sum(expected), commonRuns(predicted, expected)];
}

/** F of the mean precision and recall, over the orders that both sides have. */
function fScore(counts: readonly Counts[], beta: number): number {
  const usable = counts.filter(([predicted, expected]) => predicted > 0 && expected > 0);
  if (usable.length === 0) return 0;
  const mean = (of: (counts: Counts) => number) =>
    usable.reduce((sum, counts) => sum + of(counts), 0) / usable.length;
  const precision = mean(([predicted, , common]) => common / predicted);
  const recall = mean(([, expected, common]) => common / expected);
  if (precision + recall === 0) return 0;
  return 100 * (1 + beta ** 2) * precision * recall / (beta ** 2 * precision + recall);
}
