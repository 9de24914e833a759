// nestedAbsmax(codes, absmax, offset, codebook): bitsandbytes' double quantisation undone: the block scales of an NF4
// weight, themselves stored as 8-bit codes in blocks of 256. result[i] = codebook[codes[i]] * absmax[i / 256] + offset.
import { nestedAbsmax as nestedAbsmaxOnGpu } from "../../../kernels/nested_absmax.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectType } from "../shape.ts";
import { bytes, floats, normal, positive } from "./sample.ts";

const nestedBlock = 256;

export const nestedAbsmaxOp: OpDefinition<Record<string, never>> = {
  name: "nestedAbsmax",
  infer([codes, absmax, offset, codebook]) {
    const [length] = expectType("nestedAbsmax", "codes", codes, "u8", 1);
    const blocks = Math.ceil(length as number / nestedBlock);
    expectDim(
      "nestedAbsmax",
      "absmax's length",
      expectType("nestedAbsmax", "absmax", absmax, "f32", 1)[0],
      blocks,
    );
    expectDim(
      "nestedAbsmax",
      "offset's length",
      expectType("nestedAbsmax", "offset", offset, "f32", 1)[0],
      1,
    );
    expectDim(
      "nestedAbsmax",
      "codebook's length",
      expectType("nestedAbsmax", "codebook", codebook, "f32", 1)[0],
      256,
    );
    return [{ dtype: "f32", shape: [length] }];
  },
  gradient: "none",
  onnx(context, [codes, absmax, offset, codebook], { inputs }) {
    const length = inputs[0].shape[0] as number;
    const values = context.node("Gather", [codebook, context.node("Cast", [codes], { to: "i32" })]);
    const block = context.i64(Array.from({ length }, (_, i) => Math.floor(i / nestedBlock)));
    const scaled = context.node("Mul", [values, context.node("Gather", [absmax, block])]);
    return [context.node("Add", [scaled, offset])];
  },
  webgpu: nestedAbsmaxOnGpu,
  samples: [{ inputs: [bytes(1, 600), positive(2, 3), floats([0.7]), normal(3, 256)], attributes: {} }],
};

/** The same in JavaScript. */
export function unnest(
  [codes, absmax, offset, codebook]: [Uint8Array, Float32Array, Float32Array, Float32Array],
): Float32Array {
  return Float32Array.from(codes, (code, i) => Math.fround(codebook[code] * absmax[i >> 8]) + offset[0]);
}

export function nestedAbsmax(codes: Value, absmax: Value, offset: Value, codebook: Value): Value {
  return apply(nestedAbsmaxOp, [codes, absmax, offset, codebook], {})[0];
}
