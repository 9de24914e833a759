// Reading the prompts, in chunks (chunks.ts), all at once or with other work in between: block by block, or through the
// decoder's program where that has the exact weights built in.
import type { Tensor } from "../engine/tensor.ts";
import { denseTensor, tensorsUnder, typesOf } from "../models/parameters.ts";
import { embedGraph } from "../train/graphs.ts";
import { headTensors } from "../train/step.ts";
import { program, type PromptBatch, slotInput, type Tensors, upload } from "./batch.ts";
import { type Chunk, chunksOf, rangesOf } from "./chunks.ts";
import { type Decoder, keep, lasting } from "./decoder.ts";
import { promptBlockGraph, promptEndsGraph, promptHeadGraph } from "./graphs.ts";

/** Fills the cache; returns the logits [streams, vocabulary] after each prompt's last token. */
export function readPrompts(batch: PromptBatch, decoder: Decoder): Promise<Tensor> {
  const most = decoder.inPlace ? inPlaceAtOnce : undefined;
  return readAll(batch, most, (chunks, held) => readChunks(batch, decoder, chunks, held));
}

/** The same with the weights as they are. */
export function readExactly(batch: PromptBatch): Promise<Tensor> {
  return readAll(batch, undefined, (chunks, held) => throughBlocks(batch, chunks, held));
}

/** A program that writes into its caches is made for so many tokens at once. */
const inPlaceAtOnce = 256;

async function readAll(
  { prompts, cache }: PromptBatch,
  most: number | undefined,
  read: (chunks: readonly Chunk[], held: HeldPast) => Promise<Tensor>,
): Promise<Tensor> {
  const lengths = prompts.map(({ length }) => length), held: HeldPast = {};
  cache.reserve(Math.max(...lengths) + 1);
  const logits = await read(chunksOf(lengths, most), held);
  held.past?.free();
  return logits;
}

/** What the parts of a long prompt hand on; free its `past` when no part follows. */
export interface HeldPast {
  past?: PastOfPrompt;
}

/** Reads some of the chunks, for which the cache has room; parts of one prompt follow one another with the same `held`. */
export function readChunks(
  batch: PromptBatch,
  decoder: Decoder,
  chunks: readonly Chunk[],
  held: HeldPast,
): Promise<Tensor> {
  return decoder.readsPrompts ? throughDecoder(batch, decoder, chunks) : throughBlocks(batch, chunks, held);
}

/** The whole model as one program, on the CPU. */
async function throughDecoder(
  batch: PromptBatch,
  { program, inPlace }: Decoder,
  chunks: readonly Chunk[],
): Promise<Tensor> {
  const { model: { device, config }, prompts, cache } = batch;
  /** One stream's: otherwise the program would take the tokens for one of every stream. */
  const ofFirst = ({ slots }: Chunk) =>
    Object.fromEntries(cache.keys.flatMap((_, layer) => {
      const { k, v } = cache.ofStream(layer, slots[0].stream);
      return [[`cacheK.${layer}`, k], [`cacheV.${layer}`, v]];
    }));
  const all = device.zeros([prompts.length, config.vocabSize], "f32");
  for (const chunk of chunks) {
    const { slots, ends } = chunk;
    // Without an end the first token's logits are computed, as no program takes nothing.
    const last = ends.length > 0 ? ends.map(({ place }) => place) : [0];
    const inputs = {
      // Where keys are in the cache already they are numbered there.
      ...tokenInputs(batch, inPlace ? { ...chunk, isPart: true } : chunk, true),
      ...slotInput(batch, slots, { inPlace }),
      last: upload(batch, last),
    };
    const caches = inPlace ? {} : ofFirst(chunk);
    const { logits, ...written } = await program.run({ ...lasting(batch), ...caches, ...inputs });
    if (!inPlace) keep(batch, written, slots);
    ends.forEach(({ stream }, row) => {
      const from = (logits.storage as Float32Array).subarray(
        row * config.vocabSize,
        (row + 1) * config.vocabSize,
      );
      (all.storage as Float32Array).set(from, stream * config.vocabSize);
    });
    device.free(logits, ...Object.values(inputs));
  }
  return all;
}

async function throughBlocks(
  batch: PromptBatch,
  chunks: readonly Chunk[],
  held: HeldPast,
): Promise<Tensor> {
  const { model, prompts, setup } = batch, { device, config } = model;
  let ends = device.zeros([prompts.length, config.hiddenSize], "f32");
  for (const chunk of chunks) {
    const { ids, ...inputs } = {
      ...tokenInputs(batch, chunk, chunk.isPart),
      ...slotInput(batch, chunk.slots),
    };
    const { stream, position } = chunk.slots[0];
    if (chunk.isPart && (position === 0 || !held.past || !setup.cacheOnDevice)) {
      held.past?.free();
      held.past = pastOf(batch, stream);
    }
    let x = await embedded(batch, ids);
    for (let layer = 0; layer < config.numHiddenLayers; layer++) {
      const seen = chunk.isPart ? held.past!.layers[layer] : {};
      x = await throughBlock(batch, layer, { x, inputs: { ...inputs, ...seen }, chunk });
    }
    ends = await withEnds(batch, ends, x, chunk);
    device.free(x, ids, ...Object.values(inputs));
  }
  const head = headTensors(model);
  const headProgram = await program(batch, "prompt head", () => promptHeadGraph(setup, typesOf(head)));
  const { logits } = await headProgram.run({ x: ends, ...head });
  device.free(ends);
  return logits;
}

/** ids, positions and ranges of a chunk's tokens. */
function tokenInputs(batch: PromptBatch, chunk: Chunk, beforeSelf: boolean) {
  const { slots } = chunk, { model: { config }, prompts } = batch;
  return {
    ids: upload(batch, slots.map(({ stream, position }) => prompts[stream][position])),
    positions: upload(batch, slots.map(({ position }) => position)),
    ranges: upload(batch, rangesOf(chunk, config, beforeSelf), slots.length, 2),
  };
}

interface PastOfPrompt {
  readonly layers: readonly Tensors[];
  free(): void;
}

/** onnxruntime takes no memory that threads share, where caches may be (lib/engine/wasm). */
const unshared = (tensor: Tensor): Tensor => {
  const { storage } = tensor as { storage: Float32Array };
  return storage.buffer instanceof SharedArrayBuffer ? { ...tensor, storage: storage.slice() } : tensor;
};

/** What a long prompt's parts see of those before: on the CPU the stream's place in the cache, on a GPU a copy of it. */
function pastOf({ model: { device }, setup, cache }: PromptBatch, stream: number): PastOfPrompt {
  if (!setup.cacheOnDevice) {
    const layers = cache.keys.map((_, layer) => {
      const { k, v } = cache.ofStream(layer, stream);
      return { pastK: unshared(k), pastV: unshared(v) };
    });
    return { layers, free() {} };
  }
  const alone = ({ shape, dtype }: Tensor) => device.zeros([1, ...shape.slice(1)], dtype);
  const layers = cache.keys.map((keys) => ({ pastK: alone(keys), pastV: alone(keys) }));
  return { layers, free: () => device.free(...layers.flatMap((layer) => Object.values(layer))) };
}

async function withEnds(batch: PromptBatch, ends: Tensor, x: Tensor, chunk: Chunk): Promise<Tensor> {
  if (chunk.ends.length === 0) return ends;
  const last = upload(batch, chunk.ends.map(({ place }) => place));
  const streams = upload(batch, chunk.ends.map(({ stream }) => stream));
  const take = await program(batch, "prompt ends", () => promptEndsGraph(batch.setup));
  const outputs = await take.run({ x, last, streams, ends });
  batch.model.device.free(ends, last, streams);
  return outputs.ends;
}

async function embedded(batch: PromptBatch, inputIds: Tensor): Promise<Tensor> {
  const { model } = batch;
  const table = denseTensor(model, "model.embed_tokens.weight");
  const embed = await program(batch, "prompt embed", () => embedGraph(model.config, table));
  return (await embed.run({ inputIds, table })).x;
}

/** x through one block, whose keys and values go into the cache; frees x. */
async function throughBlock(
  batch: PromptBatch,
  layer: number,
  { x, inputs, chunk }: { x: Tensor; inputs: Tensors; chunk: Chunk },
): Promise<Tensor> {
  const { model, setup, rotary, cache } = batch;
  const weights = tensorsUnder(model, `model.layers.${layer}.`);
  const signature = Object.entries(weights).map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape}`);
  const block = await program(
    batch,
    `prompt ${chunk.isPart ? "part" : "block"} ${signature}`,
    () => promptBlockGraph(setup, typesOf(weights), chunk.isPart),
  );
  const caches: Tensors = setup.cacheOnDevice
    ? { cacheK: cache.keys[layer], cacheV: cache.values[layer] }
    : {};
  const { y, k, v } = await block.run({ x, ...rotary, ...inputs, ...caches, ...weights });
  if (!setup.cacheOnDevice) {
    cache.write(layer, k, v, chunk.slots);
    model.device.free(k, v);
  }
  model.device.free(x);
  return y;
}
