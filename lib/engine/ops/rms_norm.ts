// rmsNorm(x, w) = x / sqrt(mean(x^2) + eps) * (w + offset), row by row (Zhang & Sennrich 2019; offset 1 in Gemma). A weight
// shorter than the rows norms each of their parts alone, such as the heads of queries and keys (Qwen3).
import { rmsNorm as rmsNormOnGpu, rmsNormGrad as rmsNormGradOnGpu } from "../../../kernels/rms_norm.ts";
import { apply, type OpDefinition, type Type, type Value } from "../graph.ts";
import { expectDim, expectSame, expectType } from "../shape.ts";
import { normal } from "./sample.ts";

type RmsNormAttributes = { eps: number; offset?: number };

const withOffset = (
  context: Parameters<OpDefinition["onnx"]>[0],
  weight: string,
  { offset = 0 }: RmsNormAttributes,
) => offset === 0 ? weight : context.node("Add", [weight, context.f32(offset)]);

/** Rows cut into parts of the weight's length, and put together again. */
function partsOf({ node, i64 }: Parameters<OpDefinition["onnx"]>[0], [x, weight]: readonly Type[]) {
  const width = x.shape[1] as number, length = weight.shape[0] as number;
  const shaped = (value: string, columns: number) =>
    width === length ? value : node("Reshape", [value, i64([-1, columns])]);
  return { split: (value: string) => shaped(value, length), join: (value: string) => shaped(value, width) };
}

export const rmsNormOp: OpDefinition<RmsNormAttributes> = {
  name: "rmsNorm",
  infer([x, weight]) {
    const [, width] = expectType("rmsNorm", "x", x, "f32", 2) as [string, number];
    const [length] = expectType("rmsNorm", "weight", weight, "f32", 1) as [number];
    expectDim("rmsNorm", "the remainder of the width by the weight's length", width % length, 0);
    return [x];
  },
  gradient({ inputs: [x, weight], attributes }, [dy]) {
    return apply(rmsNormGradOp, [x, weight, dy!], attributes as RmsNormAttributes);
  },
  onnx(context, [x, weight], { inputs, attributes }) {
    const { eps, ...rest } = attributes as RmsNormAttributes;
    const scale = withOffset(context, weight, { eps, ...rest }), parts = partsOf(context, inputs);
    const settings = { axis: -1, epsilon: { float: eps }, stash_type: 1 };
    return [parts.join(context.node("SimplifiedLayerNormalization", [parts.split(x), scale], settings))];
  },
  webgpu: rmsNormOnGpu,
  samples: [
    { inputs: [normal(1, 5, 12), normal(2, 12)], attributes: { eps: 1e-5 }, differentiate: [0, 1] },
    { inputs: [normal(1, 3, 300), normal(2, 300)], attributes: { eps: 1e-6, offset: 1 }, differentiate: [1] },
    { inputs: [normal(1, 5, 24), normal(2, 8)], attributes: { eps: 1e-5 }, differentiate: [0, 1] },
  ],
};

// With n = x * inv, inv = 1 / sqrt(mean(x^2) + eps), g = dy * (w + offset):
//   dx = inv * (g - n * mean(g * n)),   dw = sum over rows of dy * n
export const rmsNormGradOp: OpDefinition<RmsNormAttributes> = {
  name: "rmsNormGrad",
  infer([x, weight, dy]) {
    expectSame("rmsNormGrad", "x and dy", x, dy);
    return [x, weight];
  },
  gradient: "none",
  onnx(context, [whole, weight, gradient], { inputs, attributes, outputs }) {
    const { eps, ...rest } = attributes as RmsNormAttributes;
    const { node, i64 } = context, parts = partsOf(context, inputs);
    const x = parts.split(whole), dy = parts.split(gradient);
    const rowMean = (value: string) => node("ReduceMean", [value, i64([-1])], { keepdims: 1 });
    const variance = node("Add", [rowMean(node("Mul", [x, x])), context.f32(eps)]);
    const inverse = node("Reciprocal", [node("Sqrt", [variance])]);
    const normed = node("Mul", [x, inverse]);
    const g = node("Mul", [dy, withOffset(context, weight, { eps, ...rest })]);
    const projection = node("Mul", [normed, rowMean(node("Mul", [g, normed]))]);
    return [
      context.used(outputs[0]) ? parts.join(node("Mul", [inverse, node("Sub", [g, projection])])) : undefined,
      context.used(outputs[1])
        ? node("ReduceSum", [node("Mul", [dy, normed]), i64([0])], { keepdims: 0 })
        : undefined,
    ];
  },
  webgpu: rmsNormGradOnGpu,
  samples: [
    { inputs: [normal(1, 70, 20), normal(2, 20), normal(3, 70, 20)], attributes: { eps: 1e-5 } },
    { inputs: [normal(1, 30, 48), normal(2, 16), normal(3, 30, 48)], attributes: { eps: 1e-5 } },
  ],
};

export function rmsNorm(x: Value, weight: Value, attributes: RmsNormAttributes): Value {
  return apply(rmsNormOp, [x, weight], attributes)[0];
}
