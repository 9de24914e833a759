// One thing on the machine's stack, seen from the machine: which frames replace it with a byte, and how it ends.

import type { Freedom } from "./characters.ts";

export interface Frame {
  readonly id: number;
  /** The one way that is this frame alone: the same object for every byte that leads here. */
  readonly alone: Ways;
  /** It may be over here: the next byte can be the frame's below. */
  readonly closing: boolean;
  /** The ways to go on with a byte: the frames that replace this one, the innermost last; none: it is over. */
  step(byte: number): Ways;
  /** The shortest bytes with which it ends, as U+0000 to U+00FF. */
  finish(): string;
  /** At least as many bytes as `finish` gives, without the work. */
  bound(): number;
  /** How many free characters it takes, whichever they are. */
  freedom?(): Freedom;
  /** A name: tokens of at most `depth` bytes do with all frames of that name the same. */
  likeness?(depth: number): string | undefined;
}

/** Lists of frames that replace one, the innermost last; an empty list: it is over. */
export type Ways = readonly (readonly Frame[])[];
/** No byte leads here. */
export const NO_WAY: Ways = [];
/** The frame is over. */
export const OVER: Ways = [[]];
