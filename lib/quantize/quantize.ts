// The public face of NF4: models and plain numbers, there and back.
import { checkModel } from "../arguments.ts";
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import { quantizeModel, type QuantizeOptions } from "./model.ts";
import { dynamicCodebook } from "./nested.ts";
import { dequantizeNF4Data, quantizeNF4Data } from "./nf4.ts";

export type { QuantizeOptions };

/** NF4 parts of plain numbers, as bitsandbytes has them. */
export interface NF4Data {
  /** Two codes a byte, the first in the high half. */
  codes: Uint8Array;
  /** One scale for every 64 numbers; absent with double quantisation. */
  absmax?: Float32Array;
  /** With double quantisation: 8-bit codes of the scales, their own scales (one for 256), and the mean taken off before. */
  nested?: { codes: Uint8Array; absmax: Float32Array; offset: number };
}

/**
 * Quantises to NF4 in blocks of 64 (Dettmers et al. 2023), bit for bit as bitsandbytes: a model's linear layers (not its
 * embeddings, norms and head), or plain numbers.
 *
 * A model is quantised one weight at a time; the model passed in shares the result, since its dense weights are freed as
 * they are replaced (`keep: true` leaves it as it is, at the cost of their memory). On a GPU that holds bf16 weights as f16,
 * those below 1e-5 have lost digits (at most 3e-8 each) before: there `loadModel(name, { quantize: "nf4" })`, which
 * quantises the file's own numbers, is what equals bitsandbytes to the bit.
 *
 * @param data a model, or numbers in row-major order
 * @param options `doubleQuant` (default false) stores the scales in 8 bits too
 * @throws UserError when a weight's rows are no multiple of 64
 *
 * @example
 * ```ts
 * import { dequantizeNF4, quantizeNF4 } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const { codes, absmax } = await quantizeNF4(Float32Array.of(-2, 0, 0.5, 2));
 * assert.deepEqual([...codes], [0x07, 0xaf]);
 * assert.deepEqual([...absmax!], [2]);
 * assert.deepEqual([...dequantizeNF4({ codes, absmax }, 4)].map((x) => x.toFixed(2)), ["-2.00", "0.00", "0.49", "2.00"]);
 * ```
 */
export function quantizeNF4(data: Model, options?: QuantizeOptions): Promise<Model>;
/** Plain numbers. */
export function quantizeNF4(
  data: Float32Array,
  options?: Pick<QuantizeOptions, "doubleQuant">,
): Promise<NF4Data>;
export async function quantizeNF4(
  data: Model | Float32Array,
  options: QuantizeOptions = {},
): Promise<Model | NF4Data> {
  if (!(data instanceof Float32Array)) checkModel("quantizeNF4", data);
  if (!(data instanceof Float32Array)) return await quantizeModel(data, options);
  const { codes, absmax, nested } = quantizeNF4Data(data, { doubleQuant: options.doubleQuant });
  if (!nested) return { codes, absmax };
  return { codes, nested: { codes: nested.codes, absmax: nested.absmax, offset: nested.offset } };
}

/**
 * The numbers that NF4 parts stand for, as bitsandbytes' dequantize_4bit gives them.
 *
 * @param parts from {@linkcode quantizeNF4}
 * @param length how many numbers; default: two for every byte of codes
 */
export function dequantizeNF4(parts: NF4Data, length: number = parts.codes.length * 2): Float32Array {
  const { codes, absmax, nested } = parts;
  const blocks = Math.ceil(length / 64);
  if (codes.length < length / 2 || (absmax ?? nested?.codes ?? []).length < blocks) {
    throw new UserError(
      `${codes.length} bytes of NF4 codes with their scales do not hold ${length} numbers.`,
    );
  }
  const scales = nested && { ...nested, codebook: dynamicCodebook(), blockSize: 256 };
  return dequantizeNF4Data({ codes, absmax, nested: scales, blockSize: 64 }, length);
}
