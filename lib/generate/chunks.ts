// How the prompts of a batch go through the model: several whole ones behind one another, long ones in parts, so that memory
// does not grow with their length.
import { firstSeen } from "../models/decoder.ts";
import type { ModelConfig } from "../models/config.ts";
import type { Slot } from "./cache.ts";

/** Positions at once: enough for fast products, and little beside the weights. */
export const positionsAtOnce = 1024;

/** Tokens that go through the model together. */
export interface Chunk {
  /** A part of one long prompt; otherwise whole prompts. */
  readonly isPart: boolean;
  /** Where each token belongs. */
  readonly slots: readonly Slot[];
  /** The tokens with which prompts end: their place in the chunk, and their streams. */
  readonly ends: readonly { readonly place: number; readonly stream: number }[];
}

/** Chunks of at most `most` positions; ends come in the order of the streams. */
export function chunksOf(lengths: readonly number[], most = positionsAtOnce): Chunk[] {
  const chunks: { isPart: boolean; slots: Slot[]; ends: { place: number; stream: number }[] }[] = [];
  let open = false;
  lengths.forEach((length, stream) => {
    const isPart = length > most;
    for (let from = 0; from < length; from += most) {
      const to = Math.min(from + most, length);
      if (!open || isPart || chunks.at(-1)!.slots.length + length > most) {
        chunks.push({ isPart, slots: [], ends: [] });
      }
      const { slots, ends } = chunks.at(-1)!;
      for (let position = from; position < to; position++) slots.push({ stream, position });
      if (to === length) ends.push({ place: slots.length - 1, stream });
      open = !isPart;
    }
  });
  return chunks;
}

/**
 * [first, end) of the keys that each token sees: keys are numbered in the chunk, or in a part from the prompt's beginning.
 * The token itself is the last, or (`beforeSelf`) comes behind.
 */
export function rangesOf({ isPart, slots }: Chunk, config: ModelConfig, beforeSelf: boolean): number[] {
  return slots.flatMap(({ position }, place) => {
    const self = isPart ? position : place;
    const end = self + 1;
    return [firstSeen(self - position, end, config), beforeSelf ? self : end];
  });
}
