// One pass over the batches: gradients, accumulation, clipping, the optimizer's step; and the loss on held-out rows.
import type { Batch } from "../data/batch.ts";
import type { Batches } from "../data/pack.ts";
import type { Tensor } from "../engine/tensor.ts";
import { UserError } from "../errors.ts";
import { chooseCheckpointing } from "../models/memory.ts";
import type { Model } from "../models/model.ts";
import { progressLine } from "../report/progress.ts";
import type { Optimizer } from "./adamw.ts";
import { checkBatch } from "./inspect.ts";
import { batchLoss, lossAndGradients, sum } from "./step.ts";

/** One optimizer step, as `onStep` receives it. */
export interface StepReport {
  /** Optimizer steps done, counted from 1 over all epochs. */
  step: number;
  /** Mean over the trained positions of the step. */
  loss: number;
  /** Global norm of the gradients, before clipping. */
  gradNorm: number;
  /** Of this step. */
  learningRate: number;
  /** Real (unpadded) tokens of the step. */
  tokens: number;
}

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
  /** Recompute activations (less memory) or keep them (faster); default: keep them where the estimate fits. */
  checkpointing?: boolean;
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

/** A GPU's results are read back so many steps at a time: each round trip costs 10 ms or more. */
const stepsPerReadback = 8;

/**
 * Trains for one pass over the batches, in an order that `seed` decides (an array of batches is taken in its own order).
 *
 * @throws UserError when a loss is not finite, naming the step and its rows; the weights of the step before are kept
 *   on the CPU. Also when a step's gradients are not, after that step
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
  const { seed = 0, gradientAccumulationSteps = 1, maxSteps = Infinity, signal } = options;
  checkOptions(model, options);
  if (batches.length === 0) throw new UserError("There are no batches to train on.");
  const ordered = "shuffle" in batches ? batches.shuffle(seed) : batches;
  const total = Math.min(maxSteps, Math.ceil(ordered.length / gradientAccumulationSteps));
  const meter = createMeter(model, total, options);
  let steps = 0;
  try {
    for (const group of groups(ordered, gradientAccumulationSteps)) {
      if (steps >= total || signal?.aborted) break;
      await step(model, group, options, meter);
      steps++;
    }
    await meter.settle();
  } catch (error) {
    await meter.settle().catch(() => {}); // the steps before the error are done: they are still reported
    throw error;
  } finally {
    meter.endLine();
  }
  return { ...meter.summary(), steps, stopped: steps < total };
}

function checkOptions(
  model: Model,
  { optimizer, gradientAccumulationSteps = 1, maxGradNorm = 1, maxSteps = Infinity }: TrainOptions,
): void {
  if (optimizer.model !== model) {
    throw new UserError("The optimizer was made for another model: pass the one that adamW was given.");
  }
  if (!(Number.isInteger(gradientAccumulationSteps) && gradientAccumulationSteps > 0)) {
    throw new UserError(
      `gradientAccumulationSteps is ${gradientAccumulationSteps}; it must be a whole number from 1 on.`,
    );
  }
  if (!(maxSteps === Infinity || (Number.isInteger(maxSteps) && maxSteps > 0))) {
    throw new UserError(`maxSteps is ${maxSteps}; it must be a whole number from 1 on.`);
  }
  if (!(maxGradNorm >= 0)) {
    throw new UserError(
      `maxGradNorm is ${maxGradNorm}; it must be at least 0 (0: gradients are never clipped).`,
    );
  }
}

function* groups(batches: Iterable<Batch>, size: number): Generator<Batch[]> {
  let group: Batch[] = [];
  for (const batch of batches) {
    group.push(batch);
    if (group.length === size) {
      yield group;
      group = [];
    }
  }
  if (group.length > 0) yield group;
}

async function step(model: Model, group: Batch[], options: TrainOptions, meter: Meter): Promise<void> {
  const { optimizer, seed = 0, maxGradNorm = 1 } = options;
  const { device } = model;
  const targets = group.reduce((count, { targetIds }) => count + targetIds.length, 0);
  let loss: Tensor | undefined;
  let gradients: Map<string, Tensor> | undefined;
  for (const batch of group) checkBatch(model, batch);
  for (const batch of group) {
    const checkpointing = options.checkpointing ?? chooseCheckpointing(model, batch.inputIds.length);
    const result = await lossAndGradients(model, batch, {
      lossScale: 1 / targets,
      checkpointing,
      dropout: { seed, step: optimizer.steps },
    });
    loss = loss ? await sum(device, loss, result.loss) : result.loss;
    gradients = gradients ? await addAll(model, gradients, result.gradients) : result.gradients;
  }
  if (device.backend === "cpu") {
    const mean = (loss!.storage as Float32Array)[0] / targets;
    if (!Number.isFinite(mean)) device.free(loss!, ...gradients!.values());
    checkLoss(mean, group, optimizer.steps + 1);
  }
  const learningRate = optimizer.learningRate();
  const normSquared = await optimizer.step(gradients!, maxGradNorm);
  device.flush();
  await meter.add({ step: optimizer.steps, learningRate, targets, group, loss: loss!, normSquared });
}

async function addAll(
  model: Model,
  a: Map<string, Tensor>,
  b: Map<string, Tensor>,
): Promise<Map<string, Tensor>> {
  const added = new Map<string, Tensor>();
  for (const [name, tensor] of a) added.set(name, await sum(model.device, tensor, b.get(name)!));
  return added;
}

function checkLoss(loss: number, group: Batch[], step: number): void {
  if (Number.isFinite(loss)) return;
  const rows = group.flatMap(({ rows }) => rows).join(", ");
  throw new UserError(
    `The loss of step ${step} is ${loss} (rows ${rows}): usually the learning rate is too high; lower it, or look at those rows.`,
  );
}

/** A finite loss can have gradients beyond float32. The update is done by then, and the next loss would tell too late. */
function checkGradients(norm: number, group: Batch[], step: number): void {
  if (Number.isFinite(norm)) return;
  const rows = group.flatMap(({ rows }) => rows).join(", ");
  throw new UserError(
    `The gradients of step ${step} have the norm ${norm} (rows ${rows}), and the weights after it are not to be trusted: ` +
      "start again with a lower learning rate or alpha, or look at those rows.",
  );
}

interface PendingStep {
  step: number;
  learningRate: number;
  targets: number;
  group: Batch[];
  loss: Tensor;
  normSquared: Tensor;
}

type Meter = ReturnType<typeof createMeter>;

/** Collects the steps' results, reads them back a few at a time, and reports them. */
function createMeter(model: Model, total: number, { onStep, quiet }: TrainOptions) {
  const { device } = model;
  const started = performance.now();
  const line = progressLine({ total, label: "training", quiet });
  const pending: PendingStep[] = [];
  let lossSum = 0, targetCount = 0, tokens = 0, steps = 0;
  const seconds = () => (performance.now() - started) / 1000;

  const settle = async () => {
    if (pending.length === 0) return;
    const done = pending.splice(0), tensors = done.flatMap(({ loss, normSquared }) => [loss, normSquared]);
    const values = await device.read(...tensors);
    device.free(...tensors);
    done.forEach(({ step, learningRate, targets, group }, i) => {
      const mean = values[2 * i][0] / targets, gradNorm = Math.sqrt(values[2 * i + 1][0]);
      checkLoss(mean, group, step);
      checkGradients(gradNorm, group, step);
      const count = group.reduce((sum, batch) => sum + batch.tokens, 0);
      lossSum += mean * targets;
      targetCount += targets;
      tokens += count;
      steps++;
      onStep?.({ step, loss: mean, gradNorm, learningRate, tokens: count });
      line.update({ step: steps, loss: mean, tokensPerSecond: tokens / seconds() });
    });
  };
  return {
    settle,
    async add(step: PendingStep) {
      pending.push(step);
      if (device.backend === "cpu" || pending.length >= stepsPerReadback) await settle();
    },
    endLine: line.finish,
    summary() {
      const elapsed = seconds();
      return { loss: lossSum / targetCount, tokens, tokensPerSecond: tokens / elapsed, seconds: elapsed };
    },
  };
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
  let sum = 0, count = 0;
  for (const batch of batches) {
    checkBatch(model, batch);
    const loss = await batchLoss(model, batch);
    const [value] = await model.device.read(loss);
    sum += value[0];
    count += batch.targetIds.length;
    model.device.free(loss);
  }
  if (count === 0) throw new UserError("There is no trained position to evaluate.");
  return sum / count;
}
