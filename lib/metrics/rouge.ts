// ROUGE-1, -2, -L and -Lsum, number for number those of Python's rouge_score 0.1.2.
import { checkTexts } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { lcsLength, markLCS } from "./lcs.ts";
import { textOf } from "./pairs.ts";
import { wordNumbers } from "./tokenize.ts";

/** One score: shares between 0 and 1. */
export interface RougeScore {
  /** Share of the prediction's n-grams (or tokens) that the reference has too. */
  precision: number;
  /** Share of the reference's n-grams (or tokens) that the prediction has too. */
  recall: number;
  /** Harmonic mean of the two; 0 where both are 0. */
  fmeasure: number;
}

/** The four scores of a row, or their means over rows. */
export interface RougeScores {
  /** Single tokens. */
  rouge1: RougeScore;
  /** Pairs of neighbouring tokens. */
  rouge2: RougeScore;
  /** Longest common subsequence of the whole texts. */
  rougeL: RougeScore;
  /** Longest common subsequences of sentences (lines), united over the prediction's sentences. */
  rougeLsum: RougeScore;
}

/** Options of {@linkcode rougeScore} and {@linkcode rougeRows}. */
export interface RougeOptions {
  /** Compare stems (NLTK's Porter stemmer, words longer than three letters) in place of words. Default: true. */
  useStemmer?: boolean;
}

/** A text as token numbers: its lines that have tokens, and all of them behind one another. */
interface Tokens {
  lines: Int32Array[];
  all: Int32Array;
}

/**
 * The mean ROUGE scores of predictions against references, equal to those of Python's `rouge_score` 0.1.2
 * (`use_stemmer=True`, means over the rows) within 1e-9. Tokens are runs of a-z and 0-9 after lower-casing, so texts in
 * other scripts have none and score 0. For ROUGE-Lsum sentences are separated by "\n". The result prints well with
 * `console.table`.
 *
 * @param predictions the texts that were generated
 * @param references the expected text of each prediction, in the same order
 * @throws {UserError} when the counts differ, there is no row, or an entry is not a text
 *
 * Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004.
 *
 * @example
 * ```ts
 * import { rougeScore } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const scores = rougeScore(["Bonds pay interest twice a year."], ["A bond pays interest every year."]);
 * console.table(scores);
 * assert.equal(scores.rouge1.fmeasure, 10 / 12); // bond, pay, interest, a, year; of six tokens each
 * assert.equal(scores.rouge2.recall, 2 / 5); // "bond pay", "pay interest"; of five pairs
 * ```
 */
export function rougeScore(
  predictions: Iterable<string>,
  references: Iterable<unknown>,
  options: RougeOptions = {},
): RougeScores {
  const rows = rougeRows(predictions, references, options);
  if (rows.length === 0) throw new UserError("rougeScore needs at least one prediction, and got none.");
  const mean = (of: (row: RougeScores) => number) =>
    rows.reduce((sum, row) => sum + of(row), 0) / rows.length;
  const means = (kind: keyof RougeScores): RougeScore => ({
    precision: mean((row) => row[kind].precision),
    recall: mean((row) => row[kind].recall),
    fmeasure: mean((row) => row[kind].fmeasure),
  });
  return {
    rouge1: means("rouge1"),
    rouge2: means("rouge2"),
    rougeL: means("rougeL"),
    rougeLsum: means("rougeLsum"),
  };
}

/**
 * The ROUGE scores of each row; see {@linkcode rougeScore} for what is computed.
 *
 * @param predictions the texts that were generated
 * @param references the expected text of each prediction, in the same order
 * @throws {UserError} when the counts differ or an entry is not a text
 *
 * @example
 * ```ts
 * import { rougeRows } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const [first, second] = rougeRows(["a short sale", ""], ["a short position", "equity"]);
 * assert.equal(first.rougeL.recall, 2 / 3);
 * assert.equal(second.rouge1.fmeasure, 0); // an empty answer scores nothing
 * ```
 */
export function rougeRows(
  predictions: Iterable<string>,
  references: Iterable<unknown>,
  { useStemmer = true }: RougeOptions = {},
): RougeScores[] {
  checkTexts("rougeScore", "predictions", predictions);
  checkTexts("rougeScore", "references", references);
  const answers = [...predictions], expected = [...references];
  if (answers.length !== expected.length) {
    throw new UserError(
      `ROUGE needs one reference for each prediction, and got ${answers.length} predictions and ` +
        `${expected.length} references.`,
    );
  }
  const numbersOf = wordNumbers(useStemmer);
  return answers.map((prediction, row) =>
    scoreRow(
      tokenize(expected[row], `reference ${row + 1}`, numbersOf),
      tokenize(prediction, `prediction ${row + 1}`, numbersOf),
    )
  );
}

function tokenize(text: unknown, name: string, numbersOf: (line: string) => Int32Array): Tokens {
  const lines = textOf("ROUGE", text, name).split("\n").map(numbersOf).filter((line) => line.length > 0);
  const all = new Int32Array(lines.reduce((sum, line) => sum + line.length, 0));
  let offset = 0;
  for (const line of lines) {
    all.set(line, offset);
    offset += line.length;
  }
  return { lines, all };
}

function scoreRow(reference: Tokens, prediction: Tokens): RougeScores {
  const recallOf = reference.all.length, precisionOf = prediction.all.length;
  const rougeL = toScore(lcsLength(reference.all, prediction.all), precisionOf, recallOf);
  return {
    rouge1: ngramScore(reference.all, prediction.all, 1),
    rouge2: ngramScore(reference.all, prediction.all, 2),
    rougeL,
    // One line on both sides: the union is that one subsequence, and the table need not be built.
    rougeLsum: reference.lines.length < 2 && prediction.lines.length < 2
      ? { ...rougeL }
      : toScore(summaryHits(reference, prediction), precisionOf, recallOf),
  };
}

function toScore(hits: number, precisionOf: number, recallOf: number): RougeScore {
  const precision = hits / Math.max(precisionOf, 1), recall = hits / Math.max(recallOf, 1);
  const fmeasure = hits > 0 ? 2 * precision * recall / (precision + recall) : 0;
  return { precision, recall, fmeasure };
}

/** n is 1 or 2. */
function ngramScore(reference: Int32Array, prediction: Int32Array, n: 1 | 2): RougeScore {
  const counts = countNgrams(reference, n);
  let hits = 0;
  for (const [ngram, count] of countNgrams(prediction, n)) hits += Math.min(count, counts.get(ngram) ?? 0);
  return toScore(hits, prediction.length - n + 1, reference.length - n + 1);
}

function countNgrams(tokens: Int32Array, n: 1 | 2): Map<number, number> {
  const counts = new Map<number, number>();
  for (let i = n - 1; i < tokens.length; i++) {
    // Two numbers of fewer than 2^26 in one exact double.
    const ngram = n === 1 ? tokens[i] : tokens[i - 1] * 2 ** 26 + tokens[i];
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}

/** Tokens of the united subsequences, each counted at most as often as the prediction has it. */
function summaryHits(reference: Tokens, prediction: Tokens): number {
  const left = countNgrams(prediction.all, 1);
  let hits = 0;
  for (const line of reference.lines) {
    const found = new Uint8Array(line.length);
    for (const candidate of prediction.lines) markLCS(line, candidate, found);
    for (let i = 0; i < line.length; i++) {
      const count = left.get(line[i]) ?? 0;
      if (!found[i] || count === 0) continue;
      left.set(line[i], count - 1);
      hits++;
    }
  }
  return hits;
}
