// A model's config.json (Hugging Face), checked and in one shape, whichever version of Transformers wrote it.

import { UserError } from "../errors.ts";
import type { ModelConfig, ModelType } from "./config_types.ts";
import { fieldReader, isObject, type Json, tokenIds } from "./config_fields.ts";
import { parseRope } from "./rope.ts";
import { parseT5 } from "./t5_config.ts";
export type { EncoderDecoderConfig, ModelConfig, ModelType, RopeScaling } from "./config_types.ts";
export { inverseFrequencies } from "./rope.ts";
export {
  countLoRA,
  countParameters,
  defaultTargets,
  linearModules,
  loraShapes,
  type LoRASize,
  parameterShapes,
} from "./shapes.ts";

/** What a family's Transformers class assumes for fields that config.json leaves out. */
const FAMILIES: Record<ModelType, Json> = {
  llama: { max_position_embeddings: 2048, bos_token_id: 1, eos_token_id: 2 },
  mistral: {
    max_position_embeddings: 131072,
    num_key_value_heads: 8,
    sliding_window: 4096,
    bos_token_id: 1,
    eos_token_id: 2,
  },
  qwen2: { max_position_embeddings: 32768, num_key_value_heads: 32 },
  qwen3: { max_position_embeddings: 32768, num_key_value_heads: 32, head_dim: 128 },
  gemma: {
    max_position_embeddings: 8192,
    num_key_value_heads: 16,
    head_dim: 256,
    hidden_act: "gelu_pytorch_tanh",
    tie_word_embeddings: true,
    pad_token_id: 0,
    eos_token_id: 1,
    bos_token_id: 2,
  },
  t5: {
    vocab_size: 32128,
    d_model: 512,
    d_kv: 64,
    d_ff: 2048,
    num_layers: 6,
    num_heads: 8,
    relative_attention_num_buckets: 32,
    relative_attention_max_distance: 128,
    layer_norm_epsilon: 1e-6,
    feed_forward_proj: "relu",
    tie_word_embeddings: true,
    pad_token_id: 0,
    eos_token_id: 1,
  },
};

/**
 * Reads the content of a config.json of the Llama, Mistral, Qwen2, Qwen3, Gemma or T5 family, with the names of Transformers 4
 * (`rope_theta`, `rope_scaling`, `torch_dtype`) or 5 (`rope_parameters`, `dtype`).
 *
 * @param json the parsed file
 * @param where what errors call it (default "config.json")
 * @returns every field, with the family's defaults where the file has none
 * @throws UserError for another family, an impossible size, or a variant that is not supported, naming the field
 *
 * @example
 * ```ts
 * import { countParameters, parseConfig } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const config = parseConfig({
 *   model_type: "llama", vocab_size: 32000, hidden_size: 2048, intermediate_size: 5632,
 *   num_hidden_layers: 22, num_attention_heads: 32, num_key_value_heads: 4,
 * });
 * assert.equal(countParameters(config), 1_100_048_384); // TinyLlama
 * ```
 */
export function parseConfig(json: unknown, where = "config.json"): ModelConfig {
  if (!isObject(json)) throw new UserError(`${where} is not a JSON object.`);
  const modelType = familyOf(json, where);
  const all: Json = { ...FAMILIES[modelType], ...json };
  const field = fieldReader(all, where);
  checkQuantization(all.quantization_config, where);
  if (modelType === "t5") return parseT5(all, field, where);
  const hiddenSize = field.size("hidden_size", 1 << 17);
  const numAttentionHeads = field.size("num_attention_heads", 1024);
  const numKeyValueHeads = field.size("num_key_value_heads", 1024, numAttentionHeads);
  checkHeads(all.head_dim == null ? hiddenSize : undefined, numAttentionHeads, numKeyValueHeads, where);
  const headDim = field.size("head_dim", 1024, hiddenSize / numAttentionHeads);
  if (headDim % 2 !== 0) {
    throw new UserError(`${where}: a head's width must be even for rotary positions, not ${headDim}.`);
  }
  const dtype = all.dtype ?? all.torch_dtype;
  return {
    modelType,
    vocabSize: field.size("vocab_size", 1 << 24),
    hiddenSize,
    intermediateSize: field.size("intermediate_size", 1 << 20),
    numHiddenLayers: field.size("num_hidden_layers", 1024),
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    hiddenAct: activation(all.hidden_act ?? "silu", where),
    qkNorm: modelType === "qwen3",
    rmsNormEps: field.positive("rms_norm_eps", 1e-6),
    ...parseRope(all, where),
    maxPositionEmbeddings: field.size("max_position_embeddings", 2 ** 31),
    slidingWindow: slidingWindow(modelType, all, where),
    tieWordEmbeddings: field.flag("tie_word_embeddings"),
    attentionBias: modelType === "qwen2" || field.flag("attention_bias"),
    attentionOutputBias: modelType !== "qwen2" && field.flag("attention_bias"),
    mlpBias: field.flag("mlp_bias"),
    normOffset: modelType === "gemma" ? 1 : 0,
    embeddingScale: modelType === "gemma" ? Math.fround(Math.sqrt(hiddenSize)) : 1,
    initializerRange: field.positive("initializer_range", 0.02),
    bosTokenId: tokenIds(all.bos_token_id, `${where}: bos_token_id`)[0],
    eosTokenIds: tokenIds(all.eos_token_id, `${where}: eos_token_id`),
    padTokenId: tokenIds(all.pad_token_id, `${where}: pad_token_id`)[0],
    dtype: typeof dtype === "string" ? dtype : undefined,
  };
}

function familyOf(json: Json, where: string): ModelType {
  const type = json.model_type;
  if (typeof type === "string" && Object.hasOwn(FAMILIES, type)) return type as ModelType;
  const known = Object.keys(FAMILIES).join(", ");
  throw new UserError(
    `${where}: model_type ${
      JSON.stringify(type) ?? "(missing)"
    } is not supported, only ${known}. A decoder that differs ` +
      "from these in fields alone is added in lib/models/config.ts (FAMILIES); another architecture gets a file like " +
      "lib/models/t5.ts.",
  );
}

function activation(name: unknown, where: string): ModelConfig["hiddenAct"] {
  if (name === "silu") return "silu";
  // Gemma's first files say "gelu" and mean the approximation with tanh, as Transformers knows too.
  if (name === "gelu_pytorch_tanh" || name === "gelu") return "gelu_tanh";
  throw new UserError(
    `${where}: hidden_act ${JSON.stringify(name)} is not supported (silu or gelu_pytorch_tanh).`,
  );
}

/** The window, or null. Qwen2 writes one that counts only with use_sliding_window, and then not in every layer. */
function slidingWindow(modelType: ModelType, json: Json, where: string): number | null {
  if (modelType.startsWith("qwen") && json.use_sliding_window === true) {
    throw new UserError(`${where}: use_sliding_window is not supported for ${modelType}.`);
  }
  if (modelType !== "mistral" || json.sliding_window == null) return null;
  return fieldReader(json, where).size("sliding_window", 2 ** 31);
}

/** `hiddenSize` is what the heads divide among themselves, where the file does not say how wide each is. */
function checkHeads(
  hiddenSize: number | undefined,
  heads: number,
  keyValueHeads: number,
  where: string,
): void {
  if (hiddenSize !== undefined && hiddenSize % heads !== 0) {
    throw new UserError(
      `${where}: hidden_size ${hiddenSize} is not a multiple of num_attention_heads ${heads}.`,
    );
  }
  if (heads % keyValueHeads !== 0) {
    throw new UserError(
      `${where}: num_attention_heads ${heads} is not a multiple of num_key_value_heads ${keyValueHeads}.`,
    );
  }
}

/** Weights that bitsandbytes quantised to NF4 are read; every other quantisation is refused by its name. */
function checkQuantization(value: unknown, where: string): void {
  if (value == null) return;
  const { quant_method: method, load_in_4bit, bnb_4bit_quant_type: type } = isObject(value) ? value : {};
  const named = (value: unknown) => typeof value === "string" ? value : JSON.stringify(value);
  const isBitsAndBytes = method === "bitsandbytes" || (method === undefined && load_in_4bit !== undefined);
  if (isBitsAndBytes && load_in_4bit === true && type === "nf4") return;
  const name = isBitsAndBytes
    ? `bitsandbytes ${load_in_4bit === true ? named(type ?? "fp4") : "int8"}`
    : named(method);
  throw new UserError(
    `${where}: weights quantised by ${name} are not supported; take the unquantised model or one in bitsandbytes nf4.`,
  );
}
