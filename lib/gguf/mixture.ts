// Which number format each tensor gets, as llama.cpp decides: its converter for f32, f16 and q8_0, llama-quantize (from an f32
// file, without an importance matrix) for q4_0 and q4_k_m.
import type { ModelConfig } from "../models/config.ts";
import type { WrittenType } from "./quantize.ts";
import { ggmlTypes } from "./types.ts";

/** How {@linkcode exportGGUF} stores numbers. */
export type GGUFType = "f32" | "f16" | "q8_0" | "q4_0" | "q4_k_m";

/** llama.cpp's numbers for them (general.file_type). */
export const fileTypes: Readonly<Record<GGUFType, number>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q8_0: 7,
  q4_k_m: 15,
};

/** The format of every tensor, by llama.cpp's names. */
export function chooseTypes(
  shapes: ReadonlyMap<string, readonly number[]>,
  type: GGUFType,
  config: ModelConfig,
): Map<string, WrittenType> {
  const counters = { values: 0, down: 0 };
  const total = {
    values: [...shapes.keys()].filter((name) => name.includes("attn_v.weight")).length,
    down: config.numHiddenLayers,
  };
  const chosen = new Map<string, WrittenType>();
  for (const name of [...shapes.keys()].sort(byLayer)) {
    const shape = shapes.get(name)!;
    if (shape.length < 2 || type === "f32") chosen.set(name, "F32");
    else if (type === "f16") chosen.set(name, "F16");
    else if (type === "q8_0") chosen.set(name, isTable(name) ? "F16" : fitting("Q8_0", shape));
    else chosen.set(name, isTable(name) ? "F32" : fitting(mixed(name, shape), shape));
  }
  return chosen;

  function mixed(name: string, shape: readonly number[]): WrittenType {
    const usual = type === "q4_0" ? "Q4_0" : "Q4_K";
    const isHead = name === "output.weight" || (name === "token_embd.weight" && !shapes.has("output.weight"));
    if (isHead) return shape[1] % ggmlTypes[usual].block === 0 ? "Q6_K" : "Q8_0";
    if (type === "q4_0") return usual;
    if (name.includes("attn_v.weight")) {
      return hasMoreBits(counters.values++, total.values) || isLlama70B(config) ? "Q6_K" : usual;
    }
    if (name.includes("ffn_down")) return hasMoreBits(counters.down++, total.down) ? "Q6_K" : usual;
    return usual;
  }
}

/** T5's tables of relative positions are small, and never quantised. */
const isTable = (name: string): boolean => name.includes("attn_rel_b");

/** The first and last eighth of the layers, and every third between them. */
function hasMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor(7 * layers / 8) || (layer - eighth) % 3 === 2;
}

/** There eight heads share their values, which are worth more bits (llama-quantize takes Q5_K, whose next is this). */
const isLlama70B = (
  { modelType, numHiddenLayers, numAttentionHeads, numKeyValueHeads }: ModelConfig,
): boolean => modelType === "llama" && numHiddenLayers === 80 && numAttentionHeads !== numKeyValueHeads;

/** A format whose blocks the rows are whole of: the one that was meant, its neighbour with blocks of 32, or f16. */
function fitting(type: WrittenType, shape: readonly number[]): WrittenType {
  const fits = (type: WrittenType) => shape[shape.length - 1] % ggmlTypes[type].block === 0;
  const smaller: WrittenType = type === "Q4_K" ? "Q5_0" : type === "Q6_K" ? "Q8_0" : type;
  return fits(type) ? type : fits(smaller) ? smaller : "F16";
}

/** llama.cpp's order, in which it counts: by the number of the block (T5's names hide it), then by name. */
function byLayer(a: string, b: string): number {
  const layer = (name: string) => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1);
  return layer(a) - layer(b) || (a < b ? -1 : 1);
}
