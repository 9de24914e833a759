// What the examples share: training that keeps the points of its loss curve, charts in two formats, the control's verdict.

import { join } from "@std/path";
import {
  adamW,
  type Batches,
  type ChartSpec,
  evaluateLoss,
  type LossPoint,
  type Model,
  rougeScore,
  type RunOptions,
  saveChart,
  type Schedule,
  show,
  train,
} from "@fintune/fintune";

/** How is trained, beside the options of `train`. */
export interface Tuning extends Omit<RunOptions, "optimizer" | "heldOut" | "onStep" | "onEvaluate" | "out"> {
  heldOut: Batches;
  learningRate: Schedule;
  weightDecay?: number;
}

/** Trains the adapter of a model; evaluates before, some eight times on the way, and at the end. */
export async function tune(model: Model, batches: Batches, tuning: Tuning): Promise<LossPoint[]> {
  const { learningRate, weightDecay, ...options } = tuning;
  const before = await evaluateLoss(model, tuning.heldOut);
  const points: LossPoint[] = [{ step: 0, loss: before, series: "validation" }];
  await train(model, batches, {
    ...options,
    optimizer: adamW(model, { learningRate, weightDecay }),
    onStep: ({ step, loss }) => points.push({ step, loss, series: "training" }),
    onEvaluate: ({ step, loss }) => points.push({ step, loss, series: "validation" }),
  });
  return points;
}

/** Optimizer steps of a run. */
export function stepsOf(batches: Batches, epochs: number, accumulation: number, most = Infinity): number {
  return Math.min(most, epochs * Math.ceil(batches.length / accumulation));
}

/** A chart as <name>.svg and <name>.png; in a notebook it is shown too. */
export async function saveBoth(chart: ChartSpec, folder: string, name: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await show(chart);
  for (const type of ["svg", "png"]) await saveChart(chart, join(folder, `${name}.${type}`));
}

/** A folder for an evaluation, emptied: the answers of an earlier run are another model's. */
export async function freshFolder(parent: string, name: string): Promise<string> {
  const folder = join(parent, name);
  await Deno.remove(folder, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  return folder;
}

/**
 * ROUGE-L that answers get for their form alone: each held against the references of twenty other rows. What an answer scores
 * above that, it scores for being the answer to its own question.
 */
export function formAlone(answers: readonly { reference: string; prediction: string }[]): number {
  const turns = Array.from({ length: Math.min(20, answers.length - 1) }, (_, i) => i + 1);
  const other = (i: number, turn: number) => answers[(i + turn) % answers.length].reference;
  const scores = turns.map((turn) =>
    rougeScore(answers.map(({ prediction }) => prediction), answers.map((_, i) => other(i, turn))).rougeL
      .fmeasure
  );
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
}

/** Ends the program where a control, trained on shuffled answers, gained more than `most`: then the gain proves nothing. */
export function refuseGain(what: string, gain: number, most: number): void {
  if (gain <= most) {
    console.log(`The control gained nothing: ${what} ${gain < 0 ? "" : "+"}${gain.toFixed(3)}.`);
    return;
  }
  console.error(
    `The control gained ${
      gain.toFixed(3)
    } in ${what} from shuffled answers: the true gain would prove nothing.`,
  );
  Deno.exit(1);
}
