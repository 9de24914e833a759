// One optimizer step over a group of batches, and the meter that collects what the steps were.
import { type Batch, positionsIn } from "../data/batch.ts";
import type { Batches } from "../data/pack.ts";
import type { Tensor } from "../engine/tensor.ts";
import { chooseCheckpointing } from "../models/memory.ts";
import type { Model } from "../models/model.ts";
import type { ProgressLine } from "../report/progress.ts";
import { UserError } from "../errors.ts";
import type { Optimizer } from "./adamw.ts";
import { checkBatch } from "./inspect.ts";
import { gradientsNotFinite, lossNotFinite } from "./not_finite.ts";
import { lossAndGradients, sum } from "./step.ts";

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

/** What a step needs to know; see `TrainOptions`. */
export interface StepSettings {
  readonly optimizer: Optimizer;
  readonly seed?: number;
  readonly gradientAccumulationSteps?: number;
  readonly maxGradNorm?: number;
  readonly checkpointing?: boolean;
  readonly neftuneNoiseAlpha?: number;
}

/** A step whose results are still on the device. */
export interface PendingStep {
  step: number;
  learningRate: number;
  targets: number;
  group: Batch[];
  loss: Tensor;
  normSquared: Tensor;
}

/** A GPU's results are read back so many steps at a time: each round trip costs 10 ms or more. */
const stepsPerReadback = 8;

/** Settings that no step could be done with. */
export function checkSettings(model: Model, settings: StepSettings & { maxSteps?: number }): void {
  const { optimizer, gradientAccumulationSteps = 1, maxGradNorm = 1, maxSteps = Infinity } = settings;
  const { neftuneNoiseAlpha = 0 } = settings;
  if (optimizer.model !== model) {
    throw new UserError("The optimizer was made for another model: pass the one that adamW was given.");
  }
  checkWhole("gradientAccumulationSteps", gradientAccumulationSteps);
  if (maxSteps !== Infinity) checkWhole("maxSteps", maxSteps);
  if (!(maxGradNorm >= 0)) {
    throw new UserError(
      `maxGradNorm is ${maxGradNorm}; it must be at least 0 (0: gradients are never clipped).`,
    );
  }
  if (!(neftuneNoiseAlpha >= 0 && neftuneNoiseAlpha < Infinity)) {
    throw new UserError(`neftuneNoiseAlpha is ${neftuneNoiseAlpha}; it must be at least 0 (0: no noise).`);
  }
  if (neftuneNoiseAlpha > 0 && model.config.encoderDecoder) {
    throw new UserError("neftuneNoiseAlpha (NEFTune's noise) is for decoders; leave it out for a T5.");
  }
}

export function checkWhole(name: string, value: number): void {
  if (Number.isInteger(value) && value > 0) return;
  throw new UserError(`${name} is ${value}; it must be a whole number from 1 on.`);
}

/** The batches in the order that the seed decides; an array of batches has its own. */
export function inOrder(batches: Batches | readonly Batch[], seed: number): Batches | readonly Batch[] {
  return "shuffle" in batches ? batches.shuffle(seed) : batches;
}

/** Groups of `size` batches, without the first `skip` batches. */
export function* groups(batches: Iterable<Batch>, size: number, skip: number = 0): Generator<Batch[]> {
  let group: Batch[] = [], seen = 0;
  for (const batch of batches) {
    if (seen++ < skip) continue;
    group.push(batch);
    if (group.length === size) {
      yield group;
      group = [];
    }
  }
  if (group.length > 0) yield group;
}

/**
 * Gradients of the group's batches, normalised by all their trained tokens, and the optimizer's step with them.
 *
 * @throws UserError on the CPU where the loss or the gradients are not finite, before anything is changed
 */
export async function optimizerStep(
  model: Model,
  group: Batch[],
  { optimizer, seed = 0, maxGradNorm = 1, checkpointing, neftuneNoiseAlpha }: StepSettings,
): Promise<PendingStep> {
  const { device } = model;
  const targets = group.reduce((count, { targetIds }) => count + targetIds.length, 0);
  let loss: Tensor | undefined;
  let gradients: Map<string, Tensor> | undefined;
  for (const batch of group) checkBatch(model, batch);
  for (const batch of group) {
    const result = await lossAndGradients(model, batch, {
      lossScale: 1 / targets,
      checkpointing: chooseCheckpointing(model, positionsIn(batch), checkpointing),
      dropout: { seed, step: optimizer.steps },
      neftuneNoiseAlpha,
    });
    loss = loss ? await sum(device, loss, result.loss) : result.loss;
    gradients = gradients ? await addAll(model, gradients, result.gradients) : result.gradients;
  }
  const step = optimizer.steps + 1;
  const here = (tensor: Tensor) => (tensor.storage as Float32Array)[0]; // on the CPU
  if (device.backend === "cpu" && !Number.isFinite(here(loss!) / targets)) {
    const mean = here(loss!) / targets;
    device.free(loss!, ...gradients!.values());
    throw await lossNotFinite(model, group, { what: `loss of step ${step}`, loss: mean, searchable: true });
  }
  const learningRate = optimizer.learningRate();
  const normSquared = await optimizer.step(gradients!, maxGradNorm);
  if (optimizer.steps < step) {
    const norm = Math.sqrt(here(normSquared));
    device.free(loss!, normSquared);
    throw gradientsNotFinite(group, { step, norm, updated: false });
  }
  device.flush();
  return { step, learningRate, targets, group, loss: loss!, normSquared };
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

/** Sums over steps; a resumed run goes on from those of the run before. */
export interface StepTotals {
  /** Loss, summed over trained positions. */
  lossSum: number;
  /** Trained positions. */
  targets: number;
  /** Real (unpadded) tokens. */
  tokens: number;
}

/** Collects the steps' results, reads them back a few at a time, and reports them. */
export interface Meter {
  /** Takes a step's results. */
  add(step: PendingStep): Promise<void>;
  /**
   * Reads back and reports whatever is still on the device.
   *
   * @throws UserError where a loss or gradients are not finite, then and ever after
   */
  settle(): Promise<void>;
  /** Of all reported steps, and what the totals began with. */
  readonly totals: Readonly<StepTotals>;
  /** Real tokens a second since the meter was made, without the time of `aside`. */
  tokensPerSecond(): number;
  /** Since the meter was made, without the time of `aside`. */
  seconds(): number;
  /** Settles, then does something that is not training: its time does not count. */
  aside<T>(work: () => Promise<T>): Promise<T>;
}

export function createMeter(
  model: Model,
  { line, onStep, stepsBefore = 0, totals = { lossSum: 0, targets: 0, tokens: 0 } }: {
    line: ProgressLine;
    onStep?: (report: StepReport) => void;
    /** Steps that the line does not count. */
    stepsBefore?: number;
    /** Added to, in place. */
    totals?: StepTotals;
  },
): Meter {
  const { device } = model;
  const pending: PendingStep[] = [];
  let started = performance.now(), counted = 0, broken: UserError | undefined;
  const seconds = () => (performance.now() - started) / 1000;
  const tokensPerSecond = () => counted / seconds();
  const tokensOf = (group: Batch[]) => group.reduce((count, { tokens }) => count + tokens, 0);

  const settle = async () => {
    if (broken) throw broken;
    if (pending.length === 0) return;
    const done = pending.splice(0), tensors = done.flatMap(({ loss, normSquared }) => [loss, normSquared]);
    const values = await device.read(...tensors);
    device.free(...tensors);
    // All of them at once: the time that has gone by is that of them all.
    counted += done.reduce((count, { group }) => count + tokensOf(group), 0);
    for (const [i, { step, learningRate, targets, group }] of done.entries()) {
      const loss = values[2 * i][0] / targets, gradNorm = Math.sqrt(values[2 * i + 1][0]);
      if (!Number.isFinite(loss)) {
        broken = await lossNotFinite(model, group, { what: `loss of step ${step}`, loss, searchable: false });
      } else if (!Number.isFinite(gradNorm)) { // a finite loss can have gradients beyond float32
        broken = gradientsNotFinite(group, { step, norm: gradNorm, updated: true });
      }
      if (broken) throw broken;
      const tokens = tokensOf(group);
      totals.lossSum += loss * targets;
      totals.targets += targets;
      totals.tokens += tokens;
      onStep?.({ step, loss, gradNorm, learningRate, tokens });
      line.update({ step: step - stepsBefore, loss, tokensPerSecond: tokensPerSecond() });
    }
  };
  return {
    settle,
    async add(step) {
      pending.push(step);
      if (device.backend === "cpu" || pending.length >= stepsPerReadback) await settle();
    },
    totals,
    tokensPerSecond,
    seconds,
    async aside(work) {
      await settle(); // the steps that a GPU still computes are training
      const before = performance.now();
      try {
        return await work();
      } finally {
        started += performance.now() - before;
      }
    },
  };
}
