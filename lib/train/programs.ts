// Compiled programs and how they are found again; what a step is told and what it gives.
import type { Device, Program } from "../engine/device.ts";
import type { Graph } from "../engine/graph.ts";
import { add } from "../engine/ops/add.ts";
import type { Tensor } from "../engine/tensor.ts";
import { trace } from "../engine/trace.ts";
import type { DropoutKey } from "./inputs.ts";

export interface StepOptions {
  /** Gradients are those of lossScale times the summed loss. */
  readonly lossScale: number;
  /** Absent: nothing is dropped. */
  readonly dropout?: DropoutKey;
  /** NEFTune's alpha; needs `dropout`'s key. Absent: no noise. */
  readonly neftuneNoiseAlpha?: number;
  /** Recompute each block's activations in the backward pass (less memory), or keep them all (faster). */
  readonly checkpointing: boolean;
}

export interface StepResult {
  /** f32[1], summed over the trained positions. */
  readonly loss: Tensor;
  /** By the names of `trainableParameters`. */
  readonly gradients: Map<string, Tensor>;
}

/** Programs by device and key: models and adapters of one shape share them. */
const programs = new WeakMap<Device, Map<string, Promise<Program>>>();

/** `light`: a program that only goes over its inputs once, for which a second thread would get in the way of the others'. */
export function compiled(
  device: Device,
  key: string,
  graph: () => Graph,
  { light = false }: { light?: boolean } = {},
): Promise<Program> {
  const cache = programs.get(device) ?? new Map<string, Promise<Program>>();
  programs.set(device, cache);
  const found = cache.get(key);
  if (found) return found;
  const made = device.compile(graph(), light ? { threads: 1 } : {});
  cache.set(key, made);
  made.catch(() => cache.delete(key)); // what failed for want of memory may succeed later
  return made;
}

export const signature = (tensors: Readonly<Record<string, Tensor>>): string =>
  Object.entries(tensors).map(([name, { dtype, shape }]) => `${name}:${dtype}[${shape}]`).join(" ");

/** PEFT's names without their common beginning: the names of a graph's inputs. */
export const inputName = (name: string): string => name.replace(/^base_model\.model\./, "");

/** a + b; both are freed. */
export async function sum(device: Device, a: Tensor, b: Tensor): Promise<Tensor> {
  const program = await compiled(
    device,
    `add ${a.shape}`,
    () => trace({ a, b }, ({ a, b }) => ({ sum: add(a, b) })),
    { light: true },
  );
  const result = await program.run({ a, b });
  device.free(a, b);
  return result.sum;
}
