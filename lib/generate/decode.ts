// The loop of generation over a batch of streams: prompts once, then a token of every stream at a time. Tokens are picked on
// the device and fed on without a readback; on a GPU several steps' tokens come back together.
import type { Tensor } from "../engine/tensor.ts";
import type { Model } from "../models/model.ts";
import { createBatch } from "./batch.ts";
import type { Slot } from "./cache.ts";
import { borrowDecoder, decodeStep, reportApproximation } from "./decoder.ts";
import { checkGenerationMemory } from "./memory.ts";
import { createPicker, type PickSettings } from "./pick.ts";
import { readPrompts } from "./prompts.ts";

export interface DecodeSettings extends PickSettings {
  readonly maxNewTokens: number;
}

/** A GPU gives the tokens of so many steps at once: a round trip costs as much as several steps. */
const stepsPerReadback = { webgpu: 8, cpu: 1 };

/** Yields the next tokens of all streams, step by step; the caller stops when it has enough. */
export async function* decode(
  model: Model,
  prompts: readonly (readonly number[])[],
  settings: DecodeSettings,
): AsyncGenerator<Int32Array> {
  const { device } = model, { maxNewTokens } = settings;
  const longest = Math.max(...prompts.map(({ length }) => length)) + maxNewTokens;
  checkGenerationMemory(model, prompts.length, longest);
  const batch = createBatch(model, prompts, longest);
  const picker = createPicker(batch, longest, settings);
  /** Tokens that were not read back, behind the last that was: the next step still reads it. */
  const pending: Tensor[] = [];
  let unread = 0, release = () => {};
  try {
    const borrowed = await borrowDecoder(batch), { decoder } = borrowed;
    release = borrowed.release;
    let logits = await readPrompts(batch, decoder);
    await reportApproximation(batch, decoder, logits);
    for (let step = 0; step < maxNewTokens; step++) {
      if (step > 0) {
        const slots = prompts.map(({ length }, stream): Slot => ({ stream, position: length + step - 1 }));
        logits = await decodeStep(batch, decoder, pending.at(-1)!, slots);
      }
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
    release();
    batch.cache.free();
  }
}
