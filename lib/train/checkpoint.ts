// A run on disk: a folder with the adapter as PEFT has it (or the model's weights), the moments, and where the run stands.
import { join } from "@std/path";
import type { Tensor } from "../engine/tensor.ts";
import { UserError } from "../errors.ts";
import { writeFileAtomic, writeFolder } from "../formats/atomic.ts";
import {
  openSafetensors,
  type SafetensorsFile,
  type TensorData,
  toFloat32,
  writeSafetensors,
} from "../formats/safetensors.ts";
import { activeAdapter, type Model, trainableParameters } from "../models/model.ts";
import { writeModelFiles } from "../models/save_model.ts";
import { saveAdapter } from "../peft.ts";
import { readOptionalJson } from "../text/files.ts";
import type { Optimizer } from "./adamw.ts";
import { checkSame, modelFingerprint } from "./fingerprint.ts";
import { newState, parseState, stateText, type TrainingState } from "./state.ts";

const STATE = "training_state.json";
const MOMENTS = "optimizer.safetensors";

const weightsFile = (model: Model) =>
  activeAdapter(model) ? "adapter_model.safetensors" : "model.safetensors";

/** What {@linkcode saveCheckpoint} saves. */
export interface CheckpointContent {
  /** With an adapter in use, that is saved; without one every weight of the base. */
  model: Model;
  /** From `adamW`, for this model. */
  optimizer: Optimizer;
  /** Epoch under way (from 0), batches of it that are done, and the seed; the rest is `train`'s. */
  state: Pick<TrainingState, "epoch" | "batch" | "seed"> & Partial<TrainingState>;
}

/**
 * Saves all that a run needs to go on: weights, moments, and its place in schedule and data. The folder is there whole or not
 * at all, even if the process is killed or the disk fills up meanwhile. With an adapter it is also a PEFT adapter's
 * folder: `loadAdapter` and Python's `PeftModel.from_pretrained` load it.
 *
 * Tensors are read from the device one at a time. `train` calls this by itself; it is for loops of your own.
 *
 * @param folder must not exist yet, the folder above it must
 * @returns the folder
 * @throws UserError when the folder exists, the disk is full or not writable, or a weight is not finite
 *
 * @example
 * ```ts
 * import { adamW, attachLoRA, batchOf, loadModel, resumeTraining, saveCheckpoint, trainEpoch } from "@fintune/fintune";
 * const base = await loadModel("tests/reference/llama_tied/model");
 * const batches = [batchOf([{ inputIds: [1, 5, 6, 2] }]), batchOf([{ inputIds: [1, 7, 2] }])];
 * const start = () => {
 *   const model = attachLoRA(base, { r: 2, quiet: true });
 *   return { model, optimizer: adamW(model, { learningRate: 1e-3 }) };
 * };
 * const { model, optimizer } = start(), folder = `${await Deno.makeTempDir()}/checkpoint-1`;
 * await trainEpoch(model, batches, { optimizer, maxSteps: 1, quiet: true });
 * await saveCheckpoint(folder, { model, optimizer, state: { epoch: 0, batch: 1, seed: 0 } });
 *
 * const later = start(), { batch, seed } = await resumeTraining(folder, later);
 * await trainEpoch(later.model, batches, { optimizer: later.optimizer, seed, skipBatches: batch, quiet: true });
 * console.log(later.optimizer.steps); // 2
 * ```
 */
export async function saveCheckpoint(
  folder: string,
  { model, optimizer, state }: CheckpointContent,
): Promise<string> {
  if (optimizer.model !== model) {
    throw new UserError("The optimizer was made for another model: pass the one that adamW was given.");
  }
  const same = { ...state.same, ...await modelFingerprint(model) };
  const learningRate = optimizer.learningRate();
  const whole = { ...newState(state.seed), ...state, step: optimizer.steps, learningRate, same };
  await writeFolder(folder, async (temporary) => {
    await checkFinite(model, optimizer.steps);
    if (activeAdapter(model)) await saveAdapter(model, temporary);
    else await writeModelFiles(model, temporary);
    await writeSafetensors(join(temporary, MOMENTS), momentData(optimizer));
    await writeFileAtomic(join(temporary, STATE), stateText(whole));
  });
  return folder;
}

/** Broken weights must never take a good checkpoint's place. */
export async function checkFinite(model: Model, step: number): Promise<void> {
  for (const [name, tensor] of trainableParameters(model)) {
    const [values] = await model.device.read(tensor) as Float32Array[];
    if (values.every(Number.isFinite)) continue;
    throw new UserError(
      `The weights after step ${step} are not finite (${name}) and were not saved: the learning rate is too high, lower ` +
        "it or give it a warm-up.",
    );
  }
}

/** torch.optim.AdamW's names of the two moments. */
const momentNames = { m: "exp_avg", v: "exp_avg_sq" } as const;

/** Every moment by the name that the file gives it. */
function momentTensors({ moments }: Optimizer): Map<string, Tensor> {
  return new Map(
    [...moments].flatMap(([name, { m, v }]): [string, Tensor][] => [
      [`${name}.${momentNames.m}`, m],
      [`${name}.${momentNames.v}`, v],
    ]),
  );
}

function momentData(optimizer: Optimizer): Map<string, TensorData> {
  const { device } = optimizer.model;
  return new Map([...momentTensors(optimizer)].map(([name, tensor]) => {
    const data = async () => {
      const [{ buffer, byteOffset, byteLength }] = await device.read(tensor);
      return new Uint8Array(buffer, byteOffset, byteLength);
    };
    return [name, { dtype: "F32", shape: tensor.shape, data }];
  }));
}

/**
 * Puts a checkpoint's weights and moments back into a model and an optimizer that were made as for the run that saved it,
 * and returns where the run stands. Everything in the folder is checked first: on an error nothing was changed.
 *
 * @param folder as {@linkcode saveCheckpoint} wrote it
 * @throws UserError naming the file and what is wrong with it, or what differs between the two runs
 *
 * @example
 * ```ts ignore
 * const { epoch, batch, seed } = await resumeTraining("out/checkpoint-400", { model, optimizer });
 * ```
 */
export async function resumeTraining(
  folder: string,
  { model, optimizer }: { model: Model; optimizer: Optimizer },
): Promise<TrainingState> {
  if (optimizer.model !== model) {
    throw new UserError("The optimizer was made for another model: pass the one that adamW was given.");
  }
  const state = await readState(folder);
  checkSame(state.same, await modelFingerprint(model), folder);
  const moments = momentTensors(optimizer);
  const files = await openAll([
    { path: join(folder, weightsFile(model)), wanted: trainableParameters(model) },
    { path: join(folder, MOMENTS), wanted: moments },
  ]);
  try {
    for (const file of files) await checkTensors(file);
    for (const file of files) await putBack(model, file);
  } finally {
    for (const { file } of files) file.close();
  }
  optimizer.restore(state.step);
  return state;
}

/** Where the run of a checkpoint stands. */
export async function readState(folder: string): Promise<TrainingState> {
  const path = join(folder, STATE), json = await readOptionalJson(path);
  if (!json) throw new UserError(`${path} is missing: ${folder} is no checkpoint of a run.`);
  return parseState(json, path);
}

/** Puts only a checkpoint's weights into the model. */
export async function putWeightsBack(folder: string, model: Model): Promise<void> {
  const [weights] = await openAll([
    { path: join(folder, weightsFile(model)), wanted: trainableParameters(model) },
  ]);
  try {
    await checkTensors(weights);
    await putBack(model, weights);
  } finally {
    weights.file.close();
  }
}

interface TensorFile {
  path: string;
  /** The tensors that it has to hold, and nothing else. */
  wanted: ReadonlyMap<string, Tensor>;
}

type OpenTensorFile = TensorFile & { file: SafetensorsFile };

async function openAll(files: readonly TensorFile[]): Promise<OpenTensorFile[]> {
  const open: OpenTensorFile[] = [];
  try {
    for (const each of files) open.push({ ...each, file: await openSafetensors(each.path) });
    return open;
  } catch (error) {
    for (const { file } of open) file.close();
    throw error;
  }
}

async function checkTensors({ path, wanted, file }: OpenTensorFile): Promise<void> {
  for (const name of file.tensors.keys()) {
    if (!wanted.has(name)) throw new UserError(`${path} holds ${name}, which is not trained here.`);
  }
  for (const [name, { shape }] of wanted) {
    const found = file.tensors.get(name);
    if (!found) throw new UserError(`${path} lacks ${name}: the file is damaged, take another checkpoint.`);
    if (found.dtype !== "F32" || found.shape.join() !== shape.join()) {
      throw new UserError(
        `${path}: ${name} is ${found.dtype} [${found.shape}], where F32 [${shape}] is trained here.`,
      );
    }
    const values = toFloat32(await file.read(name), "F32");
    const least = name.endsWith(momentNames.v) ? 0 : -Infinity; // a mean of squares
    if (!values.every((value) => Number.isFinite(value) && value >= least)) {
      throw new UserError(`${path}: ${name} has numbers that no run leaves behind: take another checkpoint.`);
    }
  }
}

async function putBack({ device }: Model, { wanted, file }: OpenTensorFile): Promise<void> {
  for (const [name, tensor] of wanted) device.update(tensor, toFloat32(await file.read(name), "F32"));
}
