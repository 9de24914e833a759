// gatherRows(x, index) picks rows (those whose next token is trained); scatterRows puts rows back among zeros.
import { gatherRows as gatherRowsOnGpu, scatterRows as scatterRowsOnGpu } from "../../../kernels/rows.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectType } from "../shape.ts";
import { integers, normal } from "./sample.ts";

export const gatherRowsOp: OpDefinition<Record<string, never>> = {
  name: "gatherRows",
  infer([x, index]) {
    const [, width] = expectType("gatherRows", "x", x, "f32", 2);
    return [{ dtype: "f32", shape: [expectType("gatherRows", "index", index, "i32", 1)[0], width] }];
  },
  gradient: ({ inputs: [x, index] }, [dy]) => [scatterRows(dy!, index, x), undefined],
  onnx: (context, inputs) => [context.node("Gather", inputs)],
  webgpu: gatherRowsOnGpu,
  samples: [{ inputs: [normal(1, 6, 5), integers([4, 0, 5])], attributes: {}, differentiate: [0] }],
};

/** The rows of x at `index` (each at most once), zeros elsewhere; `like` only tells how many rows there are. */
export const scatterRowsOp: OpDefinition<Record<string, never>> = {
  name: "scatterRows",
  infer([x, index, like]) {
    const [rows, width] = expectType("scatterRows", "x", x, "f32", 2);
    expectDim("scatterRows", "index' length", expectType("scatterRows", "index", index, "i32", 1)[0], rows);
    expectDim(
      "scatterRows",
      "the width of like",
      expectType("scatterRows", "like", like, "f32", 2)[1],
      width,
    );
    return [like];
  },
  gradient: "none",
  onnx(context, [x, index, like]) {
    const zeros = context.node("Expand", [context.f32(0), context.node("Shape", [like])]);
    const at = context.node("Unsqueeze", [context.node("Cast", [index], { to: "i64" }), context.i64([-1])]);
    return [context.node("ScatterND", [zeros, at, x])];
  },
  webgpu: scatterRowsOnGpu,
  samples: [{ inputs: [normal(1, 3, 5), integers([4, 0, 5]), normal(2, 6, 5)], attributes: {} }],
};

export const gatherRows = (x: Value, index: Value): Value => apply(gatherRowsOp, [x, index], {})[0];

export const scatterRows = (x: Value, index: Value, like: Value): Value =>
  apply(scatterRowsOp, [x, index, like], {})[0];
