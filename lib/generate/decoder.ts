// One token of every stream through the whole model. On the CPU the program computes with 8-bit copies of NF4 weights, which
// are built into it, and says once what that changes.
import type { Program } from "../engine/device.ts";
import type { Tensor } from "../engine/tensor.ts";
import { firstSeen } from "../models/decoder.ts";
import { tensorsUnder, typesOf } from "../models/parameters.ts";
import { kinds, type PromptBatch, slotInput, type Tensors, upload } from "./batch.ts";
import type { Slot } from "./cache.ts";
import { decodeGraph } from "./graphs.ts";

export interface Decoder {
  readonly program: Program;
  /** Whether it computes with 8-bit copies of NF4 weights. */
  readonly approximate: boolean;
}

/** Decoders by what they have built in: the base's weights on the CPU, otherwise only the shapes. */
const decoders = new WeakMap<object, Map<string, Promise<Decoder>>>();

const isQuantisedPart = (name: string) => /weight\.(codes|absmax|nested|offset|codebook)/.test(name);

export function decoderOf({ model, setup }: PromptBatch): Promise<Decoder> {
  const approximate = model.device.backend === "cpu" &&
    [...model.weights.values()].some(({ kind }) => kind === "nf4");
  const owner = approximate ? model.weights : model.device;
  const known = decoders.get(owner) ?? new Map<string, Promise<Decoder>>();
  decoders.set(owner, known);
  const key = `${JSON.stringify(setup)} ${kinds(model)}`;
  const found = known.get(key);
  if (found) return found;
  // An adapter more would mean 8-bit copies more: only the last one's are kept.
  if (approximate) known.clear();
  const weights = tensorsUnder(model, "");
  const constants = approximate
    ? Object.fromEntries(Object.entries(weights).filter(([name]) => isQuantisedPart(name)))
    : {};
  const made = model.device.compile(decodeGraph(setup, typesOf(weights)), { constants })
    .then((program) => ({ program, approximate }));
  known.set(key, made);
  return made;
}

/** The token `ids` of every stream goes to its slot in the cache; returns the logits after it. */
export async function decodeStep(
  batch: PromptBatch,
  { program }: Decoder,
  ids: Tensor,
  slots: readonly Slot[],
): Promise<Tensor> {
  const { model, setup, cache } = batch;
  cache.reserve(Math.max(...slots.map(({ position }) => position)) + 1);
  const inputs = { ...positionInputs(batch, slots), ...slotInput(batch, slots) };
  const { logits, ...written } = await program.run({ ids, ...inputs, ...lasting(batch) });
  model.device.free(...Object.values(inputs));
  if (!setup.cacheOnDevice) {
    for (let layer = 0; layer < model.config.numHiddenLayers; layer++) {
      cache.write(layer, written[`cacheK.${layer}`], written[`cacheV.${layer}`], slots);
    }
    model.device.free(...Object.values(written));
  }
  return logits;
}

/** Each stream sees what the cache holds before its slot, or the window's part of it. */
function positionInputs(batch: PromptBatch, slots: readonly Slot[]): Tensors {
  const { config } = batch.model;
  const seen = slots.map(({ position }) => [firstSeen(0, position + 1, config), position]);
  return {
    positions: upload(batch, slots.map(({ position }) => position)),
    ranges: upload(batch, seen.flat(), slots.length, 2),
  };
}

/** What stays from token to token: weights, rotary tables, the caches. */
function lasting({ model, rotary, cache }: PromptBatch): Tensors {
  const caches = cache.keys.flatMap((keys, layer) => [
    [`cacheK.${layer}`, keys],
    [`cacheV.${layer}`, cache.values[layer]],
  ]);
  return { ...rotary, ...tensorsUnder(model, ""), ...Object.fromEntries(caches) };
}

/** Bases of which it was said. */
const reported = new WeakSet<PromptBatch["model"]["weights"]>();

/**
 * Says once what 8-bit copies change: the prompts' last tokens go through the decoder too, and its logits are compared with
 * the exact ones.
 */
export async function reportApproximation(
  batch: PromptBatch,
  decoder: Decoder,
  logits: Tensor,
): Promise<void> {
  const { model: { device, weights }, prompts } = batch;
  if (!decoder.approximate || reported.has(weights)) return;
  reported.add(weights);
  const slots = prompts.map(({ length }, stream): Slot => ({ stream, position: length - 1 }));
  const inputs = { ids: upload(batch, prompts.map((ids) => ids.at(-1)!)), ...positionInputs(batch, slots) };
  const outputs = await decoder.program.run({ ...inputs, ...lasting(batch) });
  const [exact, other] = await device.read(logits, outputs.logits);
  let largest = 0, squares = 0, reference = 0;
  exact.forEach((value, i) => {
    const difference = Math.abs(value - other[i]);
    largest = Math.max(largest, difference);
    squares += difference ** 2;
    reference += value ** 2;
  });
  device.free(...Object.values(inputs), ...Object.values(outputs));
  const share = (100 * Math.sqrt(squares / reference)).toFixed(2);
  console.info(
    `Answers are decoded from 8-bit copies of the NF4 weights: logits differ by at most ${
      largest.toFixed(3)
    }, ${share} % in the mean square.`,
  );
}
