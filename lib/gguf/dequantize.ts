// From llama.cpp's number formats to float32, with its own rounding (ggml-quants.c).
import { toFloat32 } from "../formats/floats.ts";
import { scaleAndMin } from "./k_quants.ts";
import { type GgmlType, ggmlTypes } from "./types.ts";

/** Writes a block's numbers; `bytes` and `half` are the same memory. */
type BlockReader = (bytes: Uint8Array, half: Float16Array, at: number, y: Float32Array, to: number) => void;

const readers: Readonly<Record<Exclude<GgmlType, "F32" | "F16" | "BF16">, BlockReader>> = {
  Q4_0: (bytes, half, at, y, to) => halves(bytes, at + 2, half[at / 2], -8, 0, y, to),
  Q4_1: (bytes, half, at, y, to) => halves(bytes, at + 4, half[at / 2], 0, half[at / 2 + 1], y, to),
  Q5_0: (bytes, half, at, y, to) => halves(bytes, at + 6, half[at / 2], -16, 0, y, to, at + 2),
  Q5_1: (bytes, half, at, y, to) => halves(bytes, at + 8, half[at / 2], 0, half[at / 2 + 1], y, to, at + 4),
  Q8_0: (bytes, half, at, y, to) => {
    for (let i = 0; i < 32; i++) y[to + i] = (bytes[at + 2 + i] << 24 >> 24) * half[at / 2];
  },
  Q4_K: (bytes, half, at, y, to) => parts(bytes, half, at, at + 16, y, to),
  Q5_K: (bytes, half, at, y, to) => parts(bytes, half, at, at + 48, y, to, at + 16),
  Q6_K: sixBits,
};

/** The numbers of a tensor's bytes; they begin on an even address. F32, F16 and BF16 share or copy memory as toFloat32 does. */
export function dequantizeGgml(type: GgmlType, bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  if (type === "F32" || type === "F16" || type === "BF16") return toFloat32(bytes, type);
  const { block, bytes: size } = ggmlTypes[type], read = readers[type];
  const half = new Float16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const y = new Float32Array(bytes.length / size * block);
  for (let at = 0, to = 0; at < bytes.length; at += size, to += block) read(bytes, half, at, y, to);
  return y;
}

const f = Math.fround;

/** 32 numbers: sixteen low halves of bytes, then the high ones; a fifth bit of each may lie apart. */
function halves(
  bytes: Uint8Array,
  at: number,
  scale: number,
  offset: number,
  min: number,
  y: Float32Array,
  to: number,
  bits?: number,
): void {
  for (let i = 0; i < 32; i++) {
    const low = i < 16 ? bytes[at + i] & 15 : bytes[at + i - 16] >> 4;
    const high = bits === undefined ? 0 : (bytes[bits + (i >> 3)] >> (i & 7) & 1) << 4;
    const value = f(((low | high) + offset) * scale);
    y[to + i] = offset === 0 ? value + min : value;
  }
}

/** 256 numbers in eight parts, each with scale and minimum; two parts share 32 bytes, a fifth bit may lie apart. */
function parts(
  bytes: Uint8Array,
  half: Float16Array,
  at: number,
  codes: number,
  y: Float32Array,
  to: number,
  bits?: number,
): void {
  for (let j = 0; j < 8; j++) {
    const [scale, min] = scaleAndMin(bytes, at + 4, j);
    const step = f(half[at / 2] * scale), low = f(half[at / 2 + 1] * min);
    for (let i = 0; i < 32; i++) {
      const byte = bytes[codes + 32 * (j >> 1) + i], nibble = j & 1 ? byte >> 4 : byte & 15;
      const high = bits === undefined ? 0 : (bytes[bits + i] >> j & 1) << 4;
      y[to + 32 * j + i] = f(step * (nibble | high)) - low;
    }
  }
}

function sixBits(bytes: Uint8Array, half: Float16Array, at: number, y: Float32Array, to: number): void {
  const scale = half[(at + 208) / 2];
  for (let i = 0; i < 256; i++) {
    const part = i >> 7, quarter = i >> 5 & 3, place = i & 31;
    const byte = bytes[at + 64 * part + 32 * (quarter & 1) + place];
    const low = quarter < 2 ? byte & 15 : byte >> 4;
    const high = bytes[at + 128 + 32 * part + place] >> 2 * quarter & 3;
    const own = bytes[at + 192 + (i >> 4)] << 24 >> 24;
    y[to + i] = f(scale * own) * ((low | high << 4) - 32);
  }
}
