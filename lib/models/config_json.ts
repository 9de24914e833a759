// A configuration as the config.json that every version of Transformers reads.
import type { ModelConfig, ModelType } from "./config_types.ts";
import type { Model } from "./model.ts";
import { t5Json } from "./t5_config.ts";

const classNames: Record<Exclude<ModelType, "t5">, string> = {
  llama: "LlamaForCausalLM",
  mistral: "MistralForCausalLM",
  qwen2: "Qwen2ForCausalLM",
  qwen3: "Qwen3ForCausalLM",
  gemma: "GemmaForCausalLM",
};

/** config.json's content; `dtype` is the one that the weights are stored in, by PyTorch's name. */
export function configJson({ config, weights }: Model, dtype: string): Record<string, unknown> {
  const c: ModelConfig = config;
  if (c.modelType === "t5") return { ...t5Json(c), torch_dtype: dtype };
  return {
    architectures: [classNames[c.modelType]],
    model_type: c.modelType,
    vocab_size: c.vocabSize,
    hidden_size: c.hiddenSize,
    intermediate_size: c.intermediateSize,
    num_hidden_layers: c.numHiddenLayers,
    num_attention_heads: c.numAttentionHeads,
    num_key_value_heads: c.numKeyValueHeads,
    head_dim: c.headDim,
    hidden_act: c.hiddenAct === "silu" ? "silu" : "gelu_pytorch_tanh",
    rms_norm_eps: c.rmsNormEps,
    rope_theta: c.ropeTheta,
    rope_scaling: ropeScalingJson(c),
    max_position_embeddings: c.maxPositionEmbeddings,
    // Without the field a Mistral has a window of 4096.
    sliding_window: c.modelType === "mistral" ? c.slidingWindow : undefined,
    tie_word_embeddings: !weights.has("lm_head.weight"),
    attention_bias: c.attentionBias,
    mlp_bias: c.mlpBias,
    initializer_range: c.initializerRange,
    bos_token_id: c.bosTokenId,
    eos_token_id: c.eosTokenIds.length === 1 ? c.eosTokenIds[0] : c.eosTokenIds,
    pad_token_id: c.padTokenId,
    torch_dtype: dtype,
  };
}

function ropeScalingJson({ ropeScaling }: ModelConfig): Record<string, unknown> | null {
  if (!ropeScaling) return null;
  if (ropeScaling.ropeType === "linear") return { rope_type: "linear", factor: ropeScaling.factor };
  return {
    rope_type: "llama3",
    factor: ropeScaling.factor,
    low_freq_factor: ropeScaling.lowFreqFactor,
    high_freq_factor: ropeScaling.highFreqFactor,
    original_max_position_embeddings: ropeScaling.originalMaxPositionEmbeddings,
  };
}
