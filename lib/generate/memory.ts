// How much memory generating takes beside the model itself, and the refusal of what does not fit.
import { UserError } from "../errors.ts";
import { type ModelConfig, parameterShapes } from "../models/config.ts";
import { freeMemory } from "../models/memory.ts";
import type { Model } from "../models/model.ts";
import { isQuantizable } from "../quantize/model.ts";
import { formatBytes } from "../report/format.ts";
import { positionsAtOnce } from "./chunks.ts";

/** What is generated. */
export interface GenerationMemoryOptions {
  /** Prompts that are answered at the same time (batchSize); default 8. */
  streams?: number;
  /** Longest prompt with its answer, in tokens. */
  positions: number;
  /** How the blocks' linear layers are stored; default undefined: not quantised. */
  quantize?: "nf4";
  /** Default "cpu". */
  backend?: "cpu" | "webgpu";
}

/** Bytes by purpose, beside the model's weights. */
export interface GenerationMemory {
  /** Keys and values of every position (of an encoder-decoder: of the question's for the decoder, and of the answer's). */
  cache: number;
  /** Copies of the weights that the CPU's program holds: dense ones (where enough memory is free), 8-bit ones of NF4. */
  copies: number;
  /** What the largest program needs: prompts go through in chunks, so that it does not grow with their number. */
  workspace: number;
  /** All of it. */
  total: number;
}

/** onnxruntime's arena holds more than a program's working set. */
const arenaOverhead = 1.6;

/**
 * Predicts the memory of `generate` beside the model's weights, in bytes, from a configuration alone.
 *
 * @example
 * ```ts
 * import { estimateGenerationMemory, formatBytes, parseConfig } from "@fintune/fintune";
 * const tinyLlama = parseConfig({
 *   model_type: "llama", vocab_size: 32000, hidden_size: 2048, intermediate_size: 5632,
 *   num_hidden_layers: 22, num_attention_heads: 32, num_key_value_heads: 4,
 * });
 * console.log(formatBytes(estimateGenerationMemory(tinyLlama, { positions: 4096 }).cache)); // 1.48 GB
 * ```
 */
export function estimateGenerationMemory(
  config: ModelConfig,
  { streams = 8, positions, quantize, backend = "cpu" }: GenerationMemoryOptions,
): GenerationMemory {
  const { hiddenSize: h, intermediateSize: i, numHiddenLayers, vocabSize, encoderDecoder } = config;
  const layers = encoderDecoder?.numDecoderLayers ?? numHiddenLayers;
  const q = config.numAttentionHeads * config.headDim, kv = config.numKeyValueHeads * config.headDim;
  const cache = 4 * 2 * layers * streams * Math.ceil(positions / 64) * 64 * kv;
  const atOnce = Math.min(positionsAtOnce, streams * positions);
  // New keys and values of all layers come out of the CPU's one program; scores are of 128 queries at a time.
  const written = backend === "cpu" ? 2 * layers * kv : 2 * kv;
  const scores = 3 * config.numAttentionHeads * Math.min(128, atOnce) * positions;
  const numbers = atOnce * (3 * h + 3 * i + 2 * q + written) + 4 * positions * kv + scores +
    2 * streams * vocabSize;
  const workspace = 4 * numbers * (backend === "cpu" ? arenaOverhead : 1);
  const copies = backend === "cpu" ? copiedBytes(config, quantize) : 0;
  return { cache, copies, workspace, total: cache + copies + workspace };
}

function copiedBytes(config: ModelConfig, quantize?: "nf4"): number {
  let bytes = 4 * config.vocabSize * config.hiddenSize;
  for (const [name, shape] of parameterShapes(config)) {
    const inT5 = config.encoderDecoder !== undefined;
    if (inT5 && (quantize || !name.startsWith("decoder."))) continue; // only its decoder's dense weights are built in
    if (isQuantizable(name)) bytes += shape[0] * shape[1] * (quantize ? 1 + 4 / 64 : 4);
  }
  return bytes;
}

/**
 * Refuses a batch whose cache and programs do not fit into the free memory (CPU; nobody tells how much of a GPU's is free).
 *
 * @throws UserError that names the estimate and what to lower
 */
export function checkGenerationMemory({ config, device }: Model, streams: number, positions: number): void {
  if (device.backend !== "cpu") return;
  const { cache, workspace } = estimateGenerationMemory(config, { streams, positions });
  const free = freeMemory();
  if (free === undefined || cache + workspace <= free) return;
  throw new UserError(
    `${streams} answers of up to ${positions} tokens with their prompts need about ${
      formatBytes(cache + workspace)
    } beside the weights, but only ${formatBytes(free)} are free: lower batchSize or maxNewTokens.`,
  );
}
