// A dense model as a Hugging Face folder's weights and configuration.
import { checkModel, checkName } from "../arguments.ts";
import { join } from "@std/path";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { exists } from "../formats/exists.ts";
import { fileError } from "../formats/file_error.ts";
import { toFloat16, toFloat32, writeSafetensors } from "../formats/safetensors.ts";
import type { ModelConfig, ModelType } from "./config.ts";
import { generationConfigJson } from "./generation_config.ts";
import type { Model } from "./model.ts";
import { t5Json } from "./t5_config.ts";

/** Options of {@linkcode saveModel}. */
export interface SaveModelOptions {
  /** Default "float32". */
  dtype?: "float32" | "float16";
  /** Replace a model that is already in the folder; default false. */
  overwrite?: boolean;
}

/**
 * Writes config.json, generation_config.json and model.safetensors, as Transformers reads them. Adapters are not merged
 * (saveAdapter keeps them), tokenizer files are not copied.
 *
 * @throws UserError when weights are quantised, or the folder already holds a model
 *
 * @example
 * ```ts
 * import { loadModel, saveModel } from "@fintune/fintune";
 * const folder = await Deno.makeTempDir();
 * await saveModel(await loadModel("tests/reference/llama_tied/model"), folder, { dtype: "float16" });
 * console.log((await loadModel(folder)).config.vocabSize); // 120
 * ```
 */
export async function saveModel(model: Model, folder: string, options: SaveModelOptions = {}): Promise<void> {
  checkModel("saveModel", model);
  checkName("saveModel", "a folder", folder);
  const { dtype = "float32", overwrite = false } = options;
  if (!overwrite) await refuseExisting(folder);
  const tensors = new Map();
  for (const [name, weight] of model.weights) {
    if (weight.kind !== "dense") throw new UserError(`${name} is quantised; only dense models can be saved.`);
    const data = async (): Promise<Uint8Array> => {
      const [values] = await model.device.read(weight.tensor);
      const bytes = new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
      const full = weight.tensor.dtype === "f16" ? toFloat32(bytes, "F16") : values as Float32Array;
      return dtype === "float16"
        ? toFloat16(full)
        : new Uint8Array(full.buffer, full.byteOffset, full.byteLength);
    };
    tensors.set(name, { dtype: dtype === "float16" ? "F16" : "F32", shape: [...weight.tensor.shape], data });
  }
  await Deno.mkdir(folder, { recursive: true }).catch((error) => {
    throw fileError(error, folder, "write");
  });
  await writeSafetensors(join(folder, "model.safetensors"), tensors, { format: "pt" }, { overwrite });
  const { encoderDecoder } = model.config;
  const generationJson = {
    ...generationConfigJson(model.generation),
    ...(encoderDecoder ? { decoder_start_token_id: encoderDecoder.decoderStartTokenId } : {}),
  };
  const json = (value: unknown) => JSON.stringify(value, null, 2) + "\n";
  await writeFileAtomic(join(folder, "config.json"), json(configJson(model, dtype)));
  await writeFileAtomic(join(folder, "generation_config.json"), json(generationJson));
}

/** Weights in shards would be hidden by the new file, a configuration replaced. */
async function refuseExisting(folder: string): Promise<void> {
  for (const file of ["config.json", "model.safetensors", "model.safetensors.index.json"]) {
    if (await exists(join(folder, file))) {
      throw new UserError(
        `${folder} already holds a model (${file}): choose another folder, or replace it with { overwrite: true }.`,
      );
    }
  }
}

const classNames: Record<Exclude<ModelType, "t5">, string> = {
  llama: "LlamaForCausalLM",
  mistral: "MistralForCausalLM",
  qwen2: "Qwen2ForCausalLM",
  qwen3: "Qwen3ForCausalLM",
  gemma: "GemmaForCausalLM",
};

/** config.json in the naming that every version of Transformers reads. */
function configJson({ config, weights }: Model, dtype: string): Record<string, unknown> {
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
    sliding_window: c.slidingWindow ?? undefined,
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
