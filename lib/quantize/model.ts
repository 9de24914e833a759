// NF4 for whole models: which weights are quantised, and from dense tensors to codes on the device.
import type { Device } from "../engine/device.ts";
import { UserError } from "../errors.ts";
import { activeAdapter, type DenseWeight, type Model, type NF4Weight, type Weight } from "../models/model.ts";
import { toFloat32 } from "../formats/floats.ts";
import { dequantizeNF4Data, type NF4Parts, quantizeNF4Data } from "./nf4.ts";

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
      `${name} has rows of ${width} weights, and NF4 needs a multiple of 64 (its block size): use this model unquantised, ` +
        'without quantize, quantizeNF4 or "loftq" (with examples/finetune.ts: --full-precision).',
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
  const { device } = model, all = [...model.adapters.values()];
  if (all.some(({ config }) => config.useDora)) {
    throw new UserError(
      "DoRA's magnitudes are those of the unquantised weights: quantise the model first, then attach the adapter.",
    );
  }
  // PiSSA's changed weights share what they have not changed with the base's.
  const keep = options.keep || all.some(({ changed }) => changed);
  const weights = keep ? new Map(model.weights) : model.weights as Map<string, Weight>;
  for (const [name, weight] of weights) {
    if (weight.kind !== "dense" || !isQuantizable(name)) continue;
    weights.set(
      name,
      quantizeWeight(device, name, await denseData(device, weight), weight.tensor.shape, options),
    );
    if (!keep) device.free(weight.tensor);
  }
  const active = activeAdapter(model);
  if (!active?.changed) return { ...model, weights };
  const changed = { ...active.changed, weights };
  return { ...model, weights, adapters: new Map(model.adapters).set(active.name, { ...active, changed }) };
}

/** The numbers of a weight, quantised or not, row by row. They may be the device's own: copy them before changing any. */
export async function weightValues(device: Device, weight: Weight): Promise<Float32Array> {
  if (weight.kind === "dense") return await denseData(device, weight);
  const { scales, shape: [out, width] } = weight;
  const names = Object.keys(scales), tensors = Object.values(scales);
  const [codes, ...read] = await device.read(weight.codes, ...tensors);
  const part = (name: string) => read[names.indexOf(name)] as Float32Array;
  const bytes = Uint8Array.from(codes);
  if ("absmax" in scales) {
    return dequantizeNF4Data({ codes: bytes, blockSize: 64, absmax: part("absmax") }, out * width);
  }
  const nested = {
    codes: Uint8Array.from(part("nestedCodes")),
    absmax: part("nestedAbsmax"),
    offset: part("offset")[0],
    codebook: part("codebook"),
    blockSize: 256,
  };
  return dequantizeNF4Data({ codes: bytes, blockSize: 64, nested }, out * width);
}

async function denseData(device: Device, { tensor }: DenseWeight): Promise<Float32Array> {
  const [data] = await device.read(tensor);
  return tensor.dtype === "f16"
    ? toFloat32(new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength), "F16")
    : data as Float32Array;
}
