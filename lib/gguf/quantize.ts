// From float32 to llama.cpp's number formats, bit for bit as its reference quantisers (ggml-quants.c) do it: every step
// is rounded to float32 as it is there. Blocks of 32 numbers are here, k-quants in k_quants.ts.
import { checkNumbers } from "../formats/check_numbers.ts";
import { toFloat16 } from "../formats/floats.ts";
import { quantizeQ4K, quantizeQ6K } from "./k_quants.ts";
import { ggmlBytes, type GgmlType, ggmlTypes } from "./types.ts";

/** What the formats that are written are made with. */
export type WrittenType = "F32" | "F16" | "Q4_0" | "Q5_0" | "Q8_0" | "Q4_K" | "Q6_K";

/** Fills one block at a byte of the target; `half` is the same memory as float16. */
export type BlockWriter = (x: Float32Array, from: number, target: Target, at: number) => void;

/** A tensor's bytes, seen in two ways. */
export interface Target {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly half: Float16Array<ArrayBuffer>;
}

const writers: Readonly<Record<Exclude<WrittenType, "F32" | "F16">, BlockWriter>> = {
  Q4_0: quantizeQ40,
  Q5_0: quantizeQ50,
  Q8_0: quantizeQ80,
  Q4_K: quantizeQ4K,
  Q6_K: quantizeQ6K,
};

/**
 * Numbers in a format; their count is whole blocks. Of F32 they are the same memory. Throws UserError, with the tensor's name,
 * for numbers that are not finite, or beyond half precision in F16.
 */
export function quantizeGgml(type: WrittenType, values: Float32Array, name: string): Uint8Array<ArrayBuffer> {
  checkNumbers(name, values, type === "F16" ? { instead: 'export as "f32" or "q8_0"' } : undefined);
  if (type === "F32") {
    return new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
  }
  if (type === "F16") return toFloat16(values);
  const { block, bytes: size } = ggmlTypes[type as GgmlType], write = writers[type];
  const bytes = new Uint8Array(ggmlBytes(type, values.length));
  const target = { bytes, half: new Float16Array(bytes.buffer) };
  for (let from = 0, at = 0; from < values.length; from += block, at += size) write(values, from, target, at);
  return bytes;
}

const f = Math.fround;

/** The number of a block that is furthest from zero, with its sign. */
function furthest(x: Float32Array, from: number): number {
  let most = 0, found = 0;
  for (let i = from; i < from + 32; i++) {
    const size = Math.abs(x[i]);
    if (size > most) {
      most = size;
      found = x[i];
    }
  }
  return found;
}

// The scale is such that the furthest number is the lowest code: no code is lost to a zero's sign.
function quantizeQ40(x: Float32Array, from: number, { bytes, half }: Target, at: number): void {
  const scale = f(furthest(x, from) / -8), inverse = scale === 0 ? 0 : f(1 / scale);
  half[at / 2] = scale;
  const code = (value: number) => Math.min(15, Math.trunc(f(f(value * inverse) + 8.5)));
  for (let i = 0; i < 16; i++) bytes[at + 2 + i] = code(x[from + i]) | code(x[from + 16 + i]) << 4;
}

// As Q4_0 with a fifth bit, which the blocks keep apart: 32 of them before the codes.
function quantizeQ50(x: Float32Array, from: number, { bytes, half }: Target, at: number): void {
  const scale = f(furthest(x, from) / -16), inverse = scale === 0 ? 0 : f(1 / scale);
  half[at / 2] = scale;
  const code = (value: number) => Math.min(31, Math.trunc(f(f(value * inverse) + 16.5)));
  for (let i = 0; i < 16; i++) {
    const low = code(x[from + i]), high = code(x[from + 16 + i]);
    bytes[at + 6 + i] = low & 15 | (high & 15) << 4;
    bytes[at + 2 + (i >> 3)] |= low >> 4 << (i & 7);
    bytes[at + 4 + (i >> 3)] |= high >> 4 << (i & 7);
  }
}

function quantizeQ80(x: Float32Array, from: number, { bytes, half }: Target, at: number): void {
  const scale = f(Math.abs(furthest(x, from)) / 127), inverse = scale === 0 ? 0 : f(1 / scale);
  half[at / 2] = scale;
  for (let i = 0; i < 32; i++) {
    const value = f(x[from + i] * inverse);
    bytes[at + 2 + i] = Math.sign(value) * Math.floor(Math.abs(value) + 0.5); // C's roundf: halves away from zero
  }
}
