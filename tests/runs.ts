// A small run for the tests of lib/train/run.ts: rows, a model with dropout, options.
import { join } from "@std/path";
import { type Batches, packBatches } from "../lib/data/pack.ts";
import type { Device } from "../lib/engine/device.ts";
import { attachLoRA } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import { type Model, trainableParameters } from "../lib/models/model.ts";
import { adamW, type Optimizer } from "../lib/train/adamw.ts";
import { train } from "../lib/train/run.ts";
import type { RunOptions, RunReport } from "../lib/train/run_options.ts";
import { cosineSchedule } from "../lib/train/schedule.ts";
import { referenceFolder } from "./references.ts";

const row = (i: number) => ({
  inputIds: Array.from({ length: 4 + i % 5 }, (_, k) => (7 * i + 3 * k * k) % 110 + 3),
});
export const rows = Array.from({ length: 13 }, (_, i) => row(i));
export const batches: Batches = packBatches(rows, { batchSize: 2 });
export const heldOut: Batches = packBatches([20, 21, 22, 23].map(row), { batchSize: 2 });

export const loadBase = (device: Device): Promise<Model> =>
  loadModel(join(referenceFolder("llama_tied"), "model"), { device, dtype: "f32" });

export interface Start {
  model: Model;
  optimizer: Optimizer;
}

/** A model that is about to be trained, always from the same numbers. */
export function start(
  base: Model,
  { lora = true, learningRate = 0.02 }: { lora?: boolean; learningRate?: number } = {},
): Start {
  const model = lora ? attachLoRA(base, { r: 2, dropout: 0.1, seed: 3, quiet: true }) : copied(base);
  return {
    model,
    optimizer: adamW(model, { learningRate: cosineSchedule(learningRate, { total: 40, warmup: 2 }) }),
  };
}

/** With weights of its own: full training changes them. */
function copied(base: Model): Model {
  const weights = new Map(base.weights);
  for (const [name, weight] of weights) {
    if (weight.kind !== "dense" || base.device.backend !== "cpu") continue;
    const { shape, storage } = weight.tensor;
    weights.set(name, {
      kind: "dense",
      tensor: base.device.upload((storage as Float32Array).slice(), shape, "f32"),
    });
  }
  return { ...base, weights };
}

/** Two batches a step, four steps an epoch (the last of one batch), ten steps in all. */
export function run({ model, optimizer }: Start, options: Partial<RunOptions> = {}): Promise<RunReport> {
  return train(model, batches, {
    optimizer,
    seed: 9,
    gradientAccumulationSteps: 2,
    maxSteps: 10,
    quiet: true,
    ...options,
  });
}

/** The bits of everything that is trained, and of the moments. */
export async function bits({ model, optimizer }: Start): Promise<Uint32Array[]> {
  const moments = [...optimizer.moments.values()].flatMap(({ m, v }) => [m, v]);
  const all = await model.device.read(...trainableParameters(model).values(), ...moments);
  return all.map((data) => new Uint32Array((data.slice() as Float32Array).buffer));
}

/** A folder that is removed afterwards. */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "run" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

export const checkpoints = (out: string): string[] =>
  Array.from(Deno.readDirSync(out), ({ name }) => name).filter((name) => name.includes("checkpoint")).sort();
