// A dense model as a Hugging Face folder: weights, configuration, tokenizer, as Transformers reads them.
import { checkModel, checkName } from "../arguments.ts";
import { basename, dirname, join } from "@std/path";
import { UserError } from "../errors.ts";
import { removeLeftovers, writeFileAtomic, writeFolder } from "../formats/atomic.ts";
import { checkNumbers } from "../formats/check_numbers.ts";
import { elementBytes, elementCount } from "../formats/dtypes.ts";
import { namesIn } from "../formats/exists.ts";
import { fileError } from "../formats/file_error.ts";
import { type TensorData, toBfloat16, toFloat16, writeSafetensors } from "../formats/safetensors.ts";
import { weightValues } from "../quantize/model.ts";
import { chatRenderer } from "../text/chat_template.ts";
import { configJson } from "./config_json.ts";
import { generationConfigJson } from "./generation_config.ts";
import { activeAdapter, type Model, type Weight } from "./model.ts";

/** Options of {@linkcode saveModel}. */
export interface SaveModelOptions {
  /** What the numbers are stored in; default "f32", as they are computed. "bf16" and "f16" take half the room. */
  dtype?: "f32" | "f16" | "bf16";
  /** Bytes of a file; a larger model goes into several with an index. Default 5e9, as the Hub likes them. */
  maxShardSize?: number;
  /** A chat template (Jinja) that is saved in place of the tokenizer's: the one that the model was tuned with. */
  chatTemplate?: string;
  /** Replace a model that is already in the folder (other files stay); default false. */
  overwrite?: boolean;
}

const DTYPES = {
  f32: { code: "F32", name: "float32" },
  f16: { code: "F16", name: "float16" },
  bf16: { code: "BF16", name: "bfloat16" },
} as const;
type Precision = keyof typeof DTYPES;

const CONFIG = "config.json";
const INDEX = "model.safetensors.index.json";
const WEIGHTS = /^model(-\d{5}-of-\d{5})?\.safetensors$/;
/** All that may lie in a folder of its tokenizer: another model's must not stay beside the new one. */
const TOKENIZER = [
  "tokenizer.json",
  "tokenizer.model",
  "spiece.model",
  "qwen.tiktoken",
  "vocab.json",
  "merges.txt",
  "added_tokens.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "chat_template.json",
];

/**
 * Writes a model as Transformers' `save_pretrained` does: config.json, generation_config.json, the tokenizer's files with its
 * chat template, and model.safetensors, or shards with their index. Transformers, {@linkcode loadModel} and every tool that
 * takes a Hugging Face folder load it.
 *
 * A new folder is there whole or not at all. Into one that exists already the files are moved when all of them are complete,
 * config.json last. Tensors are read from the device one at a time.
 *
 * @param model dense, without an adapter in use: {@linkcode mergeAdapter} makes both so
 * @param folder made if it is not there
 * @throws UserError when an adapter is in use, weights are quantised or too large for f16, the chat template does not work,
 *   or the folder already holds a model or files of its names, or an adapter
 *
 * @example
 * ```ts
 * import { attachLoRA, loadModel, mergeAdapter, saveModel } from "@fintune/fintune";
 * const tuned = attachLoRA(await loadModel("tests/reference/llama_tied/model"), { r: 4, quiet: true }); // ... and train it
 * const { model } = await mergeAdapter(tuned);
 * const folder = `${await Deno.makeTempDir()}/merged`;
 * await saveModel(model, folder, { dtype: "bf16", maxShardSize: 200_000 });
 * console.log((await loadModel(folder)).config.vocabSize); // 120
 * ```
 */
export async function saveModel(model: Model, folder: string, options: SaveModelOptions = {}): Promise<void> {
  checkModel("saveModel", model);
  checkName("saveModel", "a folder", folder);
  const settings = checkedOptions(options), shards = shardsOf(model, settings);
  if (options.chatTemplate !== undefined) await checkTemplate(model, options.chatTemplate);
  const small = smallFiles(model, settings.dtype, shards, options.chatTemplate);
  const files = [...shards.keys(), ...small.keys()];
  const there = await namesIn(folder);
  refuseAdapter(folder, there);
  if (!options.overwrite) refuseTaken(folder, there, files);
  const fill = async (temporary: string) => {
    for (const [file, tensors] of shards) {
      await writeSafetensors(join(temporary, file), tensors, { format: "pt" });
    }
    for (const [file, text] of small) await writeFileAtomic(join(temporary, file), text);
  };
  if (there) return await moveInto(folder, there, files, fill);
  try {
    await Deno.mkdir(dirname(folder), { recursive: true });
    await removeLeftovers(dirname(folder), (name) => name === basename(folder)); // of a process that was killed while it saved
  } catch (error) {
    throw fileError(error, folder, "write");
  }
  await writeFolder(folder, fill);
}

/** Writes the same files into a folder that the caller makes whole. */
export async function writeModelFiles(model: Model, folder: string): Promise<void> {
  const settings = checkedOptions({}), shards = shardsOf(model, settings);
  for (const [file, tensors] of shards) await writeSafetensors(join(folder, file), tensors, { format: "pt" });
  for (const [file, text] of smallFiles(model, settings.dtype, shards)) {
    await writeFileAtomic(join(folder, file), text);
  }
}

function checkedOptions({ dtype = "f32", maxShardSize = 5e9 }: SaveModelOptions) {
  if (!Object.hasOwn(DTYPES, dtype)) {
    throw new UserError(`saveModel: dtype is ${JSON.stringify(dtype)}; it is "f32", "f16" or "bf16".`);
  }
  if (!(maxShardSize > 0)) {
    throw new UserError(`saveModel: maxShardSize is ${maxShardSize}; it is in bytes, above 0.`);
  }
  return { dtype, maxShardSize };
}

/** What nobody could chat with is better refused than saved. */
async function checkTemplate({ name, tokenizer }: Model, template: unknown): Promise<void> {
  const config = tokenizer?.files?.().config;
  if (!config) throw new UserError(`saveModel: ${name} has no tokenizer that a chatTemplate could go with.`);
  if (typeof template !== "string") {
    throw new UserError("saveModel: chatTemplate is the template itself, as text.");
  }
  const source = "saveModel's chatTemplate", content = "What is a bond?";
  let text: string;
  try {
    const { render } = await chatRenderer(template, config as Record<string, string>, source);
    text = render([{ role: "user", content }], { addGenerationPrompt: true });
  } catch (error) {
    throw new UserError(`${(error as Error).message.trim().replaceAll("\n", " ")}.`);
  }
  if (text.includes(content)) return;
  throw new UserError(
    `${source} leaves out what a user says: give the template itself, not the name of its file.`,
  );
}

type Shards = Map<string, Map<string, TensorData & { bytes: number }>>;

/** Which tensors go into which file, in the model's order, as huggingface_hub splits them. */
function shardsOf(model: Model, { dtype, maxShardSize }: { dtype: Precision; maxShardSize: number }): Shards {
  checkSavable(model);
  const { code } = DTYPES[dtype], parts: Map<string, TensorData & { bytes: number }>[] = [new Map()];
  let size = 0;
  for (const [name, weight] of model.weights) {
    if (weight.kind !== "dense") continue;
    const { shape } = weight.tensor, bytes = elementCount(shape) * elementBytes(code);
    if (size > 0 && size + bytes > maxShardSize) {
      parts.push(new Map());
      size = 0;
    }
    size += bytes;
    parts.at(-1)!.set(name, { dtype: code, shape, bytes, data: () => stored(model, name, weight, dtype) });
  }
  const number = (i: number) => String(i).padStart(5, "0");
  return new Map(parts.map((tensors, i) => [
    parts.length === 1
      ? "model.safetensors"
      : `model-${number(i + 1)}-of-${number(parts.length)}.safetensors`,
    tensors,
  ]));
}

function checkSavable(model: Model): void {
  if (activeAdapter(model)) {
    throw new UserError(
      "saveModel would leave out the adapter in use: merge it first (mergeAdapter), or save it alone (saveAdapter).",
    );
  }
  for (const [name, { kind }] of model.weights) {
    if (kind === "dense") continue;
    throw new UserError(
      `${name} is quantised, and saveModel writes dense models: load the model unquantised, or merge its adapter ` +
        '(mergeAdapter with { into: "dequantized" }).',
    );
  }
}

async function stored(
  { device }: Model,
  name: string,
  weight: Weight,
  dtype: Precision,
): Promise<Uint8Array> {
  const numbers = await weightValues(device, weight);
  checkNumbers(name, numbers, dtype === "f16" ? { instead: 'save as "bf16" or "f32"' } : undefined);
  if (dtype === "f16") return toFloat16(numbers);
  if (dtype === "bf16") return toBfloat16(numbers);
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

/** Every file but the weights. */
function smallFiles(
  model: Model,
  dtype: Precision,
  shards: Shards,
  chatTemplate?: string,
): Map<string, string> {
  const json = (value: unknown) => JSON.stringify(value, null, 2) + "\n";
  const { config: { encoderDecoder }, generation, tokenizer } = model;
  const files = new Map<string, string>();
  if (shards.size > 1) files.set(INDEX, json(indexOf(shards)));
  const start = encoderDecoder && { decoder_start_token_id: encoderDecoder.decoderStartTokenId };
  files.set("generation_config.json", json({ ...generationConfigJson(generation), ...start }));
  const source = tokenizer?.files?.();
  if (source) {
    files.set("tokenizer.json", JSON.stringify(source.json) + "\n");
    const template = chatTemplate === undefined ? {} : { chat_template: chatTemplate };
    files.set("tokenizer_config.json", json({ ...source.config, ...template }));
  }
  return files.set(CONFIG, json(configJson(model, DTYPES[dtype].name)));
}

function indexOf(shards: Shards): Record<string, unknown> {
  const entries = [...shards].flatMap(([file, tensors]) =>
    [...tensors].map(([name, data]) => ({ file, name, ...data }))
  );
  const total = (of: (entry: typeof entries[number]) => number) =>
    entries.reduce((sum, entry) => sum + of(entry), 0);
  return {
    metadata: {
      total_parameters: total(({ shape }) => elementCount(shape)),
      total_size: total(({ bytes }) => bytes),
    },
    weight_map: Object.fromEntries(entries.map(({ name, file }) => [name, file])),
  };
}

/** Nothing is replaced, and no other weights are hidden by the new ones. */
function refuseTaken(folder: string, there: Set<string> | undefined, files: readonly string[]): void {
  const others = [...there ?? []].filter((name) => WEIGHTS.test(name) || name === INDEX);
  const taken = [CONFIG, ...files, ...others].find((name) => there?.has(name));
  if (!taken) return;
  throw new UserError(
    `${folder} already holds a model (${taken}): choose another folder, or replace it with { overwrite: true }.`,
  );
}

/** Beside an adapter's files Transformers takes a model for the base, and adds the adapter once more. */
function refuseAdapter(folder: string, there: Set<string> | undefined): void {
  if (!there?.has("adapter_config.json")) return;
  throw new UserError(
    `${folder} holds an adapter, which Transformers would add to the saved model again: choose another folder.`,
  );
}

/** Into a folder that exists: all are complete before any is put in place, and config.json, which makes a model of them, comes last. */
async function moveInto(
  folder: string,
  there: Set<string>,
  files: readonly string[],
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  const staging = join(folder, `.model.${crypto.randomUUID().slice(0, 8)}.tmp`);
  const isOld = (name: string) =>
    WEIGHTS.test(name) || name === INDEX || (TOKENIZER.includes(name) && files.includes("tokenizer.json"));
  try {
    await removeLeftovers(folder, (name) => name === "model");
    await Deno.mkdir(staging);
    await fill(staging);
    for (const name of [CONFIG, ...[...there].filter(isOld)]) {
      if (there.has(name)) await Deno.remove(join(folder, name));
    }
    for (const name of files) await Deno.rename(join(staging, name), join(folder, name));
  } catch (error) {
    const shown = error instanceof UserError
      ? new UserError(error.message.replaceAll(staging, folder))
      : error;
    throw fileError(shown, folder, "write");
  } finally {
    await Deno.remove(staging, { recursive: true }).catch(() => {});
  }
}
