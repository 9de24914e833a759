// Labels found in answers, and how well they agree with the expected ones: the sentiment scores of FinGPT's benchmarks.
import { UserError } from "../errors.ts";

/** Precision, recall and F1 of one label, 0 to 1; 0 where there is nothing to divide by. */
export interface LabelScore {
  /** Share of the answers with this label that are right. */
  precision: number;
  /** Share of the rows with this label that were found. */
  recall: number;
  /** Harmonic mean of the two. */
  f1: number;
  /** Rows that have this label. */
  support: number;
}

/** What {@linkcode classificationScores} gives. */
export interface ClassificationScores {
  /** Share of the rows that are right. */
  accuracy: number;
  /** Mean F1 over the labels. */
  macroF1: number;
  /** Mean F1 over the labels, each as often as it occurs. */
  weightedF1: number;
  /** By label. */
  labels: Record<string, LabelScore>;
  /** confusion[expected][predicted], rows; the last column counts answers without a label. */
  confusion: number[][];
  /** Answers in which no label was found: they count as wrong. */
  unlabelled: number;
}

/**
 * The label that a free text names: the first that stands in it as a word of its own, whatever its case, and not behind a
 * negation ("not positive but neutral" is neutral; "neither good nor bad" is none). In scripts without spaces between words
 * (Chinese, Japanese, Thai) a label may stand anywhere.
 *
 * @throws {UserError} for a label that is empty, or there twice
 * @returns the label as it is written in `labels`, or undefined where the text names none
 *
 * @example
 * ```ts
 * import { findLabel } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const labels = ["negative", "neutral", "positive"];
 * assert.equal(findLabel("The sentiment is Positive, not negative.", labels), "positive");
 * assert.equal(findLabel("It is unpositive.", labels), undefined);
 * assert.equal(findLabel("情绪不是正面，是负面的。", ["正面", "负面"]), "负面");
 * ```
 */
export function findLabel(text: string, labels: readonly string[]): string | undefined {
  checkLabels(labels);
  const lower = text.toLowerCase();
  let found: { label: string; at: number } | undefined;
  for (const label of labels) {
    const at = wordIndex(lower, label.toLowerCase());
    // Of two labels that begin together the longer one is meant: "very positive" before "very".
    const earlier = !found || at < found.at || (at === found.at && label.length > found.label.length);
    if (at >= 0 && earlier) found = { label, at };
  }
  return found?.label;
}

/** An empty label would be found everywhere, one that is there twice counted as two. */
export function checkLabels(labels: readonly string[]): void {
  const odd = labels.find((label, i) => label.trim() === "" || labels.indexOf(label) !== i);
  if (odd === undefined) return;
  throw new UserError(
    `The label ${JSON.stringify(odd)} is ${odd.trim() === "" ? "empty" : "there twice"}: leave it away.`,
  );
}

function wordIndex(text: string, word: string): number {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const end = at + word.length;
    if (isOneWord(text[at - 1], text[at]) || isOneWord(text[end - 1], text[end])) continue;
    if (!NEGATION.test(text.slice(Math.max(0, at - 30), at))) return at;
  }
  return -1;
}

/** Letters whose words are told apart by spaces. */
const SPACED =
  /^(?![\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmr}\p{sc=Mymr}])[\p{L}\p{N}_]$/u;

const isOneWord = (one: string = " ", next: string = " "): boolean => SPACED.test(one) && SPACED.test(next);

/** What stands before a label that is not meant. */
const NEGATION =
  /(?:(?:\b(?:not|never|neither|nor|no longer|cannot)|n['\u2019]t)\s+(?:be\s+)?(?:an?\s+)?|\bnon[ -]|不是?|非|没有?)["'*“‘「(]*$/;

/**
 * Accuracy, macro and weighted F1 and the confusion matrix, equal to scikit-learn's (zero_division 0). An answer without
 * a label is wrong for its own label and counts for no other.
 *
 * @param predicted a label, or undefined where none was found
 * @param expected the right label of each
 * @param labels all labels, in the order of the table
 * @throws {UserError} when the counts differ, there is no row, an expected label is not among the labels, or one of these is
 *   empty or there twice
 *
 * @example
 * ```ts
 * import { classificationScores } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const scores = classificationScores(["up", "down", undefined], ["up", "up", "down"], ["up", "down"]);
 * assert.equal(scores.accuracy, 1 / 3);
 * assert.deepEqual(scores.confusion, [[1, 1, 0], [0, 0, 1]]);
 * ```
 */
export function classificationScores(
  predicted: Iterable<string | undefined>,
  expected: Iterable<string>,
  labels: readonly string[],
): ClassificationScores {
  return scoresOfConfusion(confusionOf([...predicted], [...expected], labels), labels);
}

/** The scores from a confusion matrix [expected][predicted], whose last column counts answers without a label. */
export function scoresOfConfusion(
  confusion: number[][],
  labels: readonly string[],
): ClassificationScores {
  const total = (counts: number[]) => counts.reduce((sum, count) => sum + count, 0);
  const rows = total(confusion.map(total));
  const scores = labels.map((_, i) =>
    labelScore(confusion[i][i], total(confusion.map((row) => row[i])), total(confusion[i]))
  );
  const mean = (weight: (score: LabelScore) => number) =>
    scores.reduce((sum, score) => sum + weight(score) * score.f1, 0);
  return {
    accuracy: total(labels.map((_, i) => confusion[i][i])) / rows,
    macroF1: mean(() => 1 / labels.length),
    weightedF1: mean(({ support }) => support / rows),
    labels: Object.fromEntries(labels.map((label, i) => [label, scores[i]])),
    confusion,
    unlabelled: total(confusion.map((row) => row[labels.length])),
  };
}

function confusionOf(
  predicted: (string | undefined)[],
  expected: string[],
  labels: readonly string[],
): number[][] {
  if (predicted.length !== expected.length) {
    throw new UserError(
      `There are ${predicted.length} predicted labels but ${expected.length} expected ones.`,
    );
  }
  if (expected.length === 0) throw new UserError("Labels cannot be scored without any row.");
  checkLabels(labels);
  const confusion = labels.map(() => new Array<number>(labels.length + 1).fill(0));
  expected.forEach((label, row) => {
    const of = labels.indexOf(label);
    if (of < 0) {
      throw new UserError(
        `The expected label of row ${row} is ${JSON.stringify(label)}, not one of ${labels.join(", ")}.`,
      );
    }
    const as = labels.indexOf(predicted[row] ?? "");
    confusion[of][as < 0 ? labels.length : as]++;
  });
  return confusion;
}

function labelScore(hits: number, predicted: number, support: number): LabelScore {
  const precision = hits / Math.max(predicted, 1), recall = hits / Math.max(support, 1);
  return {
    precision,
    recall,
    f1: hits > 0 ? 2 * precision * recall / (precision + recall) : 0,
    support,
  };
}
