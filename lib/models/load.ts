// From a Hugging Face model folder or a GGUF file to a model on a device: tensors stream one at a time, so that a model which is quantised
// while it loads is never held unquantised.
import { checkName } from "../arguments.ts";
import { join } from "@std/path";
import type { Device } from "../engine/device.ts";
import { openDevice } from "../engine/open.ts";
import { UserError } from "../errors.ts";
import { type Checkpoint, openCheckpoint } from "../formats/checkpoint.ts";
import { toFloat16, toFloat32 } from "../formats/floats.ts";
import { openGgufModel } from "../gguf/load.ts";
import { isGguf } from "../gguf/read.ts";
import { isQuantizable, quantizeWeight, uploadNF4 } from "../quantize/model.ts";
import type { NF4Parts } from "../quantize/nf4.ts";
import { bnbParts, isBnbPart } from "../quantize/bnb_checkpoint.ts";
import { type HubOptions, modelSource } from "../hub/model.ts";
import { readOptionalJson } from "../text/files.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { type ModelConfig, parameterShapes, parseConfig } from "./config.ts";
import { checkMemory } from "./memory.ts";
import { type GenerationConfig, loadGenerationConfig } from "./generation_config.ts";
import type { Model, Weight } from "./model.ts";

/** Options of {@linkcode loadModel}. */
export interface LoadModelOptions extends HubOptions {
  /** Default: the process's own device, opened once by `openDevice()`. */
  device?: Device;
  /** "nf4" quantises the blocks' linear layers while they load (bitsandbytes' load_in_4bit); default: as stored. */
  quantize?: "nf4";
  /** "f32" keeps dense weights in f32 on a GPU too, which training them needs; default "auto": f16 where stored so. */
  dtype?: "auto" | "f32";
  /** With `quantize`: store the block scales in 8 bits too. */
  doubleQuant?: boolean;
}

let ownDevice: Promise<Device> | undefined;

/** The process's own device, opened at first need. */
export function defaultDevice(): Promise<Device> {
  return ownDevice ??= openDevice().catch((error) => {
    ownDevice = undefined;
    throw error;
  });
}

/**
 * Loads a model folder: config.json, model.safetensors or shards with their index (f32, f16, bf16, or quantised to NF4 by
 * bitsandbytes), and where they are there the tokenizer files and generation_config.json. Or a GGUF file of llama.cpp, which
 * holds all of it (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K).
 *
 * Weights are f32 on the CPU; on a GPU with shader-f16, matrices that are stored in half precision stay so.
 *
 * @param name a folder, a file whose name ends in .gguf, or "owner/name" of a model on the Hub, whose files are fetched into the
 *   cache that it shares with huggingface_hub; small files are checked before the weights are fetched
 * @throws UserError when a file is missing or malformed, a tensor does not fit the configuration, the tokenizer has
 *   more tokens than the embedding, or the Hub refuses or cannot be reached
 *
 * @example
 * ```ts
 * import { loadModel } from "@fintune/fintune";
 * const model = await loadModel("tests/reference/llama_tied/model");
 * console.log(model.config.numHiddenLayers, model.weights.size); // 2 20
 * ```
 *
 * @example A FLAN-T5 is tuned and asked like any other model: its tokenizer says that rows are questions and answers.
 * ```ts ignore
 * import { adamW, attachLoRA, evaluateLoss, generate, loadModel, packBatches, saveAdapter, train } from "@fintune/fintune";
 * const base = await loadModel("google/flan-t5-large");
 * const model = attachLoRA(base, { r: 16, alpha: 32, dropout: 0.1, targetModules: ["q", "v", "o"] });
 * const prompt = {
 *   name: "text to SQL",
 *   question: (row) => `${row.context}\nGenerate SQL query to answer the following question.\n${row.question}\nAnswer: `,
 *   answer: (row) => row.answer,
 * };
 * const batches = packBatches(rows, { tokenizer: model.tokenizer, prompt, maxLength: 512, maxTargetLength: 128, batchSize: 8 });
 * await train(model, batches, { optimizer: adamW(model, { learningRate: 1e-3 }), epochs: 3, out: "out/sql" });
 * const answers = await generate(model, test.map((row) => prompt.question(row)), { maxNewTokens: 128, numBeams: 4 });
 * await saveAdapter(model, "out/flan-t5-sql"); // PEFT's SEQ_2_SEQ_LM
 * ```
 */
export async function loadModel(name: string, options: LoadModelOptions = {}): Promise<Model> {
  checkName("loadModel", "a folder or a model's name on the Hub", name);
  const { quantize } = options;
  if (quantize !== undefined && quantize !== "nf4") {
    throw new UserError(`loadModel: quantize is ${JSON.stringify(quantize)}; only "nf4" is supported.`);
  }
  const files = isGguf(name) ? await openGgufModel(name) : await openFolder(name, options);
  try {
    const { config, tokenizer, generation } = files;
    if (tokenizer && tokenizer.vocabSize > config.vocabSize) {
      throw new UserError(
        `${name}: the tokenizer has ${tokenizer.vocabSize} tokens, the embedding only ${config.vocabSize} rows; they are not of one model.`,
      );
    }
    const device = options.device ?? await defaultDevice();
    checkHeadSize(name, config, device);
    const checkpoint = await files.weights();
    const prequantised = [...checkpoint.tensors.keys()].some(isBnbPart);
    if (device.backend === "cpu" && !prequantised) checkMemory(name, config, options);
    const weights = await loadWeights(name, config, checkpoint, device, options);
    return { name, config, device, weights, tokenizer, generation, adapters: new Map() };
  } finally {
    files.close();
  }
}

/** A model's files, in whichever form: the weights are fetched and opened when the rest was found to be in order. */
export interface ModelFiles {
  config: ModelConfig;
  tokenizer?: Tokenizer;
  generation: GenerationConfig;
  weights(): Promise<Checkpoint>;
  close(): void;
}

async function openFolder(name: string, options: HubOptions): Promise<ModelFiles> {
  const source = await modelSource(name, options), { folder } = source;
  await source.fetch("config", "tokenizer");
  const config = await loadConfig(folder);
  const tokenizer = await loadTokenizer(folder);
  const generation = await loadGenerationConfig(folder, config, tokenizer);
  let checkpoint: Checkpoint | undefined;
  return {
    config,
    tokenizer: tokenizer && forModel(tokenizer, config),
    generation,
    async weights() {
      await source.fetch("weights");
      return checkpoint = await openCheckpoint(folder);
    },
    close: () => checkpoint?.close(),
  };
}

/**
 * Reads and checks config.json alone: enough to count parameters and estimate memory.
 *
 * @param name a folder, a file whose name ends in .gguf, or "owner/name" of a model on the Hub
 * @throws UserError when it is missing or malformed, or the Hub refuses or cannot be reached
 */
export async function loadConfig(name: string, options: HubOptions = {}): Promise<ModelConfig> {
  if (isGguf(name)) {
    const files = await openGgufModel(name);
    files.close();
    return files.config;
  }
  const { folder, fetch } = await modelSource(name, options);
  await fetch("config");
  const path = join(folder, "config.json");
  const json = await readOptionalJson(path);
  if (!json) throw new UserError(`${path} is missing: ${folder} is no model folder.`);
  return parseConfig(json, path);
}

/** The tokenizer with what the model's configuration says of its texts: how an encoder-decoder's answers begin. */
export function forModel(tokenizer: Tokenizer, { encoderDecoder }: ModelConfig): Tokenizer {
  return encoderDecoder
    ? { ...tokenizer, decoderStartTokenId: encoderDecoder.decoderStartTokenId }
    : tokenizer;
}

/** What the attention kernels of WebGPU cannot do is said before anything is loaded. */
export function checkHeadSize(name: string, { headDim }: ModelConfig, { backend }: Device): void {
  if (backend === "cpu" || (headDim % 4 === 0 && headDim <= 256)) return;
  throw new UserError(
    `${name} has heads of ${headDim} channels; on WebGPU it must be a multiple of 4, at most 256: use the CPU (FINTUNE_BACKEND=cpu).`,
  );
}

async function loadWeights(
  folder: string,
  config: ModelConfig,
  checkpoint: Checkpoint,
  device: Device,
  options: LoadModelOptions,
): Promise<Map<string, Weight>> {
  const expected = parameterShapes(config);
  // A head in the file is the head, whatever the configuration says of ties.
  if (checkpoint.tensors.has("lm_head.weight")) {
    expected.set("lm_head.weight", [config.vocabSize, config.hiddenSize]);
  }
  const stored = storedName(checkpoint);
  checkNames(folder, expected, checkpoint);
  const weights = new Map<string, Weight>();
  for (const [name, shape] of expected) {
    const parts = await bnbParts(checkpoint, name, shape);
    if (parts) {
      checkQuantizable(folder, name, shape);
      checkDoubleQuant(folder, parts, options);
    }
    weights.set(
      name,
      parts
        ? uploadNF4(device, parts, shape as [number, number])
        : await loadTensor(stored(name), shape, checkpoint, device, options),
    );
  }
  return weights;
}

/** bitsandbytes itself leaves everything else alone, and blocks that reach across rows have no kernel here. */
function checkQuantizable(folder: string, name: string, shape: readonly number[]): void {
  if (!isQuantizable(name)) {
    throw new UserError(`${folder}: ${name} is quantised, but only the blocks' linear layers may be.`);
  }
  if (shape[1] % 64 !== 0) {
    throw new UserError(
      `${folder}: ${name} is quantised with rows of ${shape[1]} weights, no multiple of 64.`,
    );
  }
}

/** What is quantised already stays as it is: an option that would have it otherwise is a mistake. */
function checkDoubleQuant(folder: string, { nested }: NF4Parts, { doubleQuant }: LoadModelOptions): void {
  if (doubleQuant === undefined || doubleQuant === (nested !== undefined)) return;
  throw new UserError(
    `${folder} is quantised already, ${
      nested ? "with" : "without"
    } double quantisation: leave doubleQuant out, or load the model that it was made from.`,
  );
}

/** Some T5 files hold the embedding only under the name of a stack's. */
const storedName = ({ tensors }: Pick<Checkpoint, "tensors">) => (name: string): string => {
  if (name !== "shared.weight" || tensors.has(name)) return name;
  return ["encoder", "decoder"].map((stack) => `${stack}.embed_tokens.weight`)
    .find((other) => tensors.has(other)) ?? name;
};

function checkNames(
  folder: string,
  expected: Map<string, readonly number[]>,
  { tensors }: Pick<Checkpoint, "tensors">,
): void {
  const stored = storedName({ tensors });
  for (const name of expected.keys()) {
    if (!tensors.has(stored(name))) {
      throw new UserError(`${folder}: the weights lack ${name}, which config.json implies.`);
    }
  }
  for (const name of tensors.keys()) {
    if (!expected.has(name) && !isBnbPart(name) && !isUnused(name)) {
      throw new UserError(`${folder}: the weights hold ${name}, which a model of this config.json has not.`);
    }
  }
}

/** What older files hold and no model reads: computed angles; T5's embedding once more, and a bias that it never had. */
const isUnused = (name: string) =>
  name.endsWith("rotary_emb.inv_freq") || /^(encoder|decoder)\.embed_tokens\.weight$/.test(name) ||
  name === "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

async function loadTensor(
  name: string,
  shape: readonly number[],
  checkpoint: Checkpoint,
  device: Device,
  { quantize, doubleQuant, dtype = "auto" }: LoadModelOptions,
): Promise<Weight> {
  const info = checkpoint.tensors.get(name)!;
  if (info.shape.join() !== shape.join()) {
    throw new UserError(`${name} is [${info.shape}] in the weights, but config.json implies [${shape}].`);
  }
  if (!["F64", "F32", "F16", "BF16"].includes(info.dtype)) {
    throw new UserError(`${name} is stored as ${info.dtype}; weights must be F64, F32, F16 or BF16.`);
  }
  const bytes = await checkpoint.read(name);
  if (quantize === "nf4" && isQuantizable(name)) {
    return quantizeWeight(device, name, toFloat32(bytes, info.dtype), shape, { doubleQuant });
  }
  const half = dtype === "auto" && shape.length === 2 && device.supportsF16
    ? halfBits(bytes, info.dtype)
    : undefined;
  if (half) return { kind: "dense", tensor: device.upload(half, shape, "f16") };
  return { kind: "dense", tensor: device.upload(toFloat32(bytes, info.dtype), shape, "f32") };
}

/**
 * Half precision as f16: bf16 has fewer digits, so that nothing is lost but below 6e-5 (by at most 3e-8); undefined
 * where a number is too large for f16, or the weights are stored in full precision.
 */
function halfBits(bytes: Uint8Array<ArrayBuffer>, dtype: string): Uint16Array | undefined {
  const bits = (array: Uint8Array<ArrayBuffer>) =>
    new Uint16Array(array.buffer, array.byteOffset, array.byteLength / 2);
  if (dtype === "F16") return bits(bytes);
  if (dtype !== "BF16") return undefined;
  const numbers = toFloat32(bytes, dtype);
  return numbers.every((value) => Math.abs(value) <= 65504) ? bits(toFloat16(numbers)) : undefined;
}
