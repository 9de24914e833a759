// add(a, b) = a + b, element by element, of one shape.
import { add as addOnGpu } from "../../../kernels/elementwise.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectSame } from "../shape.ts";
import { normal } from "./sample.ts";

export const addOp: OpDefinition<Record<string, never>> = {
  name: "add",
  infer([a, b]) {
    expectSame("add", "both inputs", a, b);
    return [a];
  },
  gradient: (_node, [dy]) => [dy, dy],
  onnx: (context, inputs) => [context.node("Add", inputs)],
  webgpu: addOnGpu,
  samples: [{ inputs: [normal(1, 5, 7), normal(2, 5, 7)], attributes: {}, differentiate: [0, 1] }],
};

export const add = (a: Value, b: Value): Value => apply(addOp, [a, b], {})[0];
