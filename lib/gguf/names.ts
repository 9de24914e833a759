// Hugging Face's names of weights as llama.cpp's, and what changes in a weight on the way: as its converter does it.
import type { ModelConfig, ModelType } from "../models/config.ts";

/** llama.cpp's architectures; Mistral is one of its Llamas. */
export const architectures: Readonly<Record<ModelType, string>> = {
  llama: "llama",
  mistral: "llama",
  qwen2: "qwen2",
  qwen3: "qwen3",
  gemma: "gemma",
  t5: "t5",
};

const WHOLE: Readonly<Record<string, string>> = {
  "model.embed_tokens": "token_embd",
  "model.norm": "output_norm",
  "lm_head": "output",
  "shared": "token_embd",
  "encoder.final_layer_norm": "enc.output_norm",
  "decoder.final_layer_norm": "dec.output_norm",
};

const DECODER: Readonly<Record<string, string>> = {
  "input_layernorm": "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  "post_attention_layernorm": "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};

const T5_ATTENTION: Readonly<Record<string, string>> = { q: "q", k: "k", v: "v", o: "o" };
const T5_DENSE: Readonly<Record<string, string>> = {
  wi: "ffn_up",
  wi_0: "ffn_gate",
  wi_1: "ffn_up",
  wo: "ffn_down",
};

/** llama.cpp's name of a weight or bias. */
export function ggufName(name: string): string {
  const [, module, kind] = /^(.*)\.(weight|bias)$/.exec(name)!;
  const block = /^model\.layers\.(\d+)\.(.*)$/.exec(module);
  if (block) return `blk.${block[1]}.${DECODER[block[2]]}.${kind}`;
  const t5 = /^(encoder|decoder)\.block\.(\d+)\.layer\.(\d)\.(.*)$/.exec(module);
  if (!t5) return `${WHOLE[module]}.${kind}`;
  const [, stack, number, place, part] = t5;
  return `${stack.slice(0, 3)}.blk.${number}.${t5Part(stack, Number(place), part)}.${kind}`;
}

function t5Part(stack: string, place: number, part: string): string {
  const [module, leaf] = part.split("."), isLast = place === (stack === "encoder" ? 1 : 2);
  if (module === "layer_norm") return isLast ? "ffn_norm" : place === 0 ? "attn_norm" : "cross_attn_norm";
  if (module === "DenseReluDense") return T5_DENSE[leaf];
  if (leaf === "relative_attention_bias") return "attn_rel_b";
  return `${module === "EncDecAttention" ? "cross_" : ""}attn_${T5_ATTENTION[leaf]}`;
}

/** How many heads share the rows of a weight that llama.cpp wants in another order; 0: the order stays. */
export function permutedHeads(name: string, config: ModelConfig): number {
  if (architectures[config.modelType] !== "llama") return 0;
  const part = /self_attn\.([qk])_proj\.(weight|bias)$/.exec(name)?.[1];
  return part === "q" ? config.numAttentionHeads : part === "k" ? config.numKeyValueHeads : 0;
}

/** Whether a weight's values are not those of Hugging Face's file. */
export const isChanged = (name: string, config: ModelConfig): boolean =>
  permutedHeads(name, config) > 0 || isOffsetNorm(name, config);

/** Gemma's norms are stored with the one that is added to them. */
const isOffsetNorm = (name: string, { normOffset }: ModelConfig): boolean =>
  normOffset !== 0 && /norm\.weight$/.test(name);

/** A weight's values as llama.cpp wants them ("to") or as Hugging Face has them ("from"); never changes what it was given. */
export function convertWeight(
  name: string,
  values: Float32Array,
  config: ModelConfig,
  way: "to" | "from",
): Float32Array {
  if (isOffsetNorm(name, config)) {
    const offset = way === "to" ? config.normOffset : -config.normOffset;
    return values.map((value) => value + offset);
  }
  const heads = permutedHeads(name, config);
  return heads === 0 ? values : permuteHeads(values, heads, config.headDim, way);
}

/**
 * Rotation pairs channel i of a head with i + half in Hugging Face's Llama, neighbours in llama.cpp's: rows take turns.
 * Also for what has the weight's rows, such as LoRA's B.
 */
export function permuteHeads(
  values: Float32Array,
  heads: number,
  headDim: number,
  way: "to" | "from",
): Float32Array {
  const width = values.length / (heads * headDim), half = headDim / 2;
  const permuted = new Float32Array(values.length);
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < headDim; i++) {
      const paired = head * headDim + 2 * (i % half) + Math.floor(i / half), plain = head * headDim + i;
      const [source, target] = way === "to" ? [plain, paired] : [paired, plain];
      permuted.set(values.subarray(source * width, (source + 1) * width), target * width);
    }
  }
  return permuted;
}
