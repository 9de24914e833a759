// Training goes on from a saved adapter on other rows.
import type { Batch } from "../data/batch.ts";
import type { Batches } from "../data/pack.ts";
import { checkBatches, checkGiven } from "../arguments.ts";
import type { HubOptions } from "../hub/model.ts";
import type { Model } from "../models/model.ts";
import { loadAdapter } from "../peft.ts";
import { adamW, type AdamWOptions } from "./adamw.ts";
import { train } from "./run.ts";
import type { RunOptions, RunReport } from "./run_options.ts";

/** Options of {@linkcode continueTraining}: those of `train` and of `adamW` in one, as the optimizer is a new one. */
export interface ContinueOptions extends Omit<RunOptions, "optimizer">, AdamWOptions {
  /** The adapter's name among several; default "default". */
  name?: string;
  /** Where the adapter is looked up on the Hub. */
  hub?: HubOptions;
}

/** What {@linkcode continueTraining} gives. */
export interface ContinuedRun extends RunReport {
  /** The base with the adapter as it is now: ask it, or save it (`saveAdapter`). */
  model: Model;
}

/**
 * Trains a saved adapter further, on other rows: PEFT's `PeftModel.from_pretrained(base, adapter, is_trainable=True)` and a
 * new run with a new optimizer. The adapter keeps its rank, dropout and modules; its folder stays as it is.
 *
 * (A run that was interrupted goes on with the `resume` of `train`, which also brings its optimizer back.)
 *
 * @param base the model that the adapter was made for, quantised or not
 * @param adapter a folder in PEFT's format (one that `saveAdapter` wrote, or a checkpoint of a run), or its name on the Hub
 * @param batches of the new rows
 * @param options the learning rate, and what `train` takes
 * @throws UserError as `loadAdapter`, `adamW` and `train` do
 *
 * @example
 * ```ts
 * import { continueTraining, loadModel, padBatches } from "@fintune/fintune";
 * const base = await loadModel("tests/reference/llama_tied/model");
 * const rows = [{ inputIds: [1, 5, 6, 2] }, { inputIds: [1, 9, 7, 2] }];
 * const { model, loss } = await continueTraining(base, "tests/reference/llama_tied/adapter", padBatches(rows), {
 *   learningRate: 3e-4,
 *   epochs: 2,
 *   quiet: true,
 * });
 * console.log(model.active, loss); // default, and the mean loss
 * ```
 */
export async function continueTraining(
  base: Model,
  adapter: string,
  batches: Batches | readonly Batch[],
  options: ContinueOptions,
): Promise<ContinuedRun> {
  checkBatches("continueTraining", batches);
  checkGiven("continueTraining", options, "learningRate");
  const { name, hub, learningRate, betas, eps, weightDecay, loraplusLrRatio, ...run } = options;
  const model = await loadAdapter(base, adapter, { name, ...hub });
  const optimizer = adamW(model, { learningRate, betas, eps, weightDecay, loraplusLrRatio });
  try {
    return { ...await train(model, batches, { ...run, optimizer }), model };
  } finally {
    optimizer.free();
  }
}
