// NF4 for whole models: which weights are quantised, and from dense tensors to codes on the device.
import type { Device } from "../engine/device.ts";
import { UserError } from "../errors.ts";
import type { DenseWeight, Model, NF4Weight, Weight } from "../models/model.ts";
import { toFloat32 } from "../formats/floats.ts";
import { type NF4Parts, quantizeNF4Data } from "./nf4.ts";

/** Options of `quantizeNF4` for a model. */
export interface QuantizeOptions {
  /** Store the block scales in 8 bits too (bitsandbytes' bnb_4bit_use_double_quant); default false. */
  doubleQuant?: boolean;
  /** Leave the dense weights of the given model as they are (they stay in memory); default false. */
  keep?: boolean;
}

/**
 * bitsandbytes quantises the linear layers of the blocks; embeddings, norms and lm_head stay as they are, and T5's wo, which
 * Transformers keeps in full precision.
 */
export const isQuantizable = (name: string): boolean =>
  /^(model\.layers\.\d+\..*_proj|(encoder|decoder)\.block\.\d+\.layer\.\d\.\w+\.(q|k|v|o|wi|wi_0|wi_1))\.weight$/
    .test(name);

/** NF4 parts as tensors on a device. */
export function uploadNF4(device: Device, parts: NF4Parts, shape: readonly [number, number]): NF4Weight {
  const bytes = (data: Uint8Array) => device.upload(data, [data.length], "u8");
  const floats = (data: Float32Array) => device.upload(data, [data.length], "f32");
  const { codes, nested } = parts;
  const scales = nested
    ? {
      nestedCodes: bytes(nested.codes),
      nestedAbsmax: floats(nested.absmax),
      offset: floats(Float32Array.of(nested.offset)),
      codebook: floats(nested.codebook),
    }
    : { absmax: floats(parts.absmax!) };
  return { kind: "nf4", shape, codes: bytes(codes), scales };
}

/** Quantises one weight [out, in] whose values are at hand. */
export function quantizeWeight(
  device: Device,
  name: string,
  data: Float32Array,
  shape: readonly number[],
  { doubleQuant = false }: QuantizeOptions,
): NF4Weight {
  const [out, width] = shape;
  if (width % 64 !== 0) {
    throw new UserError(
      `${name} has rows of ${width} weights; NF4 here needs a multiple of 64 (its block size).`,
    );
  }
  try {
    return uploadNF4(device, quantizeNF4Data(data, { doubleQuant }), [out, width]);
  } catch (error) {
    throw error instanceof UserError ? new UserError(`${name}: ${error.message}`) : error;
  }
}

/**
 * Quantises the linear layers of a model's blocks, one weight at a time. The model that was passed in shares the result
 * (its dense weights are freed), unless `keep` is set.
 */
export async function quantizeModel(model: Model, options: QuantizeOptions): Promise<Model> {
  const linear = [...model.weights].filter(([name]) => isQuantizable(name));
  if (linear.every(([, { kind }]) => kind === "nf4")) {
    throw new UserError(
      `${model.name} is quantised already; load it unquantised to quantise it in another way.`,
    );
  }
  const { device } = model;
  const weights = options.keep ? new Map(model.weights) : model.weights as Map<string, Weight>;
  for (const [name, weight] of weights) {
    if (weight.kind !== "dense" || !isQuantizable(name)) continue;
    weights.set(
      name,
      quantizeWeight(device, name, await denseData(device, weight), weight.tensor.shape, options),
    );
    if (!options.keep) device.free(weight.tensor);
  }
  return { ...model, weights };
}

async function denseData(device: Device, { tensor }: DenseWeight): Promise<Float32Array> {
  const [data] = await device.read(tensor);
  return tensor.dtype === "f16"
    ? toFloat32(new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength), "F16")
    : data as Float32Array;
}
