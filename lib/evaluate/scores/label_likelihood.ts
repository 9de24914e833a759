// Classification without generated text: the label that the model finds likeliest.
import { UserError } from "../../errors.ts";
import { type LabelOptions, scoreLabels } from "../../metrics/label_likelihood.ts";
import type { Score } from "../score.ts";
import { expectedLabels, labelMeasures } from "./labels.ts";

/**
 * Accuracy, macro and weighted F1 of the labels that the model itself finds likeliest ({@linkcode scoreLabels}), whatever it
 * wrote: what it knows, apart from how it answers.
 *
 * @param labels all labels, as they stand in answers
 * @param options see {@linkcode LabelOptions}; `by`: choose by the "sum" of log-probabilities (default) or by their "mean" a
 *   token, which does not favour short labels
 * @throws {UserError} for fewer than two labels; when scoring, for an expected answer that names none of them
 *
 * @example
 * ```ts
 * import { byLabelLikelihood } from "@fintune/fintune";
 * console.log(byLabelLikelihood(["negative", "neutral", "positive"]).name); // likeliest label
 * ```
 */
export function byLabelLikelihood(
  labels: readonly string[],
  options: Omit<LabelOptions, "signal"> & { by?: "sum" | "mean" } = {},
): Score {
  if (labels.length < 2) {
    throw new UserError(`byLabelLikelihood needs at least two labels, not ${labels.length}.`);
  }
  const { by = "sum", ...how } = options, name = "likeliest label";
  return {
    name,
    check: (answers) => void expectedLabels(answers, labels),
    async measure(answers, { model, signal }) {
      const found = await scoreLabels(model, answers.map(({ question }) => question), labels, {
        ...how,
        signal,
      });
      const chosen = found.map(({ best, bestByMean }) => by === "sum" ? best : bestByMean);
      return labelMeasures(chosen, answers, labels).map((measure) => ({
        ...measure,
        name: `${name}: ${measure.name}`,
      }));
    },
  };
}
