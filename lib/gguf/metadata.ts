// A configuration as llama.cpp's metadata, as its converter writes it; what llama.cpp cannot compute is refused by name.
import { UserError } from "../errors.ts";
import { countParameters, inverseFrequencies, type ModelConfig } from "../models/config.ts";
import type { Model } from "../models/model.ts";
import { fileTypes, type GGUFType } from "./mixture.ts";
import { architectures } from "./names.ts";
import { bool, f32, type Metadata, string, u32 } from "./values.ts";

/** The metadata that is no tokenizer's. */
export function modelMetadata(model: Model, type: GGUFType): Metadata {
  const { config } = model;
  checkSupported(model);
  return new Map([
    ...generalMetadata(config, "model", model.name),
    ["general.size_label", string(sizeLabel(countParameters(config)))],
    ...config.encoderDecoder ? t5Metadata(config) : decoderMetadata(config),
    ["general.file_type", u32(fileTypes[type])],
    ["general.quantization_version", u32(2)],
  ]);
}

/** What every file begins with. */
export function generalMetadata(config: ModelConfig, type: "model" | "adapter", name: string): Metadata {
  const known = name.split(/[\\/]/).filter((part) => part !== "").at(-1) ?? name;
  return new Map([
    ["general.architecture", string(architectures[config.modelType])],
    ["general.type", string(type)],
    ["general.name", string(known.replace(/\.gguf$/, ""))],
  ]);
}

function decoderMetadata(config: ModelConfig): Metadata {
  const c = config, arch = architectures[c.modelType];
  const entries: Metadata = new Map([
    ["block_count", u32(c.numHiddenLayers)],
    // llama.cpp's Llama knows no window: up to its length both see the same.
    ["context_length", u32(Math.min(c.maxPositionEmbeddings, c.slidingWindow ?? Infinity))],
    ["embedding_length", u32(c.hiddenSize)],
    ["feed_forward_length", u32(c.intermediateSize)],
    ["attention.head_count", u32(c.numAttentionHeads)],
    ["attention.head_count_kv", u32(c.numKeyValueHeads)],
    ["rope.freq_base", f32(c.ropeTheta)],
    ["attention.layer_norm_rms_epsilon", f32(c.rmsNormEps)],
    ["attention.key_length", u32(c.headDim)],
    ["attention.value_length", u32(c.headDim)],
    ["vocab_size", u32(c.vocabSize)],
  ]);
  if (arch === "llama") entries.set("rope.dimension_count", u32(c.headDim));
  if (c.slidingWindow !== null) entries.set("attention.sliding_window", u32(c.slidingWindow));
  if (c.ropeScaling?.ropeType === "linear") {
    entries.set("rope.scaling.type", string("linear"));
    entries.set("rope.scaling.factor", f32(c.ropeScaling.factor));
  }
  return prefixed(arch, entries);
}

function t5Metadata(config: ModelConfig): Metadata {
  const c = config, t5 = config.encoderDecoder!;
  return prefixed(
    "t5",
    new Map([
      ["context_length", u32(512)], // the converter's, where config.json names none: relative positions have no end
      ["embedding_length", u32(c.hiddenSize)],
      ["feed_forward_length", u32(c.intermediateSize)],
      ["block_count", u32(c.numHiddenLayers)],
      ["decoder_block_count", u32(t5.numDecoderLayers)],
      ["attention.head_count", u32(c.numAttentionHeads)],
      ["attention.key_length", u32(c.headDim)],
      ["attention.value_length", u32(c.headDim)],
      ["attention.layer_norm_epsilon", f32(c.rmsNormEps)],
      ["attention.relative_buckets_count", u32(t5.relativeAttentionNumBuckets)],
      ["attention.layer_norm_rms_epsilon", f32(c.rmsNormEps)],
      ["decoder_start_token_id", u32(t5.decoderStartTokenId)],
      ["vocab_size", u32(c.vocabSize)],
    ]),
  );
}

const prefixed = (arch: string, entries: Metadata): Metadata =>
  new Map([...entries].map(([key, value]) => [`${arch}.${key}`, value]));

/** Which activation llama.cpp computes for each of its architectures. */
const ACTIVATION = {
  llama: "silu",
  mistral: "silu",
  qwen2: "silu",
  qwen3: "silu",
  gemma: "gelu_tanh",
} as const;

/** llama.cpp fixes for a family what config.json may vary: a file that it would compute otherwise is not written. */
function checkSupported({ config, weights, name }: Model): void {
  const refuse = (what: string) => {
    throw new UserError(
      `${name} cannot be written as GGUF: llama.cpp's ${architectures[config.modelType]} has no ${what}.`,
    );
  };
  const { modelType, hiddenAct, ropeScaling, attentionBias, attentionOutputBias, mlpBias, encoderDecoder } =
    config;
  if (encoderDecoder) {
    const { gated, relativeAttentionMaxDistance: furthest, numDecoderLayers } = encoderDecoder;
    if (numDecoderLayers > config.numHiddenLayers) refuse("decoder with more blocks than the encoder");
    if (furthest !== 128) refuse(`relative_attention_max_distance ${furthest} (only 128)`);
    if (hiddenAct !== (gated ? "gelu_tanh" : "relu")) refuse(`${gated ? "gated " : ""}${hiddenAct}`);
    return;
  }
  if (modelType === "t5") return;
  const isLlama = architectures[modelType] === "llama";
  if (hiddenAct !== ACTIVATION[modelType]) refuse(`hidden_act ${hiddenAct}`);
  if (ropeScaling?.ropeType === "llama3" && !isLlama) refuse('rope type "llama3"');
  if (!isLlama && modelType !== "qwen2" && attentionBias) refuse("attention_bias");
  if (!isLlama && (attentionOutputBias || mlpBias)) refuse("bias there (attention_bias, mlp_bias)");
  if (modelType === "gemma" && weights.has("lm_head.weight")) refuse("head of its own (lm_head)");
}

/**
 * The tensor by which llama.cpp divides Llama 3's stretched frequencies, f32[headDim / 2]; undefined where nothing is
 * stretched in this way.
 */
export function ropeFactors(config: ModelConfig): Float32Array | undefined {
  if (config.ropeScaling?.ropeType !== "llama3") return undefined;
  const plain = inverseFrequencies({ ...config, ropeScaling: null });
  return inverseFrequencies(config).map((stretched, i) => plain[i] / stretched);
}

/** "1.1B", "135M": at least two digits. */
function sizeLabel(parameters: number): string {
  const [unit, size] = ([["T", 1e12], ["B", 1e9], ["M", 1e6]] as const)
    .find(([, size]) => parameters > size) ?? ["K", 1e3];
  const scaled = parameters / size;
  const digits = Math.round(scaled) === 0 ? 0 : String(Math.round(scaled)).length;
  return `${scaled.toFixed(Math.max(0, 2 - digits))}${unit}`;
}

/** Whether a token is put before and behind a text. */
export const endings = (addsBos: boolean, addsEos: boolean): Metadata =>
  new Map([
    ["tokenizer.ggml.add_bos_token", bool(addsBos)],
    ["tokenizer.ggml.add_eos_token", bool(addsEos)],
  ]);
