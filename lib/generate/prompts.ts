// Reading the prompts: all of them at once through the blocks, behind one another and without padding.
import type { Tensor } from "../engine/tensor.ts";
import { firstSeen } from "../models/decoder.ts";
import { denseTensor, tensorsUnder, typesOf } from "../models/parameters.ts";
import { embedGraph } from "../train/graphs.ts";
import { headTensors } from "../train/step.ts";
import { program, type PromptBatch, slotInput, type Tensors, upload } from "./batch.ts";
import type { Slot } from "./cache.ts";
import { promptBlockGraph, promptHeadGraph } from "./graphs.ts";

/** Fills the cache; returns the logits [streams, vocabulary] after each prompt's last token. */
export async function readPrompts(batch: PromptBatch): Promise<Tensor> {
  const { model, prompts, setup, cache } = batch;
  const starts: number[] = [];
  prompts.reduce((start, { length }) => (starts.push(start), start + length), 0);
  const slots = prompts.flatMap((prompt, stream) =>
    prompt.map((_, position): Slot => ({ stream, position }))
  );
  cache.reserve(Math.max(...prompts.map(({ length }) => length)) + 1);
  const ranges = slots.flatMap(({ stream, position }) => {
    const end = starts[stream] + position + 1;
    return [firstSeen(starts[stream], end, model.config), end];
  });
  const inputs: Tensors = {
    positions: upload(batch, slots.map(({ position }) => position)),
    ranges: upload(batch, ranges, slots.length, 2),
    ...slotInput(batch, slots),
  };
  let x = await embedded(batch);
  for (let layer = 0; layer < model.config.numHiddenLayers; layer++) {
    x = await throughBlock(batch, layer, { x, inputs, slots });
  }
  const head = headTensors(model);
  const last = upload(batch, prompts.map(({ length }, stream) => starts[stream] + length - 1));
  const headProgram = await program(batch, "prompt head", () => promptHeadGraph(setup, typesOf(head)));
  const { logits } = await headProgram.run({ x, last, ...head });
  model.device.free(x, last, ...Object.values(inputs));
  return logits;
}

async function embedded(batch: PromptBatch): Promise<Tensor> {
  const { model, prompts } = batch;
  const table = denseTensor(model, "model.embed_tokens.weight");
  const embed = await program(batch, "prompt embed", () => embedGraph(model.config, table));
  const inputIds = upload(batch, prompts.flat());
  const { x } = await embed.run({ inputIds, table });
  model.device.free(inputIds);
  return x;
}

/** x through one block, whose keys and values go into the cache; frees x. */
async function throughBlock(
  batch: PromptBatch,
  layer: number,
  { x, inputs, slots }: { x: Tensor; inputs: Tensors; slots: readonly Slot[] },
): Promise<Tensor> {
  const { model, setup, rotary, cache } = batch;
  const weights = tensorsUnder(model, `model.layers.${layer}.`);
  const signature = Object.entries(weights).map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape}`);
  const block = await program(
    batch,
    `prompt block ${signature}`,
    () => promptBlockGraph(setup, typesOf(weights)),
  );
  const caches: Tensors = setup.cacheOnDevice
    ? { cacheK: cache.keys[layer], cacheV: cache.values[layer] }
    : {};
  const { y, k, v } = await block.run({ x, ...rotary, ...inputs, ...caches, ...weights });
  if (!setup.cacheOnDevice) {
    cache.write(layer, k, v, slots);
    model.device.free(k, v);
  }
  model.device.free(x);
  return y;
}
