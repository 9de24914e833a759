// How likely the expected answers are: the loss on them, without anything generated.
import { detectPrompt } from "../../data/detect.ts";
import type { Prompt } from "../../data/prompt.ts";
import { lossMeasure, rowLosses } from "../losses.ts";
import type { Score } from "../score.ts";

/** Options of {@linkcode byLoss}. */
export interface LossOptions {
  /** How a row becomes text; give the one that evaluate is given. Default: what {@linkcode detectPrompt} chooses. */
  prompt?: Prompt;
  /** Tokens of a row beyond this are cut off; a row whose answer lies beyond is left out. Default 512. */
  maxLength?: number;
}

/**
 * The loss of the expected answers, in nats a token over all tokens of all answers: what training lowers, with an interval.
 *
 * @param options see {@linkcode LossOptions}
 *
 * @example
 * ```ts
 * import { byLoss, financeQA } from "@fintune/fintune";
 * console.log(byLoss({ prompt: financeQA }).name); // loss
 * ```
 */
export function byLoss({ prompt, maxLength = 512 }: LossOptions = {}): Score {
  return {
    name: "loss",
    async measure(answers, { model, signal }) {
      const rows = answers.map(({ row }) => row);
      const counts = await rowLosses(model, rows, {
        prompt: prompt ?? detectPrompt(rows, model.tokenizer),
        maxLength,
        completionOnly: true,
        signal,
      });
      return [lossMeasure("loss of the answers", counts)];
    },
  };
}
