// scaleColumns(x, s) = x * (s + offset), the same s[width] for every row of x[tokens, width].
import { columnDots as dotsOnGpu, scaleColumns as scaleOnGpu } from "../../../kernels/dora.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectSame, expectType } from "../shape.ts";
import { normal } from "./sample.ts";

type ScaleAttributes = { offset: number };

export const scaleColumnsOp: OpDefinition<ScaleAttributes> = {
  name: "scaleColumns",
  infer([x, scale]) {
    const [, width] = expectType("scaleColumns", "x", x, "f32", 2);
    const [length] = expectType("scaleColumns", "the scale", scale, "f32", 1);
    expectDim("scaleColumns", "the scale's length", length, width);
    return [x];
  },
  gradient({ inputs: [x, scale], attributes }, [dy], needed) {
    return [
      needed[0] ? scaleColumns(dy!, scale, attributes as ScaleAttributes) : undefined,
      needed[1] ? apply(columnDotsOp, [dy!, x], {})[0] : undefined,
    ];
  },
  onnx({ node, f32 }, [x, scale], { attributes }) {
    const { offset } = attributes as ScaleAttributes;
    return [node("Mul", [x, offset === 0 ? scale : node("Add", [scale, f32(offset)])])];
  },
  webgpu: scaleOnGpu,
  samples: [
    { inputs: [normal(1, 5, 7), normal(2, 7)], attributes: { offset: 0 }, differentiate: [0, 1] },
    { inputs: [normal(3, 70, 130), normal(4, 130)], attributes: { offset: -1 }, differentiate: [1] },
  ],
};

/** columnDots(a, b)[c] = sum over rows r of a[r, c] * b[r, c]: the scale's gradient. */
export const columnDotsOp: OpDefinition<Record<string, never>> = {
  name: "columnDots",
  infer([a, b]) {
    const [, width] = expectType("columnDots", "a", a, "f32", 2);
    expectSame("columnDots", "a and b", a, b);
    return [{ dtype: "f32", shape: [width] }];
  },
  gradient: "none",
  onnx: ({ node, i64 }, [a, b]) => [node("ReduceSum", [node("Mul", [a, b]), i64([0])], { keepdims: 0 })],
  webgpu: dotsOnGpu,
  samples: [{ inputs: [normal(1, 300, 67), normal(2, 300, 67)], attributes: {} }],
};

/** `offset` is added to the scale: default 0. */
export function scaleColumns(x: Value, scale: Value, { offset = 0 }: Partial<ScaleAttributes> = {}): Value {
  return apply(scaleColumnsOp, [x, scale], { offset })[0];
}
