// llama.cpp's metadata as the config.json that it was made from, which then passes the checks that every config.json passes.
import { UserError } from "../errors.ts";
import { inverseFrequencies, type ModelConfig, parseConfig, type RopeScaling } from "../models/config.ts";
import { dequantizeGgml } from "./dequantize.ts";
import { endIds } from "./ends.ts";
import { type MetadataReader, metadataReader } from "./metadata_reader.ts";
import type { GgufFile } from "./read.ts";

/**
 * The configuration of a GGUF file's model.
 *
 * @throws UserError for an architecture, a size or a variant that is not supported
 */
export async function ggufConfig(file: GgufFile, path: string): Promise<ModelConfig> {
  const read = metadataReader(file.metadata, path), arch = read.text("general.architecture");
  if (read.text("general.type") === "adapter") {
    throw new UserError(`${path} is an adapter for llama.cpp, no model: loadAdapter reads PEFT's folders.`);
  }
  const known = ["llama", "qwen2", "qwen3", "gemma", "t5"];
  if (arch === undefined || !known.includes(arch)) {
    throw new UserError(
      `${path}: the architecture ${JSON.stringify(arch) ?? "(missing)"} is not supported, only ${
        known.join(", ")
      }.`,
    );
  }
  const own = (key: string) => read.number(`${arch}.${key}`), has = (name: string) => file.tensors.has(name);
  const vocabulary = read.list<string>("tokenizer.ggml.tokens", "string")?.length;
  const id = (name: string) => read.number(`tokenizer.ggml.${name}_token_id`);
  const shared = {
    model_type: arch,
    vocab_size: file.tensors.get("token_embd.weight")?.shape[0] ?? vocabulary,
    tie_word_embeddings: !has("output.weight"),
    bos_token_id: id("bos"),
    eos_token_id: endIds(read),
    pad_token_id: id("padding"),
  };
  if (arch === "t5") return parseConfig({ ...shared, ...t5Json(own, has) }, path);
  const window = own("attention.sliding_window"), headDim = own("attention.key_length");
  const rotated = own("rope.dimension_count");
  if (rotated !== undefined && headDim !== undefined && rotated !== headDim) {
    throw new UserError(`${path}: ${arch}.rope.dimension_count ${rotated} is not a head's width ${headDim}.`);
  }
  const json = {
    ...shared,
    model_type: arch === "llama" && window ? "mistral" : arch,
    hidden_size: own("embedding_length"),
    intermediate_size: own("feed_forward_length"),
    num_hidden_layers: own("block_count"),
    num_attention_heads: own("attention.head_count"),
    num_key_value_heads: own("attention.head_count_kv") ?? own("attention.head_count"),
    head_dim: headDim ?? rotated,
    rms_norm_eps: own("attention.layer_norm_rms_epsilon"),
    max_position_embeddings: own("context_length"),
    sliding_window: window,
    attention_bias: has("blk.0.attn_q.bias"),
    mlp_bias: has("blk.0.ffn_gate.bias"),
    hidden_act: arch === "gemma" ? "gelu_pytorch_tanh" : "silu",
    rope_theta: own("rope.freq_base"),
    rope_scaling: linearScaling(read, arch, path),
  };
  const config = parseConfig(json, path);
  return has("rope_freqs.weight") ? await stretched(config, file, path) : config;
}

function t5Json(own: (key: string) => number | undefined, has: (name: string) => boolean) {
  return {
    d_model: own("embedding_length"),
    d_ff: own("feed_forward_length"),
    d_kv: own("attention.key_length"),
    num_layers: own("block_count"),
    num_decoder_layers: own("decoder_block_count") ?? own("block_count"),
    num_heads: own("attention.head_count"),
    relative_attention_num_buckets: own("attention.relative_buckets_count"),
    layer_norm_epsilon: own("attention.layer_norm_rms_epsilon"),
    feed_forward_proj: has("enc.blk.0.ffn_gate.weight") ? "gated-gelu" : "relu",
    decoder_start_token_id: own("decoder_start_token_id"),
  };
}

function linearScaling(
  read: MetadataReader,
  arch: string,
  path: string,
): Record<string, unknown> | undefined {
  const type = read.text(`${arch}.rope.scaling.type`), factor = read.number(`${arch}.rope.scaling.factor`);
  if (type === undefined || type === "none") return undefined;
  if (type === "linear") return { rope_type: "linear", factor };
  throw new UserError(
    `${path}: rope scaling of type ${JSON.stringify(type)} is not supported (linear, or Llama 3's).`,
  );
}

/**
 * Llama 3's stretching, from the factors that llama.cpp keeps of it: the largest is the factor; between the borders 1 / factor
 * is linear in the frequency, which two of them tell (low_freq_factor is 1 without loss: all three scale together).
 */
async function stretched(config: ModelConfig, file: GgufFile, path: string): Promise<ModelConfig> {
  const refuse = () =>
    new UserError(`${path}: rope_freqs.weight is no stretching of rotary positions as Llama 3 has it.`);
  const info = file.tensors.get("rope_freqs.weight")!;
  if (info.shape.join() !== String(config.headDim / 2)) throw refuse();
  const factors = dequantizeGgml(info.type, await file.read("rope_freqs.weight"));
  if (factors.every((factor) => factor === 1)) return config;
  const plain = inverseFrequencies({ ...config, ropeScaling: null });
  for (const ropeScaling of likelyScalings(factors, plain)) {
    const made = inverseFrequencies({ ...config, ropeScaling });
    if (made.every((one, i) => Math.abs(plain[i] / one / factors[i] - 1) < 1e-3)) {
      return { ...config, ropeScaling };
    }
  }
  throw refuse();
}

/** What fits the factors between the borders; where fewer than two are there, with Llama 3's own high_freq_factor. */
function likelyScalings(factors: Float32Array, plain: Float32Array): RopeScaling[] {
  const factor = factors.reduce((most, one) => Math.max(most, one), 1);
  const between = [...factors.keys()].filter((i) => factors[i] > 1.0001 && factors[i] < factor * 0.9999);
  // (original * turns - 1) / (high - 1), with turns a position
  const share = (i: number) => (1 / factors[i] - 1 / factor) / (1 - 1 / factor);
  const turns = (i: number) => plain[i] / (2 * Math.PI);
  const [first] = between, last = between.at(-1)!;
  let high = 4, originals = [8192, 4096, 2048, 1024];
  if (between.length === 1) originals = [((high - 1) * share(first) + 1) / turns(first)];
  if (between.length > 1) {
    const slope = (share(first) - share(last)) / (turns(first) - turns(last));
    high = 1 - 1 / (share(first) - slope * turns(first));
    originals = [slope * (high - 1)];
  }
  return originals.map((original) => ({
    ropeType: "llama3" as const,
    factor,
    lowFreqFactor: 1,
    highFreqFactor: Math.round(high * 1000) / 1000,
    originalMaxPositionEmbeddings: Math.round(original),
  })).filter((scaling) => scaling.highFreqFactor > 1 && scaling.originalMaxPositionEmbeddings > 0);
}
