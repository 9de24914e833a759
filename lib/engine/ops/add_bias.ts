// addBias(x, b) = x + b, the same b[width] added to every row of x[tokens, width].
import { addBias as addBiasOnGpu, sumRows as sumRowsOnGpu } from "../../../kernels/add_bias.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectType } from "../shape.ts";
import { normal } from "./sample.ts";

export const addBiasOp: OpDefinition<Record<string, never>> = {
  name: "addBias",
  infer([x, bias]) {
    const [, width] = expectType("addBias", "x", x, "f32", 2);
    expectDim("addBias", "the bias's length", expectType("addBias", "bias", bias, "f32", 1)[0], width);
    return [x];
  },
  gradient: (_node, [dy], needed) => [dy, needed[1] ? apply(sumRowsOp, [dy!], {})[0] : undefined],
  onnx: (context, inputs) => [context.node("Add", inputs)],
  webgpu: addBiasOnGpu,
  samples: [
    { inputs: [normal(1, 5, 7), normal(2, 7)], attributes: {}, differentiate: [0, 1] },
    { inputs: [normal(3, 70, 130), normal(4, 130)], attributes: {} },
  ],
};

/** sumRows(x)[c] = sum over rows r of x[r, c]: the bias's gradient. */
export const sumRowsOp: OpDefinition<Record<string, never>> = {
  name: "sumRows",
  infer([x]) {
    const [, width] = expectType("sumRows", "x", x, "f32", 2);
    return [{ dtype: "f32", shape: [width] }];
  },
  gradient: "none",
  onnx: (context, [x]) => [context.node("ReduceSum", [x, context.i64([0])], { keepdims: 0 })],
  webgpu: sumRowsOnGpu,
  samples: [{ inputs: [normal(1, 300, 67)], attributes: {} }],
};

export const addBias = (x: Value, bias: Value): Value => apply(addBiasOp, [x, bias], {})[0];
