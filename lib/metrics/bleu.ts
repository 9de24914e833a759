// BLEU (Papineni et al. 2002) in the two forms that people publish: sacrebleu's over a corpus, NLTK's for single sentences.
import { UserError } from "../errors.ts";
import { commonRuns, countRuns, mostRuns } from "./ngrams.ts";
import { textPairs } from "./pairs.ts";
import { wordTokenize } from "./words.ts";

/** A corpus's BLEU with its parts, as sacrebleu prints them. */
export interface BleuScore {
  /** 0 to 100. */
  score: number;
  /** Of runs of one to four words, in percent. */
  precisions: number[];
  /** 1, or less where the predictions are shorter than the references. */
  brevityPenalty: number;
  /** Words of all predictions. */
  predictionLength: number;
  /** Words of all references (of several the closest in length). */
  referenceLength: number;
}

const ORDERS = [1, 2, 3, 4] as const;

/**
 * Corpus BLEU, equal to sacrebleu 2.6 within 1e-9 (tokenizer 13a, exponential smoothing, case kept).
 *
 * @param predictions the texts that were generated
 * @param references the expected text of each prediction, or several of them
 * @throws {UserError} when the counts differ, there is no row, or an entry is not a text
 *
 * Source: Post, "A Call for Clarity in Reporting BLEU Scores", 2018.
 *
 * @example
 * ```ts
 * import { corpusBleu } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const { score } = corpusBleu(["The fund pays a dividend."], ["The fund pays a quarterly dividend."]);
 * assert.equal(score.toFixed(2), "51.15");
 * ```
 */
export function corpusBleu(predictions: Iterable<string>, references: Iterable<unknown>): BleuScore {
  const rows = bleuCounts(predictions, references);
  if (rows.length === 0) throw new UserError("BLEU needs at least one prediction, and got none.");
  return bleuOfSums(rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0)));
}

/**
 * What each row adds to a corpus's BLEU: words predicted and expected, then for runs of one to four words those that match
 * and all.
 */
export function bleuCounts(predictions: Iterable<string>, references: Iterable<unknown>): number[][] {
  return textPairs("BLEU", predictions, references).map((row) => {
    const words = tokenize13a(row.prediction), expected = row.references.map(tokenize13a);
    const runs = ORDERS.flatMap((n) => [
      commonRuns(countRuns(words, n, " "), mostRuns(expected.map((text) => countRuns(text, n, " ")))),
      Math.max(words.length - n + 1, 0),
    ]);
    return [words.length, closest(words.length, expected.map(({ length }) => length)), ...runs];
  });
}

/** The score from the sums of {@linkcode bleuCounts}. */
export function bleuOfSums(sums: ArrayLike<number>): BleuScore {
  const [predictionLength, referenceLength, ...runs] = Array.from(sums);
  const brevityPenalty = penalty(predictionLength, referenceLength);
  const precisions = smoothedPrecisions(
    ORDERS.map((_, i) => runs[2 * i]),
    ORDERS.map((_, i) => runs[2 * i + 1]),
  );
  // A precision of 0 gives a score of 0: exp(-Infinity).
  const score = brevityPenalty *
    Math.exp(precisions.reduce((sum, precision) => sum + Math.log(precision), 0) / 4);
  return { score, precisions, brevityPenalty, predictionLength, referenceLength };
}

/** In percent; what is never matched counts a half, a quarter, an eighth of a match, order by order. */
function smoothedPrecisions(correct: readonly number[], total: readonly number[]): number[] {
  if (correct.every((count) => count === 0)) return [0, 0, 0, 0];
  const known = total.findIndex((count) => count === 0);
  let smoothing = 1;
  return correct.map((count, i) => {
    if (known >= 0 && i >= known) return 0;
    return count > 0 ? 100 * count / total[i] : 100 / ((smoothing *= 2) * total[i]);
  });
}

/** mteval-v13a's words, as sacrebleu has them. */
function tokenize13a(text: string): string[] {
  const plain = text.trimEnd().replaceAll("<skipped>", "").replaceAll("-\n", "").replaceAll("\n", " ")
    .replaceAll("&quot;", '"').replaceAll("&amp;", "&").replaceAll("&lt;", "<").replaceAll("&gt;", ">");
  return ` ${plain} `
    .replace(/([{-~[-` -&(-+:-@/])/g, " $1 ")
    .replace(/([^0-9])([.,])/gu, "$1 $2 ")
    .replace(/([.,])([^0-9])/gu, " $1 $2")
    .replace(/([0-9])(-)/g, "$1 $2 ")
    .split(/\s+/).filter((word) => word !== "");
}

/** The length nearest to the prediction's, the shorter of two that are as near. */
function closest(length: number, lengths: readonly number[]): number {
  return lengths.reduce((best, other) => {
    const nearer = Math.abs(other - length) - Math.abs(best - length);
    return nearer < 0 || (nearer === 0 && other < best) ? other : best;
  });
}

function penalty(length: number, reference: number): number {
  if (length >= reference) return 1;
  return length === 0 ? 0 : Math.exp(1 - reference / length);
}

/**
 * BLEU of one text, 0 to 1: NLTK 3.9's `sentence_bleu` with smoothing method 1 over its `word_tokenize`, equal within 1e-9
 * where the sentences are found alike (the model that NLTK trained to find them is replaced by a list of abbreviations).
 *
 * @param prediction the text that was generated
 * @param reference the expected text, or several; compared as they are: lower-case them first where case should not count
 *
 * @example
 * ```ts
 * import { sentenceBleu } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.equal(sentenceBleu("the bond pays interest", "the bond pays interest"), 1);
 * assert.equal(sentenceBleu("the bond pays interest", "a bond pays interest").toFixed(4), "0.3976");
 * ```
 */
export function sentenceBleu(prediction: string, reference: string | readonly string[]): number {
  const [row] = textPairs("BLEU", [prediction], [reference]);
  const words = wordTokenize(row.prediction), expected = row.references.map(wordTokenize);
  let logs = 0;
  for (const n of ORDERS) {
    const matched = commonRuns(
      countRuns(words, n, " "),
      mostRuns(expected.map((text) => countRuns(text, n, " "))),
    );
    if (n === 1 && matched === 0) return 0;
    logs += Math.log((matched || 0.1) / Math.max(words.length - n + 1, 1)) / 4;
  }
  return penalty(words.length, closest(words.length, expected.map(({ length }) => length))) * Math.exp(logs);
}
