// One pass over the batches: gradients, accumulation, clipping, the optimizer's step; and the loss on held-out rows.
import { checkBatches, checkModel, checkTraining } from "../arguments.ts";
import type { Batch } from "../data/batch.ts";
import type { Batches } from "../data/pack.ts";
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import { progressLine } from "../report/progress.ts";
import type { Optimizer } from "./adamw.ts";
import { checkBatch } from "./inspect.ts";
import {
  checkSettings,
  createMeter,
  groups,
  inOrder,
  optimizerStep,
  type StepReport,
} from "./optimizer_step.ts";
import { batchLoss } from "./step.ts";

/** Options of {@linkcode trainEpoch}. */
export interface TrainOptions {
  /** From `adamW`, for the same model. */
  optimizer: Optimizer;
  /** Orders the rows of this epoch and draws dropout's bits; default 0. */
  seed?: number;
  /** Batches whose gradients make one step, normalised by all their trained tokens; default 1. */
  gradientAccumulationSteps?: number;
  /** Clip gradients to this global norm; default 1, as Transformers' Trainer; 0: never. */
  maxGradNorm?: number;
  /**
   * NEFTune (Jain et al. 2023), by the Trainer's name: uniform noise of up to this over sqrt(row length * width) on the
   * embeddings while training; 5 is usual. Default: none.
   */
  neftuneNoiseAlpha?: number;
  /** Recompute activations (less memory) or keep them (faster); default: keep them where the estimate fits. */
  checkpointing?: boolean;
  /** Batches of this epoch that are done already, as `resumeTraining` tells; default 0. */
  skipBatches?: number;
  /** Stop after so many steps of this epoch. */
  maxSteps?: number;
  /** Called once for every step, in order; on a GPU a few steps late, so that nothing waits. */
  onStep?: (report: StepReport) => void;
  /** Ends the epoch after the step in hand. */
  signal?: AbortSignal;
  /** No progress line. */
  quiet?: boolean;
}

/** What an epoch was. */
export interface EpochReport {
  /** Mean over all trained positions of the epoch, each at the step that trained it; NaN where `signal` allowed no step. */
  loss: number;
  /** Optimizer steps. */
  steps: number;
  /** Real (unpadded) tokens. */
  tokens: number;
  /** Real tokens over the epoch's time. */
  tokensPerSecond: number;
  /** Wall time. */
  seconds: number;
  /** Whether `signal` ended it before its last batch. */
  stopped: boolean;
}

/**
 * Trains for one pass over the batches, in an order that `seed` decides (an array of batches is taken in its own order).
 *
 * @throws UserError when a loss is not finite, naming the step and its rows; the weights of the step before are kept
 *   on the CPU. Also when a step's gradients are not: on a GPU after that step
 *
 * @example
 * ```ts
 * import { adamW, attachLoRA, batchOf, loadModel, trainEpoch } from "@fintune/fintune";
 * const model = attachLoRA(await loadModel("tests/reference/llama_tied/model"), { r: 2, quiet: true });
 * const batches = [batchOf([{ inputIds: [1, 5, 6, 2] }]), batchOf([{ inputIds: [1, 7, 2] }])];
 * const { loss, steps } = await trainEpoch(model, batches, {
 *   optimizer: adamW(model, { learningRate: 1e-3 }),
 *   quiet: true,
 * });
 * console.log(steps, loss); // 2, and the mean loss
 * ```
 */
export async function trainEpoch(
  model: Model,
  batches: Batches | readonly Batch[],
  options: TrainOptions,
): Promise<EpochReport> {
  checkTraining("trainEpoch", model, batches, options);
  const { seed = 0, gradientAccumulationSteps = 1, maxSteps = Infinity, skipBatches = 0 } = options;
  const { signal, optimizer, onStep, quiet } = options;
  checkSettings(model, options);
  if (batches.length === 0) throw new UserError("There are no batches to train on.");
  if (!(Number.isInteger(skipBatches) && skipBatches >= 0 && skipBatches <= batches.length)) {
    throw new UserError(
      `skipBatches is ${skipBatches}; it must be a whole number from 0 to ${batches.length}.`,
    );
  }
  const total = Math.min(maxSteps, Math.ceil((batches.length - skipBatches) / gradientAccumulationSteps));
  const line = progressLine({ total, label: "training", quiet });
  const meter = createMeter(model, { line, onStep, stepsBefore: optimizer.steps });
  let steps = 0;
  try {
    for (const group of groups(inOrder(batches, seed), gradientAccumulationSteps, skipBatches)) {
      if (steps >= total || signal?.aborted) break;
      await meter.add(await optimizerStep(model, group, options));
      steps++;
    }
    await meter.settle();
  } catch (error) {
    await meter.settle().catch(() => {}); // the steps before the error are done: they are still reported
    throw error;
  } finally {
    line.finish();
  }
  const { lossSum, targets, tokens } = meter.totals, seconds = meter.seconds();
  const tokensPerSecond = tokens / seconds;
  return { loss: lossSum / targets, steps, tokens, tokensPerSecond, seconds, stopped: steps < total };
}

/**
 * Mean loss over all trained positions of the batches, without dropout.
 *
 * @example
 * ```ts
 * import { batchOf, evaluateLoss, loadModel } from "@fintune/fintune";
 * const model = await loadModel("tests/reference/llama_tied/model");
 * console.log(await evaluateLoss(model, [batchOf([{ inputIds: [1, 5, 6, 2] }])]));
 * ```
 */
export async function evaluateLoss(model: Model, batches: Iterable<Batch>): Promise<number> {
  checkModel("evaluateLoss", model);
  checkBatches("evaluateLoss", batches);
  let sum = 0, count = 0;
  for await (const { loss, targets } of batchLosses(model, batches)) {
    sum += loss;
    count += targets;
  }
  if (count === 0) throw new UserError("There is no trained position to evaluate.");
  return sum / count;
}

/** The summed loss of each batch. */
export async function* batchLosses(
  model: Model,
  batches: Iterable<Batch>,
): AsyncGenerator<{ batch: Batch; loss: number; targets: number }> {
  for (const batch of batches) {
    checkBatch(model, batch);
    const tensor = await batchLoss(model, batch);
    const [[loss]] = await model.device.read(tensor);
    model.device.free(tensor);
    yield { batch, loss, targets: batch.targetIds.length };
  }
}
