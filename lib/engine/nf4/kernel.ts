// The WebAssembly function behind dequantizeInto: 16 codes at a time pick the four bytes of their levels from four 16-byte
// tables (swizzle), the bytes are woven into floats (shuffle) and multiplied by the block's scale.

import { NF4_LEVELS } from "./levels.ts";
import {
  add,
  type Code,
  constant,
  f32Load,
  f32x4Multiply,
  f32x4Splat,
  get,
  I32,
  i8x16ShiftRight,
  loop,
  set,
  shuffle,
  subtract,
  swizzle,
  V128,
  v128And,
  v128Const,
  v128Load,
  v128Store,
  type WasmFunction,
} from "./wasm.ts";

// The function's locals by number: five parameters (addresses and counts), a counter, then vectors.
const CODES = 0, SCALES = 1, WEIGHTS = 2, BLOCKS = 3, BLOCK_BYTES = 4, LEFT = 5;
const SCALE = 6, FIRST = 7, SECOND = 8, PAIRS = 9, LOWER = 10, UPPER = 11;
const TABLES = [12, 13, 14, 15], PICKED = [16, 17, 18, 19];

/**
 * `run(codes, scales, weights, blocks, blockBytes)`: addresses in the memory, the number of blocks (not 0), and the bytes
 * of codes in a block (a multiple of 16).
 */
export function dequantizeKernel(): WasmFunction {
  const fillTables = TABLES.map((table, byte) => [v128Const(levelBytes(byte)), set(table)]);
  const eachBlock = [
    [get(SCALES), f32Load(), f32x4Splat, set(SCALE)],
    step(SCALES, 4),
    [get(BLOCK_BYTES), set(LEFT)],
    loop(thirtyTwoWeights(), [get(LEFT), constant(16), subtract, set(LEFT), get(LEFT)]),
    [get(BLOCKS), constant(1), subtract, set(BLOCKS), get(BLOCKS)],
  ];
  return {
    parameters: [I32, I32, I32, I32, I32],
    locals: [I32, ...new Array(PICKED[3] - LEFT).fill(V128)],
    body: [fillTables, loop(eachBlock)],
  };
}

/** 16 bytes of codes, taken apart into nibbles; the high one is the first weight of its byte. */
function thirtyTwoWeights(): Code {
  return [
    [get(CODES), v128Load(), set(PAIRS)],
    [get(PAIRS), constant(4), i8x16ShiftRight, set(FIRST)],
    [get(PAIRS), v128Const(new Uint8Array(16).fill(15)), v128And, set(SECOND)],
    [get(FIRST), get(SECOND), weave(1, "lower"), set(PAIRS), sixteenWeights(0)],
    [get(FIRST), get(SECOND), weave(1, "upper"), set(PAIRS), sixteenWeights(64)],
    step(CODES, 16),
    step(WEIGHTS, 128),
  ];
}

/** The codes in PAIRS, one a byte, to 16 weights at WEIGHTS + offset. */
function sixteenWeights(offset: number): Code {
  const [byte0, byte1, byte2, byte3] = PICKED.map((local) => get(local));
  const fourWeights = (half: Half, at: number): Code => [
    [get(WEIGHTS), get(LOWER), get(UPPER), weave(2, half), get(SCALE), f32x4Multiply, v128Store(at)],
  ];
  const eightWeights = (half: Half, at: number): Code => [
    [byte0, byte1, weave(1, half), set(LOWER), byte2, byte3, weave(1, half), set(UPPER)],
    [fourWeights("lower", at), fourWeights("upper", at + 16)],
  ];
  return [
    TABLES.map((table, byte) => [get(table), get(PAIRS), swizzle, set(PICKED[byte])]),
    [eightWeights("lower", offset), eightWeights("upper", offset + 32)],
  ];
}

type Half = "lower" | "upper";

/** Elements of two vectors in turn (the first vector's first), from the lower or upper half of both. */
function weave(bytes: 1 | 2, half: Half): Code {
  const begin = half === "lower" ? 0 : 8;
  return shuffle(Array.from({ length: 16 }, (_, i) => {
    const element = Math.floor(i / (2 * bytes)), fromSecond = Math.floor(i / bytes) % 2;
    return begin + element * bytes + i % bytes + 16 * fromSecond;
  }));
}

/** One byte of each of the 16 levels, counted from the least significant. */
function levelBytes(byte: number): Uint8Array {
  const bytes = new Uint8Array(NF4_LEVELS.buffer);
  return Uint8Array.from({ length: 16 }, (_, level) => bytes[4 * level + byte]);
}

const step = (local: number, by: number): Code => [get(local), constant(by), add, set(local)];
