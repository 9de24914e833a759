// Reading tests/reference/llama_*: what transformers and peft computed (see the README there), and comparing with it.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import type { TokenRow } from "../lib/data/batch.ts";
import { openSafetensors, toFloat32 } from "../lib/formats/safetensors.ts";

export const referenceFolder = (name: string): string =>
  fromFileUrl(new URL(`./reference/${name}`, import.meta.url));

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
