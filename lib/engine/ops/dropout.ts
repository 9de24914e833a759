// dropout(x, tokenKeys, layerKey): inverted dropout whose bits come from a counter, not from a state: from (seed, step, row,
// position) through tokenKeys, (layer) through layerKey, the module's number and the channel. So recomputation and resumption
// draw the same bits, and a row gets the same ones wherever packing puts it, on both backends.
import { dropout as dropoutOnGpu } from "../../../kernels/dropout.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import type { OnnxContext } from "../onnx/context.ts";
import { expectDim, expectType } from "../shape.ts";
import { integers, normal } from "./sample.ts";

type DropoutAttributes = { p: number; module: number };

/** A 32-bit mixing function with little bias (Wellons 2018, "lowbias32"). */
export function lowbias32(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Dropped where the upper 24 bits of the hash are below this. */
export const dropThreshold = (p: number): number => Math.floor(p * 2 ** 24);

const channelStep = 0x85ebca6b, moduleStep = 0x9e3779b9;

function mix({ node, u32 }: OnnxContext, x: string): string {
  const shifted = (x: string, by: number) =>
    node("BitwiseXor", [x, node("BitShift", [x, u32(by)], { direction: "RIGHT" })]);
  const once = node("Mul", [shifted(x, 16), u32(0x7feb352d)]);
  return shifted(node("Mul", [shifted(once, 15), u32(0x846ca68b)]), 16);
}

export const dropoutOp: OpDefinition<DropoutAttributes> = {
  name: "dropout",
  infer([x, tokenKeys, layerKey]) {
    const [tokens] = expectType("dropout", "x", x, "f32", 2);
    expectDim(
      "dropout",
      "tokenKeys' length",
      expectType("dropout", "tokenKeys", tokenKeys, "i32", 1)[0],
      tokens,
    );
    expectDim("dropout", "layerKey's length", expectType("dropout", "layerKey", layerKey, "i32", 1)[0], 1);
    return [x];
  },
  gradient({ inputs: [, tokenKeys, layerKey], attributes }, [dy]) {
    return [dropout(dy!, tokenKeys, layerKey, attributes as DropoutAttributes), undefined, undefined];
  },
  onnx(context, [x, tokenKeys, layerKey], { inputs, attributes }) {
    const { p, module } = attributes as DropoutAttributes;
    const { node, u32, i64 } = context;
    const width = inputs[0].shape[1] as number;
    const channels = u32(
      Array.from(
        { length: width },
        (_, c) => (Math.imul(module, moduleStep) + Math.imul(c, channelStep)) >>> 0,
      ),
    );
    const perChannel = mix(context, node("Add", [channels, node("Cast", [layerKey], { to: "u32" })]));
    const perToken = node("Unsqueeze", [node("Cast", [tokenKeys], { to: "u32" }), i64([-1])]);
    const hash = node("BitShift", [mix(context, node("BitwiseXor", [perToken, perChannel])), u32(8)], {
      direction: "RIGHT",
    });
    const dropped = node("Less", [hash, u32(dropThreshold(p))]);
    return [node("Where", [dropped, context.f32(0), node("Mul", [x, context.f32(1 / (1 - p))])])];
  },
  webgpu: dropoutOnGpu,
  samples: [0.05, 0.5].map((p, module) => ({
    inputs: [normal(1, 6, 70), integers([5, -77777, 2 ** 30, 12345, 0, -1]), integers([-987654321])],
    attributes: { p, module },
    differentiate: [0],
  })),
};

export function dropout(x: Value, tokenKeys: Value, layerKey: Value, attributes: DropoutAttributes): Value {
  return apply(dropoutOp, [x, tokenKeys, layerKey], attributes)[0];
}
