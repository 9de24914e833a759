// How weights stand in the memory: four rows make a group; a group is a sequence of blocks of 64 columns, each with its four rows'
// words side by side (a vector's lanes) and then the rows' four scales. Rows that a last group lacks are zeros.
import { NF4_LEVELS } from "../nf4/levels.ts";

/** nf4: 4-bit codes as they are; seven: unsigned 7-bit numbers around 64. */
export type Format = "nf4" | "seven";
export const formats: Record<Format, { bytes: number }> = {
  nf4: { bytes: 4 * 32 + 16 },
  seven: { bytes: 4 * 64 + 16 },
};

export const BLOCK = 64;
/** With this factor NF4's levels are nearest to whole numbers of 7 bits: off by .0039 in the mean square. */
const NF4_SCALE = 63.25;
/** The levels, 64 added. */
export const NF4_BYTES: number[] = Array.from(
  NF4_LEVELS,
  (level) => Math.round(level * NF4_SCALE - 1e-3) + 64,
);

export const packedBytes = (format: Format, [out, inner]: readonly number[]): number =>
  Math.ceil(out / 4) * inner / BLOCK * formats[format].bytes;

/** NF4's codes, two a byte, and scales [out, inner] into `memory` from byte `at`. */
export function packNF4(
  memory: ArrayBufferLike,
  at: number,
  codes: Uint8Array,
  absmax: Float32Array,
  [out, inner]: readonly number[],
): void {
  const blocks = inner / BLOCK, words = formats.nf4.bytes / 4;
  const aligned = codes.byteOffset % 4 ? codes.slice() : codes;
  const from = new Uint32Array(aligned.buffer, aligned.byteOffset, codes.length / 4);
  const to = new Uint32Array(memory, at), scales = new Float32Array(memory, at);
  for (let row = 0; row < out; row++) {
    const lane = row & 3, group = (row >> 2) * blocks;
    for (let block = 0; block < blocks; block++) {
      const begin = (group + block) * words, source = row * blocks + block;
      for (let word = 0; word < 8; word++) to[begin + 4 * word + lane] = from[8 * source + word];
      scales[begin + 32 + lane] = absmax[source] / NF4_SCALE;
    }
  }
}

/** Weights [out, inner] in 7 bits. */
export function packSeven(
  memory: ArrayBufferLike,
  at: number,
  weight: Float32Array,
  [out, inner]: readonly number[],
): void {
  const blocks = inner / BLOCK, { bytes } = formats.seven;
  const to = new Uint8Array(memory, at), scales = new Float32Array(memory, at);
  for (let row = 0; row < out; row++) {
    const lane = row & 3, group = (row >> 2) * blocks;
    for (let block = 0; block < blocks; block++) {
      const begin = (group + block) * bytes, source = row * inner + block * BLOCK;
      let largest = 0;
      for (let i = 0; i < BLOCK; i++) largest = Math.max(largest, Math.abs(weight[source + i]));
      const factor = largest > 0 ? 63 / largest : 0;
      for (let i = 0; i < BLOCK; i++) {
        // Of every eight columns first those at even places, as the activations stand.
        const place = 32 * (i >> 3) + 16 * (i & 1) + 4 * lane + (i >> 1 & 3);
        to[begin + place] = 64 + Math.round(weight[source + i] * factor);
      }
      scales[begin / 4 + 64 + lane] = largest / 63;
    }
  }
}
