// The decoder of Llama (Touvron et al. 2023) and its kin, as in the paper: pre-normalised blocks of attention with rotary
// positions and a gated feed-forward layer. Activations are [tokens, width], the rows of a batch behind one another.
import type { Value } from "../engine/graph.ts";
import { add } from "../engine/ops/add.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { gatedActivation } from "../engine/ops/gated_activation.ts";
import { rmsNorm } from "../engine/ops/rms_norm.ts";
import { rope } from "../engine/ops/rope.ts";
import type { ModelConfig } from "./config.ts";
import type { Layer } from "./parameters.ts";

/** How queries meet keys: over the batch itself (training, prompts) or over a cache (decoding). */
export type Attend = (q: Value, k: Value, v: Value) => Value;

export interface Rotation {
  /** Position of every token in its row, i32[tokens]. */
  readonly positions: Value;
  /** Cosines and sines by position, f32[length, headDim / 2]. */
  readonly cos: Value;
  readonly sin: Value;
}

/** ids i32[tokens] -> f32[tokens, hiddenSize] */
export function embed(ids: Value, table: Value, config: ModelConfig): Value {
  return embedding(ids, table, { scale: config.embeddingScale });
}

/** One block: x -> x + attention(norm(x)) -> x + mlp(norm(x)); keys and values come along for the cache. */
export function decoderBlock(
  x: Value,
  layer: Layer,
  rotation: Rotation,
  attend: Attend,
  config: ModelConfig,
) {
  const { positions, cos, sin } = rotation;
  const h = norm(x, layer, "input_layernorm", config);
  const rotated = (part: "q" | "k", heads: number) => {
    const y = layer.linear(`self_attn.${part}_proj`, h);
    const normed = config.qkNorm ? norm(y, layer, `self_attn.${part}_norm`, config) : y;
    return rope(normed, positions, cos, sin, { heads });
  };
  const q = rotated("q", config.numAttentionHeads), k = rotated("k", config.numKeyValueHeads);
  const v = layer.linear("self_attn.v_proj", h);
  const attended = add(x, layer.linear("self_attn.o_proj", attend(q, k, v)));
  return {
    y: add(attended, feedForward(norm(attended, layer, "post_attention_layernorm", config), layer, config)),
    k,
    v,
  };
}

function feedForward(h: Value, { linear }: Layer, { hiddenAct }: ModelConfig): Value {
  const kind = hiddenAct as Exclude<typeof hiddenAct, "relu">; // which only T5 has
  const gated = gatedActivation(linear("mlp.gate_proj", h), linear("mlp.up_proj", h), { kind });
  return linear("mlp.down_proj", gated);
}

/** The normalisation before the head and inside the blocks. */
export function norm(x: Value, { weight }: Pick<Layer, "weight">, name: string, config: ModelConfig): Value {
  return rmsNorm(x, weight(`${name}.weight`), { eps: config.rmsNormEps, offset: config.normOffset });
}

/** What attention needs to know of the heads. */
export function headShape({ numAttentionHeads, numKeyValueHeads, headDim }: ModelConfig) {
  return { heads: numAttentionHeads, kvHeads: numKeyValueHeads, scale: 1 / Math.sqrt(headDim) };
}

/** The first key that a query sees whose own key stands just before `end`: the row's first, or the window's. */
export function firstSeen(rowStart: number, end: number, { slidingWindow }: ModelConfig): number {
  return slidingWindow === null ? rowStart : Math.max(rowStart, end - slidingWindow);
}
