// The loop of generation over a batch of streams: prompts once, then a token of every stream at a time. Tokens are picked on
// the device and fed on without a readback; on a GPU several steps' tokens come back together.
import type { Tensor } from "../engine/tensor.ts";
import { withReadyMagnitudes } from "../lora/dora.ts";
import type { Model } from "../models/model.ts";
import { reportApproximation } from "./approximation.ts";
import { createBatch, type PromptBatch, setupOf } from "./batch.ts";
import type { Slot } from "./cache.ts";
import { borrowDecoder, decodeStep } from "./decoder.ts";
import { checkGenerationMemory } from "./memory.ts";
import { createPicker, type PickSettings } from "./pick.ts";
import { readPrompts } from "./prompts.ts";
import { openT5Streams } from "./t5.ts";

export interface DecodeSettings extends PickSettings {
  readonly maxNewTokens: number;
}

/** Prompts that are answered together, read by a decoder or by an encoder-decoder. */
export interface Streams {
  /** What each stream's tokens are appended to. */
  readonly begun: readonly (readonly number[])[];
  /** Reads the prompts: the logits of each stream's first token. */
  start(): Promise<Tensor>;
  /** The logits after one token more of every stream, the answer's number `step` from 0 on. */
  next(ids: Tensor, step: number): Promise<Tensor>;
  /** Stream s goes on from what stream parents[s] has read so far. */
  reorder(parents: readonly number[]): Promise<void>;
  free(): void;
}

/** A GPU gives the tokens of so many steps at once: a round trip costs as much as several steps. */
const stepsPerReadback = { webgpu: 8, cpu: 1 };

/** Yields the next tokens of all streams, step by step; the caller stops when it has enough. */
export async function* decode(
  trained: Model,
  prompts: readonly (readonly number[])[],
  settings: DecodeSettings,
): AsyncGenerator<Int32Array> {
  const { device } = trained, { maxNewTokens } = settings;
  const { model, streams, free } = await openAnswers(trained, prompts, maxNewTokens), { begun } = streams;
  const length = Math.max(...begun.map(({ length }) => length)) + maxNewTokens;
  const picker = createPicker({ model, prompts: begun }, length, settings);
  /** Tokens that were not read back, behind the last that was: the next step still reads it. */
  const pending: Tensor[] = [];
  let unread = 0;
  try {
    let logits = await streams.start();
    for (let step = 0; step < maxNewTokens; step++) {
      if (step > 0) logits = await streams.next(pending.at(-1)!, step - 1);
      pending.push(await picker.next(logits, step));
      unread++;
      if (unread < stepsPerReadback[device.backend] && step + 1 < maxNewTokens) continue;
      const tokens = await device.read(...pending) as Int32Array[];
      device.free(...pending.splice(0, pending.length - 1));
      yield* tokens.slice(-unread);
      unread = 0;
    }
  } finally {
    device.free(...pending);
    picker.free();
    free();
  }
}

/** Streams of answers to the prompts, `copies` of each behind one another; `free` gives back what they hold. */
export async function openAnswers(
  trained: Model,
  prompts: readonly (readonly number[])[],
  maxNewTokens: number,
  copies: number = 1,
): Promise<{ model: Model; streams: Streams; free(): void }> {
  const longest = Math.max(...prompts.map(({ length }) => length)) + maxNewTokens;
  checkGenerationMemory(trained, prompts.length * copies, longest);
  const { model, free } = await withReadyMagnitudes(trained);
  try {
    const open = model.config.encoderDecoder ? openT5Streams : openStreams;
    const streams = await open(model, prompts, maxNewTokens, copies);
    return {
      model,
      streams,
      free() {
        streams.free();
        free();
      },
    };
  } catch (error) {
    free();
    throw error;
  }
}

/** A decoder's: prompts and answers are one text, and share the cache. */
async function openStreams(
  model: Model,
  given: readonly (readonly number[])[],
  maxNewTokens: number,
  copies: number,
): Promise<Streams> {
  const prompts = given.flatMap((prompt) => Array.from({ length: copies }, () => prompt));
  const longest = Math.max(...prompts.map(({ length }) => length)) + maxNewTokens;
  const { decoder, release } = await borrowDecoder({ model, setup: setupOf(model) });
  let batch: PromptBatch;
  try {
    batch = createBatch(model, prompts, longest, decoder.program.caches);
  } catch (error) {
    release();
    throw error;
  }
  return {
    begun: prompts,
    async start() {
      const logits = await readPrompts(batch, decoder);
      await reportApproximation(batch, decoder, logits);
      return logits;
    },
    next(ids, step) {
      const slots = prompts.map(({ length }, stream): Slot => ({ stream, position: length + step }));
      return decodeStep(batch, decoder, ids, slots);
    },
    reorder: (parents) => batch.cache.reorder(parents),
    free() {
      batch.cache.free();
      release();
    },
  };
}
