// scaleBy(x, s) = x * s for a scalar tensor s of shape [1].
import { scaleBy as scaleByOnGpu } from "../../../kernels/elementwise.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectType } from "../shape.ts";
import { floats, normal } from "./sample.ts";

export const scaleByOp: OpDefinition<Record<string, never>> = {
  name: "scaleBy",
  infer([x, scale]) {
    expectDim("scaleBy", "the scale's length", expectType("scaleBy", "scale", scale, "f32", 1)[0], 1);
    return [{ dtype: "f32", shape: x.shape }];
  },
  gradient({ inputs: [, scale] }, [dy], needed) {
    if (needed[1]) throw new Error("scaleBy: the scale is not differentiable.");
    return [scaleBy(dy!, scale), undefined];
  },
  onnx: (context, inputs) => [context.node("Mul", inputs)],
  webgpu: scaleByOnGpu,
  samples: [
    { inputs: [normal(1, 5, 7), floats([0.3])], attributes: {}, differentiate: [0] },
    { inputs: [normal(3, 300), floats([-2.5])], attributes: {} },
  ],
};

export const scaleBy = (x: Value, scale: Value): Value => apply(scaleByOp, [x, scale], {})[0];
