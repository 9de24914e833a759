// Adapters as folders in PEFT's own format: adapter_config.json and adapter_model.safetensors.
import { checkModel, checkName } from "./arguments.ts";
import { join } from "@std/path";
import { UserError } from "./errors.ts";
import { removeLeftovers, writeFileAtomic } from "./formats/atomic.ts";
import { namesIn } from "./formats/exists.ts";
import { fileError } from "./formats/file_error.ts";
import {
  openSafetensors,
  type SafetensorsFile,
  type TensorData,
  toFloat32,
  writeSafetensors,
} from "./formats/safetensors.ts";
import { type HubOptions, modelSource } from "./hub/model.ts";
import { readAdapter, refuseTakenName } from "./lora.ts";
import { adapterShapes } from "./lora/shapes.ts";
import { changedStart, changesBase } from "./lora/starts.ts";
import { activeAdapter, type Adapter, type Model } from "./models/model.ts";
import { adapterConfigText, parseAdapterConfig } from "./peft_config.ts";
import { readOptionalJson } from "./text/files.ts";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
/** Weights of a whole model, in one file or several. */
const MODEL = /^(pytorch_)?model([.-].*)?\.(safetensors|bin)(\.index\.json)?$/;

/** Options of {@linkcode saveAdapter}. */
export interface SaveAdapterOptions {
  /** Replace an adapter that is already in the folder; default false. */
  overwrite?: boolean;
}

/**
 * Saves the model's active adapter as PEFT does: `PeftModel.from_pretrained(base, folder)` loads it in Python, and
 * {@linkcode loadAdapter} here. The base is not saved. Both files are complete before either is put in place.
 *
 * @param model a model with an adapter in use
 * @param folder where the two files go; made if it is not there
 * @throws UserError when no adapter is in use, the folder holds an adapter already or a whole model, or it cannot be written
 *
 * @example
 * ```ts
 * import { attachLoRA, loadAdapter, loadModel, saveAdapter } from "@fintune/fintune";
 * const base = await loadModel("tests/reference/llama_tied/model");
 * const folder = await Deno.makeTempDir();
 * await saveAdapter(attachLoRA(base, { r: 2, quiet: true }), folder);
 * console.log((await loadAdapter(base, folder)).active); // default
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function saveAdapter(
  model: Model,
  folder: string,
  { overwrite = false }: SaveAdapterOptions = {},
): Promise<void> {
  const adapter = activeAdapter(model);
  if (!adapter) {
    throw new UserError(
      "The model has no adapter in use to save: add one (attachLoRA) or choose one (useAdapter).",
    );
  }
  const there = await namesIn(folder) ?? new Set();
  refuseModel(folder, there);
  if (!overwrite) refuseExisting(folder, there);
  const staging = join(folder, `.adapter.${crypto.randomUUID().slice(0, 8)}.tmp`);
  try {
    await Deno.mkdir(folder, { recursive: true });
    await removeLeftovers(folder, (name) => name === "adapter"); // of a process that was killed while it saved
    await Deno.mkdir(staging);
    await writeSafetensors(join(staging, WEIGHTS), matrices(model, adapter), { format: "pt" });
    await writeFileAtomic(join(staging, CONFIG), adapterConfigText(adapter.config, model));
    for (const file of [WEIGHTS, CONFIG]) await Deno.rename(join(staging, file), join(folder, file));
  } catch (error) {
    throw fileError(error, folder, "write");
  } finally {
    await Deno.remove(staging, { recursive: true }).catch(() => {});
  }
}

/** PEFT would write there, but from then on Transformers takes the folder for the adapter's, and the base is not loaded alone. */
function refuseModel(folder: string, there: Set<string>): void {
  const found = [...there].find((name) => MODEL.test(name)) ??
    (there.has("config.json") && !there.has(CONFIG) ? "config.json" : undefined);
  if (found === undefined) return;
  throw new UserError(
    `${folder} holds a model (${found}), which Transformers would then load with this adapter only: choose another folder.`,
  );
}

function refuseExisting(folder: string, there: Set<string>): void {
  if (!there.has(CONFIG) && !there.has(WEIGHTS)) return;
  throw new UserError(
    `${folder} already holds an adapter: choose another folder, or replace it with { overwrite: true }.`,
  );
}

/** Read from the device one at a time, as each is written. */
function matrices({ device }: Model, { parameters }: Adapter): Map<string, TensorData> {
  return new Map([...parameters].map(([name, tensor]) => {
    const data = async () => {
      const [{ buffer, byteOffset, byteLength }] = await device.read(tensor);
      return new Uint8Array(buffer, byteOffset, byteLength);
    };
    return [name, { dtype: "F32", shape: tensor.shape, data }];
  }));
}

/** Options of {@linkcode loadAdapter}. */
export interface LoadAdapterOptions extends HubOptions {
  /** The adapter's name among several; default "default". */
  name?: string;
}

/**
 * Loads a LoRA adapter that this library or PEFT saved and makes it the active one; the base is shared with the model
 * passed in. Training goes on from it like from {@linkcode attachLoRA}'s.
 *
 * All of PEFT's ways to choose linear layers are understood (names, "all-linear", a regular expression, exclude_modules,
 * layers_to_transform), rsLoRA, DoRA and trained biases. An adapter that began as PiSSA or LoftQ changes the base again as it
 * did then (its file must not be quantised), as PEFT does. Whatever else a configuration asks for is refused by name.
 *
 * @param model the base that the adapter was made for, quantised or not
 * @param source folder with adapter_config.json and adapter_model.safetensors (f32, f16 or bf16; held as f32), or
 *   "owner/name" of an adapter on the Hub
 * @returns the model with the adapter in use
 * @throws UserError when a file is missing or malformed, the adapter is for another model or needs what is not supported, or
 *   the name is taken
 *
 * @example
 * ```ts
 * import { loadAdapter, loadModel } from "@fintune/fintune";
 * const base = await loadModel("tests/reference/llama_tied/model");
 * const model = await loadAdapter(base, "tests/reference/llama_tied/adapter");
 * console.log(model.adapters.get("default")?.config.r); // 4
 * ```
 */
export async function loadAdapter(
  model: Model,
  source: string,
  { name = "default", ...options }: LoadAdapterOptions = {},
): Promise<Model> {
  checkModel("loadAdapter", model);
  checkName("loadAdapter", "a folder or an adapter's name on the Hub", source);
  refuseTakenName(model, name);
  const { folder, fetch } = await modelSource(source, options);
  await fetch("adapter");
  const path = join(folder, CONFIG);
  const json = await readOptionalJson(path);
  if (!json) throw new UserError(`${path} is missing: ${folder} is no folder of a PEFT adapter.`);
  const config = parseAdapterConfig(json, model.config, path);
  const values = await readMatrices(join(folder, WEIGHTS), adapterShapes(model.config, config));
  const changed = changesBase(config) ? (await changedStart(model, config)).weights : undefined;
  return await readAdapter(model, name, config, values, changed);
}

async function readMatrices(path: string, shapes: Map<string, number[]>): Promise<Map<string, Float32Array>> {
  const file = await openSafetensors(path);
  try {
    checkMatrices(path, file, shapes);
    const values = new Map<string, Float32Array>();
    for (const [name, { dtype }] of file.tensors) values.set(name, toFloat32(await file.read(name), dtype));
    return values;
  } finally {
    file.close();
  }
}

function checkMatrices(path: string, { tensors }: SafetensorsFile, shapes: Map<string, number[]>): void {
  for (const [name, { shape }] of tensors) {
    const expected = shapes.get(name);
    if (!expected) {
      throw new UserError(
        `${path} holds ${name}, which is no tensor of an adapter that this model and ${CONFIG} call for.`,
      );
    }
    if (shape.join() !== expected.join()) {
      throw new UserError(
        `${path}: ${name} is [${shape}], where this model needs [${expected}]: the adapter is for another model.`,
      );
    }
  }
  for (const name of shapes.keys()) {
    if (!tensors.has(name)) {
      throw new UserError(`${path} lacks ${name}, which this model and ${CONFIG} call for.`);
    }
  }
}
