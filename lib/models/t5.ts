// T5 (Raffel et al. 2020, arXiv:1910.10683): an encoder reads the question, a decoder writes the answer and looks back at it.
// Blocks are pre-normalised; positions are a bias on the scores by distance, which the first block of each stack owns and all
// its blocks share; attention is not scaled (the initialisation takes care of that). Activations are [tokens, width], the
// rows of a batch behind one another, and f32 throughout: wo, whose output leaves half precision's range, needs no exception.
import type { Value } from "../engine/graph.ts";
import { add } from "../engine/ops/add.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { gatedActivation } from "../engine/ops/gated_activation.ts";
import type { EncoderDecoderConfig, ModelConfig } from "./config_types.ts";
import { type Attend, norm } from "./decoder.ts";
import type { Layer } from "./parameters.ts";

/** An encoder's block: x -> x + attention(norm(x)) -> x + mlp(norm(x)). */
export function encoderBlock(x: Value, layer: Layer, attend: Attend, config: ModelConfig): Value {
  return feedForward(selfAttention(x, layer, attend, config).y, layer, 1, config);
}

/** How a block of the decoder looks at the answer so far and at what the encoder made of the question. */
export interface Looks {
  readonly self: Attend;
  readonly cross: (q: Value) => Value;
}

/** A decoder's block; keys and values of the answer's own tokens come along for the cache. */
export function decoderBlock(x: Value, layer: Layer, { self, cross }: Looks, config: ModelConfig) {
  const { y: seen, k, v } = selfAttention(x, layer, self, config);
  const q = layer.linear("layer.1.EncDecAttention.q", norm(seen, layer, "layer.1.layer_norm", config));
  const looked = add(seen, layer.linear("layer.1.EncDecAttention.o", cross(q)));
  return { y: feedForward(looked, layer, 2, config), k, v };
}

/** What a block of the decoder sees of the encoder's output: its own keys and values of every token of the question. */
export function memoryOf(encoded: Value, { linear }: Layer): { k: Value; v: Value } {
  return {
    k: linear("layer.1.EncDecAttention.k", encoded),
    v: linear("layer.1.EncDecAttention.v", encoded),
  };
}

function selfAttention(x: Value, layer: Layer, attend: Attend, config: ModelConfig) {
  const h = norm(x, layer, "layer.0.layer_norm", config);
  const [q, k, v] = ["q", "k", "v"].map((part) => layer.linear(`layer.0.SelfAttention.${part}`, h));
  return { y: add(x, layer.linear("layer.0.SelfAttention.o", attend(q, k, v))), k, v };
}

function feedForward(x: Value, layer: Layer, place: number, config: ModelConfig): Value {
  const h = norm(x, layer, `layer.${place}.layer_norm`, config);
  const linear = (name: string, y: Value) => layer.linear(`layer.${place}.DenseReluDense.${name}`, y);
  return add(x, linear("wo", activation(h, linear, config)));
}

/** Gated GELU (v1.1, FLAN), or the ReLU of v1.0. */
function activation(
  h: Value,
  linear: (name: string, x: Value) => Value,
  { hiddenAct, encoderDecoder }: ModelConfig,
): Value {
  if (!encoderDecoder!.gated || hiddenAct === "relu") {
    const wide = linear("wi", h);
    return gatedActivation(wide, wide, { kind: "step" });
  }
  return gatedActivation(linear("wi_0", h), linear("wi_1", h), { kind: hiddenAct });
}

/** What attention needs to know of the heads. */
export function t5Heads({ numAttentionHeads }: ModelConfig) {
  return { heads: numAttentionHeads, kvHeads: numAttentionHeads, scale: 1 };
}

/** table [buckets, heads], buckets i32[distances] -> the bias by distance, f32[distances, heads] */
export const relativeBias = (table: Value, buckets: Value): Value => embedding(buckets, table);

/** A stack's name, which begins its weights' names. */
export type StackName = "encoder" | "decoder";

/** The name of a stack's table of relative positions. */
export const biasTable = (stack: StackName): string =>
  `${stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`;

/** Distances, key minus query, from -reach to reach: those beyond are in the bucket of the last. */
export const reachOf = ({ relativeAttentionMaxDistance }: EncoderDecoderConfig): number =>
  relativeAttentionMaxDistance;

/**
 * The table's row for every distance. Half of the encoder's rows are for keys behind the query; a decoder sees none, and has
 * them all for those before. Half of a direction's rows are for exact distances, the others' widths grow logarithmically.
 */
export function distanceBuckets(stack: StackName, config: EncoderDecoderConfig): Int32Array {
  const { relativeAttentionNumBuckets, relativeAttentionMaxDistance: furthest } = config;
  const rows = stack === "encoder" ? relativeAttentionNumBuckets / 2 : relativeAttentionNumBuckets;
  const exact = Math.floor(rows / 2), reach = reachOf(config);
  const widths = Math.fround(Math.log(furthest / exact));
  const bucket = (steps: number) => {
    if (steps < exact) return steps;
    // In float32, as Transformers computes it: a rounding decides which side of a border a distance is on.
    const share = Math.fround(Math.fround(Math.log(Math.fround(steps / exact))) / widths);
    return Math.min(rows - 1, exact + Math.trunc(Math.fround(share * (rows - exact))));
  };
  return Int32Array.from({ length: 2 * reach + 1 }, (_, i) => {
    const distance = i - reach;
    if (stack === "decoder") return bucket(Math.max(0, -distance));
    return bucket(Math.abs(distance)) + (distance > 0 ? rows : 0);
  });
}
