// What all steps of one batch of prompts share: the graphs' setup, rotary tables, the cache and how programs are found.
import type { Program } from "../engine/device.ts";
import type { Graph } from "../engine/graph.ts";
import type { Tensor } from "../engine/tensor.ts";
import { activeAdapter, headName, type Model } from "../models/model.ts";
import { rotaryTables } from "../models/rotary.ts";
import { compiled } from "../train/step.ts";
import { createCache, type KVCache, type Slot } from "./cache.ts";
import type { GenerationSetup } from "./graphs.ts";

export type Tensors = Record<string, Tensor>;

/** Columns [from, to) of A's outputs that are an adapter's among several; none for the base. */
export type Columns = readonly [from: number, to: number];

/** Prompts that are answered together, each in a stream of its own. */
export interface PromptBatch {
  readonly model: Model;
  readonly prompts: readonly (readonly number[])[];
  readonly setup: GenerationSetup;
  /** cos and sin. */
  readonly rotary: Tensors;
  readonly cache: KVCache;
  /** Where a token counts only columns of its own: those of each stream. */
  columns?(stream: number): Columns;
}

export const setupOf = (model: Model): GenerationSetup => ({
  config: model.config,
  lora: activeAdapter(model)?.config,
  table: headName(model),
  cacheOnDevice: model.device.backend === "webgpu",
});

/** Room for `length` positions of every stream, in the program's memory where it has one; the caller frees the cache. */
export function createBatch(
  model: Model,
  prompts: readonly (readonly number[])[],
  length: number,
  room: Program["caches"],
): PromptBatch {
  const { device, config } = model;
  const { cos, sin } = rotaryTables(device, config, length);
  const cache = createCache(device, config, { streams: prompts.length, longest: length, room });
  return { model, prompts, setup: setupOf(model), rotary: { cos, sin }, cache };
}

/** Integers on the batch's device; one axis unless a shape is given. */
export function upload(
  { model }: Pick<PromptBatch, "model">,
  values: readonly number[],
  ...shape: number[]
): Tensor {
  return model.device.upload(Int32Array.from(values), shape.length ? shape : [values.length], "i32");
}

/**
 * Where a program writes keys and values (where JavaScript writes them, programs have no such input), and which columns count
 * for each token, where they choose.
 */
export function slotInput(
  batch: PromptBatch,
  slots: readonly Slot[],
  { inPlace = false }: { inPlace?: boolean } = {},
): Tensors {
  const { setup: { cacheOnDevice, choosing }, cache: { capacity } } = batch;
  return {
    ...(cacheOnDevice || inPlace
      ? { slots: upload(batch, slots.map(({ stream, position }) => stream * capacity + position)) }
      : {}),
    ...(choosing ? { counted: countedColumns(batch, slots) } : {}),
  };
}

/** 1 in each token's columns, 0 in the others: [slots.length, r]. */
function countedColumns({ model, setup, columns }: PromptBatch, slots: readonly Slot[]): Tensor {
  const { r } = setup.lora!, counted = new Float32Array(slots.length * r);
  slots.forEach(({ stream }, token) => {
    const [from, to] = columns!(stream);
    counted.fill(1, token * r + from, token * r + to);
  });
  return model.device.upload(counted, [slots.length, r], "f32");
}

/** A program of this batch's model, compiled once for all models and batches like it. */
export function program({ model, setup }: PromptBatch, name: string, graph: () => Graph): Promise<Program> {
  return compiled(model.device, `${name} ${JSON.stringify(setup)} ${kinds(model)}`, graph);
}

/** Which weights are dense and which quantised: programs depend on nothing else of them. */
export function kinds({ weights }: Model): string {
  return [...weights.values()].map((weight) =>
    weight.kind === "dense" ? weight.tensor.dtype : Object.keys(weight.scales)[0]
  ).join();
}
