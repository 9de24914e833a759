// adamw: one step of AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW does it, with clipping by the global norm.
import { adamw as adamwOnGpu } from "../../../kernels/adamw.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectSame, expectType } from "../shape.ts";
import { floats, normal, positive } from "./sample.ts";

/**
 * [learningRate, 1 - beta1, 1 - beta2, eps, weightDecay, 1 - beta1^t, 1 - beta2^t, maxGradNorm (0: no clipping)]. The
 * complements are exact to float32; taken from 0.999f, 1 - beta2 would be off by 1.3e-5 and every step by half of that.
 */
const hyperLength = 8;

export const adamwOp: OpDefinition<Record<string, never>> = {
  name: "adamw",
  infer([parameter, ...rest]) {
    expectType("adamw", "the parameter", parameter, "f32", 1);
    for (const other of rest.slice(0, 3)) {
      expectSame("adamw", "parameter, gradient and moments", parameter, other);
    }
    expectDim("adamw", "hyper's length", expectType("adamw", "hyper", rest[3], "f32", 1)[0], hyperLength);
    expectDim("adamw", "normSquared's length", expectType("adamw", "normSquared", rest[4], "f32", 1)[0], 1);
    return [parameter, parameter, parameter];
  },
  gradient: "none",
  // p -= lr wd p;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr m / c1 / (sqrt(v) / sqrt(c2) + eps)
  onnx(context, [p, gradient, m, v, hyper, normSquared]) {
    const { node, f32, i64 } = context;
    const [lr, a1, a2, eps, decay, c1, c2, maxNorm] = Array.from(
      { length: hyperLength },
      (_, i) => node("Slice", [hyper, i64([i]), i64([i + 1]), i64([0])]),
    );
    const one = f32(1);
    const ratio = node("Div", [maxNorm, node("Add", [node("Sqrt", [normSquared]), f32(1e-6)])]);
    const clip = node("Where", [node("Greater", [maxNorm, f32(0)]), node("Min", [ratio, one]), one]);
    const g = node("Mul", [gradient, clip]);
    const average = (moment: string, share: string, x: string) =>
      node("Add", [node("Mul", [moment, node("Sub", [one, share])]), node("Mul", [x, share])]);
    const m1 = average(m, a1, g), v1 = average(v, a2, node("Mul", [g, g]));
    const root = node("Div", [node("Sqrt", [v1]), node("Sqrt", [c2])]);
    const update = node("Mul", [node("Div", [lr, c1]), node("Div", [m1, node("Add", [root, eps])])]);
    const decayed = node("Mul", [p, node("Sub", [one, node("Mul", [lr, decay])])]);
    return [node("Sub", [decayed, update]), m1, v1];
  },
  webgpu: adamwOnGpu,
  inPlace: { 0: 0, 1: 2, 2: 3 },
  samples: [0, 0.1].map((maxNorm) => ({
    inputs: [
      normal(1, 300),
      normal(2, 300),
      normal(3, 300),
      positive(4, 300),
      floats([1e-2, 0.1, 0.001, 1e-8, 0.1, 0.19, 0.002, maxNorm]),
      floats([25]),
    ],
    attributes: {},
  })),
};

export function adamw(
  ...inputs: [p: Value, gradient: Value, m: Value, v: Value, hyper: Value, normSquared: Value]
): Value[] {
  return apply(adamwOp, inputs, {});
}
