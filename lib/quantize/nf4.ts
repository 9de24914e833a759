// NF4, the 4-bit NormalFloat of QLoRA (Dettmers et al. 2023, arXiv:2305.14314), bit for bit as bitsandbytes 0.50 computes
// it with PyTorch: a block of 64 weights shares its largest magnitude (absmax), each weight is one of 16 levels of it.
//
// Ties. A normalised weight exactly halfway between two levels takes the lower one (torch.bucketize; the CUDA kernel
// compares with the same 15 midpoints, also strictly). Where bitsandbytes' own kernels disagree, PyTorch's way is taken:
// - a last block that is not full is divided by its absmax, where CUDA multiplies by the reciprocal: a weight whose
//   quotient lies within one unit in the last place of a midpoint can take the neighbouring level;
// - such a block's absmax is at least 1e-38 (zeros in a full block have absmax 0);
// - the C++ kernel for 8-bit blocks (double quantisation on the CPU) rounds a value to 16 bits before it looks it up, so
//   that 1 or 2 in 1,000 nested codes, those within 1.6e-5 of a midpoint, are not the nearest ones PyTorch finds.

import { dequantizeNF4Into, NF4_LEVELS } from "../engine/nf4/levels.ts";
import { unnest } from "../engine/ops/nested_absmax.ts";
import { UserError } from "../errors.ts";
import { nestAbsmax, type NestedAbsmax } from "./nested.ts";

export { dequantizeNF4Into, NF4_LEVELS };

/** A quantised tensor: two codes a byte (the first in the high nibble), and a scale for every block of weights. */
export interface NF4Parts {
  /** ceil(weights / 2) bytes. */
  codes: Uint8Array;
  /** Weights that share a scale. */
  blockSize: number;
  /** One scale a block; absent where the scales are themselves quantised. */
  absmax?: Float32Array;
  /** The scales in 8 bits (double quantisation). */
  nested?: NestedAbsmax;
}

/** Options of {@linkcode quantizeNF4Data}. */
export interface NF4Options {
  /** Weights that share a scale: 32, 64 (default), 128, ... 4096. */
  blockSize?: number;
  /** Quantise the scales to 8 bits too: 0.127 bits a weight instead of 0.5 (default false). */
  doubleQuant?: boolean;
}

const TINY = Math.fround(1e-38);
/** 64 cells over [-1, 1], narrower than the levels' distances: each holds at most one midpoint. */
const CELLS = 32;
const { lowest, midpoint } = cells();

/** For each cell, the code at its lower end, and the midpoint inside above which the next code begins. */
function cells(): { lowest: Uint8Array; midpoint: Float32Array } {
  const lowest = new Uint8Array(2 * CELLS + 1), midpoint = new Float32Array(2 * CELLS + 1).fill(Infinity);
  for (let code = 0; code < 15; code++) {
    const bound = Math.fround(Math.fround(NF4_LEVELS[code] + NF4_LEVELS[code + 1]) / 2);
    const cell = (bound * CELLS + CELLS) | 0;
    midpoint[cell] = bound;
    lowest.fill(code + 1, cell + 1);
  }
  return { lowest, midpoint };
}

/** The code of a normalised weight in [-1, 1] (or a rounding error outside). */
function codeOf(value: number): number {
  const cell = (value * CELLS + CELLS) | 0;
  return lowest[cell] + Number(value > midpoint[cell]); // no branch: which way it goes is a coin's toss
}

/**
 * Quantises weights to NF4 as bitsandbytes does (`quantize_4bit(..., quant_type="nf4")`): the same codes, absmax and,
 * with `doubleQuant`, nested codes and nested absmax, bit for bit.
 *
 * @param data the weights, row after row; float16 and bfloat16 weights are widened first
 * @param options block size and double quantisation
 * @throws UserError for another block size, or a weight that is not finite
 */
export function quantizeNF4Data(data: Float32Array, options: NF4Options = {}): NF4Parts {
  const blockSize = checkedBlockSize(options.blockSize ?? 64);
  const codes = new Uint8Array(Math.ceil(data.length / 2));
  const absmax = new Float32Array(Math.ceil(data.length / blockSize));
  quantizeNF4Into(data, codes, absmax, blockSize);
  return options.doubleQuant
    ? { codes, blockSize, nested: nestAbsmax(absmax) }
    : { codes, blockSize, absmax };
}

/**
 * Quantises one piece of a tensor into parts that the caller holds, so that a large tensor never is in memory whole:
 * every piece but the last must be whole blocks, and `codes` and `absmax` begin where the piece's belong.
 *
 * @param data the piece's weights
 * @param codes receives ceil(weights / 2) bytes
 * @param absmax receives ceil(weights / blockSize) scales
 * @param blockSize weights that share a scale, even
 * @throws UserError when a weight is not finite
 */
export function quantizeNF4Into(
  data: Float32Array,
  codes: Uint8Array,
  absmax: Float32Array,
  blockSize: number,
): void {
  const bits = new Int32Array(data.buffer, data.byteOffset, data.length);
  const full = data.length - data.length % blockSize;
  for (let begin = 0; begin < full; begin += blockSize) {
    const scale = largest(bits, begin, begin + blockSize);
    absmax[begin / blockSize] = scale;
    const inverse = Math.fround(1 / Math.max(scale, TINY));
    for (let i = begin; i < begin + blockSize; i += 2) {
      const first = codeOf(Math.fround(data[i] * inverse));
      codes[i >> 1] = first << 4 | codeOf(Math.fround(data[i + 1] * inverse));
    }
  }
  if (full === data.length) return;
  const scale = Math.max(largest(bits, full, data.length), TINY);
  absmax[full / blockSize] = scale;
  for (let i = full; i < data.length; i += 2) {
    const second = i + 1 < data.length ? data[i + 1] : 0;
    codes[i >> 1] = codeOf(Math.fround(data[i] / scale)) << 4 | codeOf(Math.fround(second / scale));
  }
}

const float = new Float32Array(1), floatBits = new Int32Array(float.buffer);

/** The largest magnitude. Without their sign, floats are ordered as their bits are: faster, and NaN is not overlooked. */
function largest(bits: Int32Array, begin: number, end: number): number {
  let most = 0;
  for (let i = begin; i < end; i++) {
    const magnitude = bits[i] & 0x7fffffff;
    most = magnitude > most ? magnitude : most;
  }
  if (most >= 0x7f800000) {
    throw new UserError("a weight is not finite (NaN or infinite), so it cannot be quantised.");
  }
  floatBits[0] = most;
  return float[0];
}

/** One scale a block as float32, whether the parts hold them plain or in 8 bits. */
export function absmaxOf(parts: NF4Parts): Float32Array {
  if (parts.absmax) return parts.absmax;
  if (parts.nested) {
    const { codes, absmax, offset, codebook } = parts.nested;
    return unnest([codes, absmax, Float32Array.of(offset), codebook]);
  }
  throw new UserError("these NF4 parts have neither absmax nor nested scales.");
}

/**
 * The weights that NF4 parts stand for: level times scale, as bitsandbytes' `dequantize_4bit` in float32.
 *
 * @param parts from {@linkcode quantizeNF4Data} or a quantised checkpoint
 * @param length number of weights (default: two a byte)
 * @throws UserError when the parts do not hold that many
 */
export function dequantizeNF4Data(
  parts: NF4Parts,
  length = 2 * parts.codes.length,
): Float32Array<ArrayBuffer> {
  const absmax = absmaxOf(parts);
  if (Math.ceil(length / 2) > parts.codes.length || Math.ceil(length / parts.blockSize) > absmax.length) {
    throw new UserError(
      `${parts.codes.length} bytes of codes and ${absmax.length} scales of ${parts.blockSize} weights do not hold ${length}.`,
    );
  }
  const out = new Float32Array(length);
  dequantizeNF4Into(parts.codes, absmax, out, parts.blockSize);
  return out;
}

/** bitsandbytes' block sizes. */
export function checkedBlockSize(blockSize: number): number {
  if (![32, 64, 128, 256, 512, 1024, 2048, 4096].includes(blockSize)) {
    throw new UserError(
      `NF4 block size ${blockSize} is not one of 32, 64, 128, 256, 512, 1024, 2048 and 4096.`,
    );
  }
  return blockSize;
}
