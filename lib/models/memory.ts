// How much memory training takes, from config.json alone; and with it the choice between keeping and recomputing.
import { freemem, totalmem } from "node:os";
import type { Device } from "../engine/device.ts";
import { byteLength, type Tensor } from "../engine/tensor.ts";
import { UserError } from "../errors.ts";
import { formatBytes } from "../report/format.ts";
import { isQuantizable } from "../quantize/model.ts";
import { countLoRA, defaultTargets, type ModelConfig, parameterShapes } from "./config.ts";
import { activeAdapter, type Model } from "./model.ts";

/** What is trained, and how. */
export interface MemoryOptions {
  /** Positions of one batch: about batchSize times the mean length of a row. */
  tokens: number;
  /** Rank of the adapter; absent: the base itself is trained. */
  r?: number;
  /** Default q_proj and v_proj (T5: q and v). */
  targetModules?: readonly string[] | "all-linear";
  /** How the blocks' linear layers are stored; default undefined: as they come. */
  quantize?: "nf4";
  /** With `quantize`: the block scales in 8 bits too. */
  doubleQuant?: boolean;
  /** Recompute activations (default true) or keep them. */
  checkpointing?: boolean;
  /** Default "cpu". */
  backend?: "cpu" | "webgpu";
  /** Dense matrices are stored as f16 (a GPU with shader-f16); default false. */
  half?: boolean;
}

/** Bytes by purpose. */
export interface MemoryEstimate {
  /** The model itself. */
  weights: number;
  /** The adapter's matrices, in f32; 0 where the base itself is trained. */
  adapter: number;
  /** The gradients of what is trained, and the optimizer's state. */
  training: number;
  /** Activations that wait for the backward pass. */
  activations: number;
  /** What the largest program needs beside them. */
  workspace: number;
  /** Deno and onnxruntime themselves (CPU). */
  runtime: number;
  /** All of it. */
  total: number;
}

/** What a Deno process with onnxruntime takes before any model. */
const runtimeBytes = 190e6;
/** onnxruntime's arena holds more than a program's working set: pieces between tensors, and room from earlier runs. */
const arenaOverhead = 1.6;

/**
 * Predicts the peak memory of training, in bytes, from a configuration alone: on the CPU that of the whole process, on
 * WebGPU that of the device's buffers. `mergeAdapter` needs `weights` without `quantize` and no more, `saveModel` one tensor
 * beside the model.
 *
 * @example
 * ```ts
 * import { estimateMemory, formatBytes, parseConfig } from "@fintune/fintune";
 * const tinyLlama = parseConfig({
 *   model_type: "llama", vocab_size: 32000, hidden_size: 2048, intermediate_size: 5632,
 *   num_hidden_layers: 22, num_attention_heads: 32, num_key_value_heads: 4,
 * });
 * const { total } = estimateMemory(tinyLlama, { tokens: 8 * 512, r: 16, quantize: "nf4", doubleQuant: true });
 * console.log(formatBytes(total));
 * ```
 */
export function estimateMemory(config: ModelConfig, options: MemoryOptions): MemoryEstimate {
  const { tokens, r, targetModules = defaultTargets(config), checkpointing = true, backend = "cpu" } =
    options;
  const weights = weightBytes(config, options);
  const trained = r === undefined ? weights / 4 : countLoRA(config, { r, targetModules });
  const adapter = r === undefined ? 0 : 4 * trained;
  const training = 3 * 4 * trained; // gradient and two moments
  const {
    hiddenSize: h,
    intermediateSize: i,
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
  } = config;
  // Positions of a question go through the encoder's blocks, those of an answer through the decoder's.
  const layers = Math.max(numHiddenLayers, config.encoderDecoder?.numDecoderLayers ?? 0);
  const q = numAttentionHeads * headDim, kv = numKeyValueHeads * headDim;
  // Per token of a block: input, both norms' outputs, q, k, v, attention's output, residual, gate and up.
  const kept = 4 * h + 2 * q + 2 * kv + 2 * i + (r === undefined ? i : 0);
  const overhead = backend === "cpu" ? arenaOverhead : 1;
  const activations = layers * tokens * 4 * (checkpointing ? h : kept);
  const backward = 3 * i + 3 * h + 2 * q + 2 * kv;
  const block = 4 * tokens * (checkpointing ? kept + backward : backward) * overhead;
  const head = 4 * (3 * Math.min(tokens, 256) * config.vocabSize + 4 * tokens * h) * overhead;
  const dequantized = backend === "cpu" && options.quantize === "nf4" ? 4 * blockWeights(config) : 0;
  const workspace = Math.max(block + dequantized, head);
  const runtime = backend === "cpu" ? runtimeBytes : 0;
  return {
    weights,
    adapter,
    training,
    activations,
    workspace,
    runtime,
    total: weights + adapter + training + activations + workspace + runtime,
  };
}

function weightBytes(
  config: ModelConfig,
  { quantize, doubleQuant, half, backend = "cpu" }: MemoryOptions,
): number {
  const scaleBytes = doubleQuant ? 1 / 64 + 4 / (64 * 256) : 4 / 64;
  let bytes = 0;
  for (const [name, shape] of parameterShapes(config)) {
    const count = shape.reduce((product, size) => product * size, 1);
    const dense = half && backend === "webgpu" && shape.length === 2 ? 2 : 4;
    bytes += count * (quantize === "nf4" && isQuantizable(name) ? 0.5 + scaleBytes : dense);
  }
  return bytes;
}

function blockWeights(config: ModelConfig): number {
  let count = 0;
  for (const [name, shape] of parameterShapes(config)) {
    if (/^(model\.layers|decoder\.block)\.0\./.test(name) && shape.length === 2) count += shape[0] * shape[1];
  }
  return count;
}

/** Bytes that the weights hold on the device: NF4 codes with their scales, dense tensors, adapters. */
export function residentBytes(model: Model): number {
  let sum = 0;
  const add = (tensor: Tensor) => void (sum += byteLength(tensor));
  for (const weight of model.weights.values()) {
    if (weight.kind === "dense") add(weight.tensor);
    else [weight.codes, ...Object.values(weight.scales)].forEach(add);
  }
  for (const adapter of model.adapters.values()) adapter.parameters.forEach(add);
  return sum;
}

/** Bytes that the largest batch so far was estimated at: onnxruntime keeps them for the next, so they are not free again. */
const held = new WeakMap<Device, number>();

/**
 * Whether to recompute activations for a batch of so many positions: kept where that fits into half of the free memory
 * (on a GPU, whose free memory no one tells, into 2 GB). NF4 on the CPU is always recomputed: only so is a layer's
 * dequantised copy shared by both passes.
 *
 * @param wanted the user's own choice, which is held against the free memory all the same
 * @throws UserError where it does not fit into the free memory: recomputed, or as wanted
 */
export function chooseCheckpointing(model: Model, tokens: number, wanted?: boolean): boolean {
  const { backend } = model.device;
  const needed = (checkpointing: boolean) => besideWeights(model, tokens, checkpointing);
  if (backend === "webgpu") return wanted ?? needed(false) > gpuBytes;
  const free = freeFor(model);
  if (free !== undefined && needed(wanted ?? true) > free) {
    const advice = wanted === false && needed(true) <= free ? "set checkpointing to true, or " : "";
    throw new UserError(
      `A batch of ${tokens} tokens needs about ${formatBytes(needed(wanted ?? true))} beside the weights${
        wanted === false ? " with its activations kept" : ""
      }, but only ${formatBytes(free)} are free: ${advice}lower batchSize or maxLength.`,
    );
  }
  const recompute = wanted ?? (isNF4(model) || free === undefined || needed(false) > free / 2);
  held.set(model.device, Math.max(held.get(model.device) ?? 0, needed(recompute)));
  return recompute;
}

/** What a GPU is trusted to have beside the weights; no one tells how much is free. */
const gpuBytes = 2e9;

const isNF4 = (model: Model) => [...model.weights.values()].some(({ kind }) => kind === "nf4");

/** Bytes that a batch of so many positions takes beside the weights. */
function besideWeights(model: Model, tokens: number, checkpointing: boolean): number {
  const lora = activeAdapter(model)?.config;
  const { activations, workspace } = estimateMemory(model.config, {
    tokens,
    r: lora?.r,
    targetModules: lora?.targetModules,
    quantize: isNF4(model) ? "nf4" : undefined,
    backend: model.device.backend,
    checkpointing,
  });
  return activations + workspace;
}

/** Free memory in bytes, with what earlier batches left to the next. */
function freeFor(model: Model): number | undefined {
  const unused = freeMemory();
  return unused === undefined ? undefined : unused + (held.get(model.device) ?? 0);
}

/** How many rows go at once, and how often, to make one optimizer step. */
export interface BatchChoice {
  /** For `packBatches`. */
  batchSize: number;
  /** For `train`. */
  gradientAccumulationSteps: number;
}

/** Of the free memory, what a batch may take: the rest is for the optimizer, held-out rows and everybody else. */
const usableShare = 0.75;

/**
 * The largest batch whose training fits into the free memory (on a GPU, whose free memory no one tells, into 2 GB), up to the
 * rows that make one optimizer step; smaller batches are accumulated to the same step.
 *
 * @param lengths tokens of each row, as far as maxLength leaves them; the longest rows are taken to meet in one batch
 * @param options `effectiveBatchSize`: rows of one optimizer step; default 16
 * @throws UserError where not even the longest row alone fits
 *
 * @example
 * ```ts
 * import { attachLoRA, chooseBatchSize, loadModel } from "@fintune/fintune";
 * const model = attachLoRA(await loadModel("tests/reference/llama_tied/model"), { r: 2, quiet: true });
 * console.log(chooseBatchSize(model, [20, 31, 12], { effectiveBatchSize: 8 }));
 * // { batchSize: 8, gradientAccumulationSteps: 1 }
 * ```
 */
export function chooseBatchSize(
  model: Model,
  lengths: Iterable<number>,
  { effectiveBatchSize = 16 }: { effectiveBatchSize?: number } = {},
): BatchChoice {
  if (!(Number.isInteger(effectiveBatchSize) && effectiveBatchSize > 0)) {
    throw new UserError(`effectiveBatchSize is ${effectiveBatchSize}; it must be a whole number from 1 on.`);
  }
  const longest = Float64Array.from(lengths).sort().reverse();
  const free = model.device.backend === "webgpu" ? gpuBytes : freeFor(model) ?? gpuBytes;
  for (let batchSize = effectiveBatchSize; batchSize >= 1; batchSize--) {
    if (effectiveBatchSize % batchSize > 0) continue;
    const tokens = longest.subarray(0, batchSize).reduce((sum, length) => sum + length, 0);
    if (besideWeights(model, tokens, true) > usableShare * free) continue;
    return { batchSize, gradientAccumulationSteps: effectiveBatchSize / batchSize };
  }
  throw new UserError(
    `A row of ${longest[0]} tokens needs about ${
      formatBytes(besideWeights(model, longest[0], true))
    } beside the ` +
      `weights, but only ${
        formatBytes(free)
      } are free, a quarter of which is kept back: lower maxLength, or free memory.`,
  );
}

/** Undefined where the system may not be asked (--allow-sys). */
export function freeMemory(): number | undefined {
  try {
    return globalThis.Deno?.systemMemoryInfo().available ?? freemem();
  } catch {
    return undefined;
  }
}

/**
 * Refuses weights that the machine's memory cannot hold at all, before a byte of them is read. What is free at the moment is
 * no measure here: the system makes room, and reports differ between systems.
 */
export function checkMemory(
  name: string,
  config: ModelConfig,
  options: Pick<MemoryOptions, "quantize" | "doubleQuant">,
): void {
  const weights = (quantize: "nf4" | undefined) =>
    estimateMemory(config, { ...options, quantize, tokens: 1, r: 1 }).weights;
  const total = totalMemory(), needed = weights(options.quantize);
  if (total === undefined || needed <= total) return;
  const advice = options.quantize
    ? "choose a smaller model"
    : `load it with quantize: "nf4" (about ${formatBytes(weights("nf4"))}), or choose a smaller model`;
  throw new UserError(
    `${name}: the weights take about ${formatBytes(needed)}, but this machine has ${
      formatBytes(total)
    } of memory: ${advice}.`,
  );
}

/** Undefined where the system may not be asked (--allow-sys). */
function totalMemory(): number | undefined {
  try {
    return globalThis.Deno?.systemMemoryInfo().total ?? totalmem();
  } catch {
    return undefined;
  }
}
