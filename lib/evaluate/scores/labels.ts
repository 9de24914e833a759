// Classification: the label that an answer names.
import { UserError } from "../../errors.ts";
import {
  checkLabels,
  type ClassificationScores,
  findLabel,
  scoresOfConfusion,
} from "../../metrics/classification.ts";
import { type Answer, meanMeasure, type Measure, type Score } from "../score.ts";

/**
 * Accuracy, macro and weighted F1 of the labels that answers name ({@linkcode findLabel}), as
 * {@linkcode classificationScores} has them; an answer without a label is wrong.
 *
 * @param labels all labels
 * @throws {UserError} for fewer than two labels; when scoring, for an expected answer that names none of them
 *
 * @example
 * ```ts
 * import { byLabels } from "@fintune/fintune";
 * console.log(byLabels(["negative", "neutral", "positive"]).name); // labels
 * ```
 */
export function byLabels(labels: readonly string[]): Score {
  if (labels.length < 2) throw new UserError(`byLabels needs at least two labels, not ${labels.length}.`);
  checkLabels(labels);
  return {
    name: "labels",
    check: (answers) => void expectedLabels(answers, labels),
    measure: (answers) =>
      labelMeasures(answers.map(({ prediction }) => findLabel(prediction, labels)), answers, labels),
  };
}

/** The label that each expected answer names. */
export function expectedLabels(answers: readonly Answer[], labels: readonly string[]): string[] {
  return answers.map(({ reference, index }) => {
    const label = findLabel(reference, labels);
    if (label !== undefined) return label;
    throw new UserError(
      `Row ${index}: the expected answer ${JSON.stringify(reference.slice(0, 60))} names none of ${
        labels.join(", ")
      }.`,
    );
  });
}

/** Accuracy, macro and weighted F1 of labels that were found for the answers in whatever way. */
export function labelMeasures(
  found: readonly (string | undefined)[],
  answers: readonly Answer[],
  labels: readonly string[],
): Measure[] {
  const expected = expectedLabels(answers, labels);
  const width = labels.length + 1;
  const counts = answers.map((_, row) => {
    const cells = new Array<number>(labels.length * width).fill(0);
    const as = labels.indexOf(found[row] ?? "");
    cells[labels.indexOf(expected[row]) * width + (as < 0 ? labels.length : as)] = 1;
    return cells;
  });
  const corpus = (name: string, of: (scores: ClassificationScores) => number): Measure => ({
    name,
    counts,
    total(sums) {
      const cells = Array.from(sums);
      return of(scoresOfConfusion(labels.map((_, i) => cells.slice(i * width, (i + 1) * width)), labels));
    },
  });
  return [
    meanMeasure("accuracy", answers.map((_, row) => Number(found[row] === expected[row]))),
    corpus("macro F1", ({ macroF1 }) => macroF1),
    corpus("weighted F1", ({ weightedF1 }) => weightedF1),
  ];
}
