// What copies of the weights in few bits change, said once for a model.
import type { Tensor } from "../engine/tensor.ts";
import type { Model } from "../models/model.ts";
import { type PromptBatch, slotInput, upload } from "./batch.ts";
import { createCache, type Slot } from "./cache.ts";
import { type Decoder, lasting, stepInputs } from "./decoder.ts";
import { readExactly } from "./prompts.ts";

/** Bases of which it was said, and for how many bits. */
const reported = new WeakMap<Model["weights"], Set<number>>();

/**
 * Compares the decoder's logits behind the prompts with the exact ones; `logits` are those of the prompts as they were read: the
 * exact ones, or, where the decoder has read them, its own.
 */
export async function reportApproximation(
  batch: PromptBatch,
  decoder: Decoder,
  logits: Tensor,
): Promise<void> {
  const { model: { device, weights } } = batch, { bits, readsPrompts } = decoder;
  const known = reported.get(weights) ?? new Set();
  if (bits === undefined || known.has(bits)) return;
  reported.set(weights, known.add(bits));
  const made = readsPrompts ? await exactLogits(batch) : await lastTokens(batch, decoder);
  const [exact, other] = await device.read(...readsPrompts ? [made, logits] : [logits, made]);
  let largest = 0, squares = 0, reference = 0;
  exact.forEach((value, i) => {
    const difference = Math.abs(value - other[i]);
    largest = Math.max(largest, difference);
    squares += difference ** 2;
    reference += value ** 2;
  });
  device.free(made);
  const share = (100 * Math.sqrt(squares / reference)).toFixed(2);
  const what = readsPrompts ? "Prompts are read and answers decoded" : "Answers are decoded";
  console.info(
    `${what} from ${bits}-bit copies of the weights: logits differ by at most ${
      largest.toFixed(3)
    }, ${share} % in the mean square.`,
  );
}

/** The prompts' last tokens through the decoder. */
async function lastTokens(batch: PromptBatch, decoder: Decoder): Promise<Tensor> {
  const { model: { device }, prompts } = batch;
  const slots = prompts.map(({ length }, stream): Slot => ({ stream, position: length - 1 }));
  const ids = upload(batch, prompts.map((ids) => ids.at(-1)!));
  const inputs = { ids, ...stepInputs(batch, slots), ...slotInput(batch, slots, decoder) };
  const { logits, ...written } = await decoder.program.run({ ...inputs, ...lasting(batch) });
  device.free(...Object.values(inputs), ...Object.values(written));
  return logits;
}

/** The prompts with the weights as they are, over a cache of their own. */
async function exactLogits(batch: PromptBatch): Promise<Tensor> {
  const { model: { device, config }, prompts } = batch;
  const longest = Math.max(...prompts.map(({ length }) => length));
  const cache = createCache(device, config, { streams: prompts.length, longest });
  try {
    return await readExactly({ ...batch, cache });
  } finally {
    cache.free();
  }
}
