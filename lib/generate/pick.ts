// Picking every stream's next token on the device, and the history of tokens that the repetition rules look at.
import { UserError } from "../errors.ts";
import { lowbias32 } from "../engine/ops/dropout.ts";
import type { PickAttributes } from "../engine/ops/pick_token.ts";
import type { Tensor } from "../engine/tensor.ts";
import { compiled } from "../train/step.ts";
import { type PromptBatch, upload } from "./batch.ts";
import { pickGraph } from "./graphs.ts";

export interface PickSettings {
  readonly pick: PickAttributes;
  readonly seed: number;
  /** What makes each stream's random numbers its own. */
  readonly streamIds: readonly number[];
}

export interface Picker {
  /** Picks the tokens i32[streams] after `logits`, which it frees, and appends them to the history. */
  next(logits: Tensor, step: number): Promise<Tensor>;
  free(): void;
}

/** A picker over histories of at most `length` tokens, which begin with the prompts. */
export function createPicker(
  batch: Pick<PromptBatch, "model" | "prompts">,
  length: number,
  { pick, seed, streamIds }: PickSettings,
): Picker {
  const { model: { device, config: { vocabSize } }, prompts } = batch;
  // Without rules no history is needed, and a loop is quicker than a program's start.
  const { temperature, repetitionPenalty, noRepeatNgramSize } = pick;
  if (device.backend === "cpu" && temperature === 0 && repetitionPenalty === 1 && noRepeatNgramSize === 0) {
    return {
      next(logits) {
        const scores = logits.storage as Float32Array;
        const ids = prompts.map((_, i) => likeliest(scores.subarray(i * vocabSize, (i + 1) * vocabSize)));
        device.free(logits);
        return Promise.resolve(device.upload(Int32Array.from(ids), [ids.length], "i32"));
      },
      free() {},
    };
  }
  const rows = prompts.flatMap((prompt) => [...prompt, ...Array(length - prompt.length).fill(0)]);
  let history = upload(batch, rows, prompts.length, length);
  return {
    async next(logits, step) {
      const key = `pick ${vocabSize} ${JSON.stringify(pick)}`;
      const program = await compiled(device, key, () => pickGraph(vocabSize, pick), { light: true });
      const numbers = Float32Array.from(streamIds, (stream) => uniform(seed, stream, step));
      const random = device.upload(numbers, [prompts.length], "f32");
      const lengths = upload(batch, prompts.map((prompt) => prompt.length + step));
      const outputs = await program.run({ logits, history, lengths, random });
      device.free(logits, random, lengths);
      if (outputs.history.storage !== history.storage) device.free(history);
      history = outputs.history;
      return outputs.ids;
    },
    free: () => device.free(history),
  };
}

/** The place of the first of the largest numbers; UserError where there are none, as of a damaged model. */
export function likeliest(scores: Float32Array): number {
  // Length and scores are looked up once: beside an engine with shared memory that is six times as fast.
  const { length } = scores;
  let best = 0, highest = scores[0];
  for (let id = 1; id < length; id++) {
    const score = scores[id];
    if (score > highest) {
      best = id;
      highest = score;
    }
  }
  if (Number.isNaN(highest)) {
    throw new UserError(
      "The model's scores are no numbers (NaN): its weights are damaged, or its training has gone astray; load others.",
    );
  }
  return best;
}

/** A number in [0, 1) that depends on seed, stream and step alone. The mixing keeps 0 at 0, so steps count from 1. */
export function uniform(seed: number, stream: number, step: number): number {
  const bits = lowbias32(lowbias32(lowbias32(seed) + stream) + Math.imul(step + 1, 0x9e3779b9));
  return (bits >>> 8) / 2 ** 24;
}
