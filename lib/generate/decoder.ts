// One token of every stream through the whole model. On the CPU the program has weights built in: dense ones laid out for the
// products, which is exact, or copies in few bits, of which it says once what they change.
import type { Program } from "../engine/device.ts";
import { byteLength, type Tensor } from "../engine/tensor.ts";
import { firstSeen } from "../models/decoder.ts";
import { whenFreed } from "../models/free.ts";
import { freeMemory } from "../models/memory.ts";
import { activeAdapter, headName, type Model } from "../models/model.ts";
import { tensorsUnder, typesOf } from "../models/parameters.ts";
import { kinds, type PromptBatch, slotInput, type Tensors, upload } from "./batch.ts";
import type { Slot } from "./cache.ts";
import { decodeGraph } from "./graphs.ts";

export interface Decoder {
  readonly program: Program;
  /** It computes with copies of the weights in so few bits. */
  readonly bits?: 4 | 8;
  /** Whether it reads prompts too: faster than block by block. */
  readonly readsPrompts: boolean;
  /** Whether it writes keys and values into its caches itself. */
  readonly inPlace?: boolean;
}

interface Known {
  readonly decoder: Promise<Decoder>;
  /** Batches that decode with it. */
  users: number;
  /** Closed as soon as nobody uses it. */
  dropped: boolean;
}

/** Decoders by what they have built in: the base's weights on the CPU, otherwise only the shapes. */
const decoders = new WeakMap<object, Map<string, Known>>();

/** The decoder for a batch; `release` it when the batch is done. */
export function borrowDecoder(
  batch: Pick<PromptBatch, "model" | "setup">,
): Promise<{ decoder: Decoder; release(): void }> {
  const bits = bitsOf(batch.model);
  return borrow(batch.model, `${JSON.stringify(batch.setup)} ${bits}`, () => makeDecoder(batch, bits));
}

/** What `make` gives for a model, made once for all of this kind. */
export async function borrow(
  model: Model,
  kind: string,
  make: () => Promise<Decoder>,
): Promise<{ decoder: Decoder; release(): void }> {
  const hasCopies = model.device.backend === "cpu";
  const owner = hasCopies ? model.weights : model.device;
  const known = decoders.get(owner) ?? new Map<string, Known>();
  if (hasCopies && !decoders.has(owner)) whenFreed(model, () => dropAll(known));
  decoders.set(owner, known);
  const key = `${kind} ${kinds(model)}`;
  if ((await known.get(key)?.decoder)?.program.outdated) dropAll(known);
  let found = known.get(key);
  if (!found) {
    // An adapter more would mean copies more: only the last one's are kept.
    if (hasCopies) dropAll(known);
    found = { decoder: make(), users: 0, dropped: false };
    known.set(key, found);
    found.decoder.catch(() => known.delete(key));
  }
  const used = found;
  used.users++;
  const release = () => {
    used.users--;
    closeIfDone(used);
  };
  try {
    return { decoder: await used.decoder, release };
  } catch (error) {
    release();
    throw error;
  }
}

function dropAll(known: Map<string, Known>): void {
  const entries = [...known.values()];
  known.clear();
  for (const entry of entries) {
    entry.dropped = true;
    closeIfDone(entry);
  }
}

function closeIfDone({ decoder, users, dropped }: Known): void {
  if (dropped && users === 0) decoder.then(({ program }) => program.close(), () => {});
}

/** Copies of the weights that decoding reads: those asked for (decodeIn), else 8-bit ones of NF4 weights. */
function bitsOf({ device, weights, decodeBits }: Model): 4 | 8 | undefined {
  if (device.backend !== "cpu") return undefined;
  return decodeBits ?? (hasNF4({ weights }) ? 8 : undefined);
}

const hasNF4 = ({ weights }: Pick<Model, "weights">): boolean =>
  [...weights.values()].some(({ kind }) => kind === "nf4");

/** The base's, but for an embedding's table of its own, which is only looked up: the program serves all adapters. */
function ofBase(model: Model, weights: Tensors): Tensors {
  const { parameters, constants } = activeAdapter(model) ?? {};
  const adapters = new Set([...parameters?.values() ?? [], ...constants?.values() ?? []]);
  return Object.fromEntries(
    Object.entries(weights).filter(([name, tensor]) =>
      !adapters.has(tensor) && (name !== "model.embed_tokens.weight" || name === headName(model))
    ),
  );
}

async function makeDecoder(
  { model, setup }: Pick<PromptBatch, "model" | "setup">,
  bits: 4 | 8 | undefined,
): Promise<Decoder> {
  const weights = tensorsUnder(model, ""), types = typesOf(weights);
  if (bits === 4 && hasNF4(model)) {
    // NF4's own codes are read by a program of WebAssembly, which copies all it reads.
    const graph = decodeGraph(setup, types, { bits, inPlace: true });
    const program = await model.device.compileStep(graph, ofBase(model, weights));
    if (program) return { program, bits, readsPrompts: true, inPlace: true };
  }
  const constants = builtIn(model, weights, bits);
  const program = await model.device.compile(decodeGraph(setup, types, { bits }), { constants });
  return { program, bits, readsPrompts: bits === undefined && Object.keys(constants).length > 0 };
}

const isQuantisedPart = (name: string) => /weight\.(codes|absmax|nested|offset|codebook)/.test(name);

/** A copy of the dense weights may take so much of the free memory. */
const shareForCopies = 1 / 4;

/** The weights that a program on the CPU holds in a form of its own. */
function builtIn(model: Model, weights: Tensors, bits?: 4 | 8): Tensors {
  if (model.device.backend !== "cpu") return {};
  const quantised = Object.entries(weights).filter(([name]) => isQuantisedPart(name));
  return { ...Object.fromEntries(quantised), ...denseBuiltIn(model, weights, bits) };
}

/**
 * The dense ones of them: the head's, and those of the blocks' linear layers; none where a copy of them (in so few bits) does
 * not fit.
 */
export function denseBuiltIn(model: Model, weights: Tensors, bits = 32): Tensors {
  if (model.device.backend !== "cpu") return {};
  const linear =
    /^model\.layers\..*_proj\.weight$|^decoder\.block\..*(Attention\.[qkvo]|DenseReluDense\.\w+)\.weight$/;
  const dense = Object.entries(weights).filter(([name]) => linear.test(name) || name === headName(model));
  const bytes = dense.reduce((sum, [, tensor]) => sum + byteLength(tensor), 0);
  return bytes * bits / 32 <= (freeMemory() ?? 0) * shareForCopies ? Object.fromEntries(dense) : {};
}

/** The token `ids` of every stream goes to its slot in the cache; returns the logits after it. */
export async function decodeStep(
  batch: PromptBatch,
  decoder: Decoder,
  ids: Tensor,
  slots: readonly Slot[],
): Promise<Tensor> {
  const { model, setup, cache } = batch;
  cache.reserve(Math.max(...slots.map(({ position }) => position)) + 1);
  const inputs = { ...stepInputs(batch, slots), ...slotInput(batch, slots, decoder) };
  const { logits, ...written } = await decoder.program.run({ ids, ...inputs, ...lasting(batch) });
  model.device.free(...Object.values(inputs));
  if (!setup.cacheOnDevice && !decoder.inPlace) keep(batch, written, slots);
  return logits;
}

/** Writes new keys and values into the cache (CPU), and frees them. */
export function keep({ model, cache }: PromptBatch, written: Tensors, slots: readonly Slot[]): void {
  for (let layer = 0; layer < model.config.numHiddenLayers; layer++) {
    cache.write(layer, written[`cacheK.${layer}`], written[`cacheV.${layer}`], slots);
  }
  model.device.free(...Object.values(written));
}

/** Each stream sees what the cache holds before its slot, or the window's part of it. */
export function stepInputs(batch: PromptBatch, slots: readonly Slot[]): Tensors {
  const { config } = batch.model;
  const seen = slots.map(({ position }) => [firstSeen(0, position + 1, config), position]);
  return {
    positions: upload(batch, slots.map(({ position }) => position)),
    ranges: upload(batch, seen.flat(), slots.length, 2),
    last: upload(batch, slots.map((_, stream) => stream)),
  };
}

/** A model's tensors by their names; a thousand of them, which every token asks for. */
const weightsOf = new WeakMap<Model, Tensors>();

/** What stays from token to token: weights, rotary tables, the caches. */
export function lasting({ model, rotary, cache }: PromptBatch): Tensors {
  const caches = cache.keys.flatMap((keys, layer) => [
    [`cacheK.${layer}`, keys],
    [`cacheV.${layer}`, cache.values[layer]],
  ]);
  const weights = weightsOf.get(model) ?? tensorsUnder(model, "");
  weightsOf.set(model, weights);
  return { ...rotary, ...weights, ...Object.fromEntries(caches) };
}
