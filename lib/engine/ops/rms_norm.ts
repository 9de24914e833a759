// rmsNorm(x, w) = x / sqrt(mean(x^2) + eps) * (w + offset), row by row (Zhang & Sennrich 2019; offset 1 in Gemma).
import { rmsNorm as rmsNormOnGpu, rmsNormGrad as rmsNormGradOnGpu } from "../../../kernels/rms_norm.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectSame, expectType } from "../shape.ts";
import { normal } from "./sample.ts";

type RmsNormAttributes = { eps: number; offset?: number };

const withOffset = (
  context: Parameters<OpDefinition["onnx"]>[0],
  weight: string,
  { offset = 0 }: RmsNormAttributes,
) => offset === 0 ? weight : context.node("Add", [weight, context.f32(offset)]);

export const rmsNormOp: OpDefinition<RmsNormAttributes> = {
  name: "rmsNorm",
  infer([x, weight]) {
    const [, width] = expectType("rmsNorm", "x", x, "f32", 2);
    expectDim("rmsNorm", "the weight's length", expectType("rmsNorm", "weight", weight, "f32", 1)[0], width);
    return [x];
  },
  gradient({ inputs: [x, weight], attributes }, [dy]) {
    return apply(rmsNormGradOp, [x, weight, dy!], attributes as RmsNormAttributes);
  },
  onnx(context, [x, weight], { attributes }) {
    const { eps, ...rest } = attributes as RmsNormAttributes;
    const scale = withOffset(context, weight, { eps, ...rest });
    return [
      context.node("SimplifiedLayerNormalization", [x, scale], {
        axis: -1,
        epsilon: { float: eps },
        stash_type: 1,
      }),
    ];
  },
  webgpu: rmsNormOnGpu,
  samples: [
    { inputs: [normal(1, 5, 12), normal(2, 12)], attributes: { eps: 1e-5 }, differentiate: [0, 1] },
    { inputs: [normal(1, 3, 300), normal(2, 300)], attributes: { eps: 1e-6, offset: 1 }, differentiate: [1] },
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
  onnx(context, [x, weight, dy], { attributes, outputs }) {
    const { eps, ...rest } = attributes as RmsNormAttributes;
    const { node, i64 } = context;
    const rowMean = (value: string) => node("ReduceMean", [value, i64([-1])], { keepdims: 1 });
    const variance = node("Add", [rowMean(node("Mul", [x, x])), context.f32(eps)]);
    const inverse = node("Reciprocal", [node("Sqrt", [variance])]);
    const normed = node("Mul", [x, inverse]);
    const g = node("Mul", [dy, withOffset(context, weight, { eps, ...rest })]);
    const projection = node("Mul", [normed, rowMean(node("Mul", [g, normed]))]);
    return [
      context.used(outputs[0]) ? node("Mul", [inverse, node("Sub", [g, projection])]) : undefined,
      context.used(outputs[1])
        ? node("ReduceSum", [node("Mul", [dy, normed]), i64([0])], { keepdims: 0 })
        : undefined,
    ];
  },
  webgpu: rmsNormGradOnGpu,
  samples: [{ inputs: [normal(1, 70, 20), normal(2, 20), normal(3, 70, 20)], attributes: { eps: 1e-5 } }],
};

export function rmsNorm(x: Value, weight: Value, attributes: RmsNormAttributes): Value {
  return apply(rmsNormOp, [x, weight], attributes)[0];
}
