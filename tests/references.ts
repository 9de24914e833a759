// Reading tests/reference/llama_*: what transformers and peft computed (see the README there), and comparing with it.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { type BatchLayout, batchOf, type TokenRow } from "../lib/data/batch.ts";
import { openSafetensors, toFloat32 } from "../lib/formats/safetensors.ts";
import type { Model } from "../lib/models/model.ts";
import { adamW } from "../lib/train/adamw.ts";
import { trainEpoch } from "../lib/train/epoch.ts";
import type { StepReport } from "../lib/train/optimizer_step.ts";
import type { Schedule } from "../lib/train/schedule.ts";

export const referenceFolder = (name: string): string =>
  fromFileUrl(new URL(`./reference/${name}`, import.meta.url));

/** Random models with an adapter, each with what sets its family apart (tests/reference/README.md). */
export const families = [
  "llama_tied",
  "llama_rope3",
  "llama_headdim",
  "qwen2_bias",
  "qwen3_norm",
  "mistral_window",
  "gemma_scaled",
];

/** Losses and norms of the steps of one run. */
export interface Trace {
  learningRates: number[];
  float32: { loss: number[]; gradNorm: number[] };
}

export interface Cases {
  rows: (TokenRow & { inputIds: number[]; labels: number[] })[];
  loss: number;
  adapterLoss: number;
  trainedTokens: number;
  parameters: number;
  adapterParameters: number;
  fullGradientNorms: Record<string, number>;
  training: {
    batches: number[][];
    peak: number;
    warmup: number;
    betas: [number, number];
    eps: number;
    weightDecay: number;
    maxGradNorm: number;
    [run: string]: unknown;
  };
}

export async function readJson<T>(...path: string[]): Promise<T> {
  return JSON.parse(await Deno.readTextFile(join(referenceFolder(path[0]), ...path.slice(1))));
}

export const readCases = (name: string): Promise<Cases> => readJson<Cases>(name, "cases.json");

/** Every tensor of a file as floats. */
export async function readTensors(path: string): Promise<Map<string, Float32Array>> {
  const file = await openSafetensors(path);
  const tensors = new Map<string, Float32Array>();
  for (const [name, { dtype }] of file.tensors) tensors.set(name, toFloat32(await file.read(name), dtype));
  file.close();
  return tensors;
}

export const readExpected = (name: string): Promise<Map<string, Float32Array>> =>
  readTensors(join(referenceFolder(name), "expected.safetensors"));

/** Every number within the tolerance; NaN never is. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number> | undefined,
  tolerance: number,
  what: string,
): void {
  assert.equal(actual.length, expected?.length, `${what}: length`);
  let worst = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(actual[i] - expected![i]);
    if (!(difference <= worst)) worst = difference;
  }
  assert.ok(worst <= tolerance, `${what}: differs by up to ${worst}, allowed are ${tolerance}`);
}

/** Trains as the reference did, one batch a step, and collects the reports. */
export async function runTrace(
  model: Model,
  rows: readonly TokenRow[],
  { batches, betas, eps, weightDecay, maxGradNorm }: Cases["training"],
  learningRate: Schedule,
  maxSteps: number = batches.length,
  layout: BatchLayout = {},
): Promise<StepReport[]> {
  const reports: StepReport[] = [];
  await trainEpoch(model, batches.map((batch) => batchOf(batch.map((row) => rows[row]), layout)), {
    optimizer: adamW(model, { learningRate, betas, eps, weightDecay }),
    maxGradNorm,
    maxSteps,
    quiet: true,
    onStep: (report) => reports.push(report),
  });
  return reports;
}

/** Losses and gradient norms of all steps; norms relative to their size. */
export function assertTrace(reports: readonly StepReport[], trace: Trace, tolerance: number): void {
  const { loss, gradNorm } = trace.float32;
  assert.deepEqual(reports.map(({ step }) => step), loss.map((_, i) => i + 1));
  assertClose(reports.map(({ loss }) => loss), loss, tolerance, "losses");
  const ratios = reports.map((report, i) => report.gradNorm / gradNorm[i]);
  assertClose(ratios, gradNorm.map(() => 1), tolerance, "gradient norms");
}
