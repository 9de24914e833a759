// sumSquares(x, before) = before + sum(x^2): one tensor's share of the global gradient norm.
import { sumSquares as sumSquaresOnGpu } from "../../../kernels/sum_squares.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectType } from "../shape.ts";
import { floats, normal } from "./sample.ts";

export const sumSquaresOp: OpDefinition<Record<string, never>> = {
  name: "sumSquares",
  infer([x, before]) {
    expectType("sumSquares", "x", x, "f32", 1);
    expectDim("sumSquares", "before's length", expectType("sumSquares", "before", before, "f32", 1)[0], 1);
    return [before];
  },
  gradient: "none",
  onnx: (
    context,
    [x, before],
  ) => [context.node("Add", [context.node("ReduceSumSquare", [x], { keepdims: 1 }), before])],
  webgpu: sumSquaresOnGpu,
  samples: [
    { inputs: [normal(1, 1000), floats([2.5])], attributes: {} },
    { inputs: [normal(1, 70000), floats([0])], attributes: {} },
  ],
};

export const sumSquares = (x: Value, before: Value): Value => apply(sumSquaresOp, [x, before], {})[0];
