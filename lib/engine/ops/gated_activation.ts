// gatedActivation(gate, up) = act(gate) * up: SwiGLU with silu, GeGLU with gelu (Shazeer 2020). ReLU is step(x) * x.
import {
  gatedActivation as gatedActivationOnGpu,
  gatedActivationGrad as gatedActivationGradOnGpu,
} from "../../../kernels/gated_activation.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import type { OnnxContext } from "../onnx/context.ts";
import { expectSame } from "../shape.ts";
import { normal } from "./sample.ts";

/** silu; gelu_tanh is Transformers' gelu_pytorch_tanh; gelu is the exact one; step is 1 above 0, else 0. */
export type Activation = "silu" | "gelu_tanh" | "gelu" | "step";
type GatedAttributes = { kind: Activation };

const kinds: Activation[] = ["silu", "gelu_tanh", "gelu", "step"];

function activation({ node, f32 }: OnnxContext, x: string, kind: Activation): string {
  if (kind === "step") return node("Cast", [node("Greater", [x, f32(0)])], { to: "f32" });
  if (kind === "silu") return node("ms.QuickGelu", [x], { alpha: { float: 1 } });
  return node("Gelu", [x], { approximate: kind === "gelu" ? "none" : "tanh" });
}

/** d act / d x. */
function derivative({ node, f32 }: OnnxContext, x: string, kind: Activation): string {
  if (kind === "step") return node("Mul", [x, f32(0)]);
  const one = f32(1);
  if (kind === "silu") { // s (1 + x (1 - s))
    const s = node("Sigmoid", [x]);
    return node("Mul", [s, node("Add", [one, node("Mul", [x, node("Sub", [one, s])])])]);
  }
  const square = node("Mul", [x, x]);
  if (kind === "gelu") { // cdf(x) + x pdf(x)
    const cdf = node("Mul", [
      node("Add", [node("Erf", [node("Mul", [x, f32(Math.SQRT1_2)])]), one]),
      f32(0.5),
    ]);
    const pdf = node("Mul", [
      node("Exp", [node("Mul", [square, f32(-0.5)])]),
      f32(1 / Math.sqrt(2 * Math.PI)),
    ]);
    return node("Add", [cdf, node("Mul", [x, pdf])]);
  }
  // u = c (x + a x^3), t = tanh(u): (1 + t) / 2 + x (1 - t^2) / 2 * c (1 + 3 a x^2)
  const c = Math.sqrt(2 / Math.PI), a = 0.044715;
  const u = node("Mul", [x, node("Add", [f32(c), node("Mul", [square, f32(c * a)])])]);
  const t = node("Tanh", [u]);
  const slope = node("Mul", [
    node("Sub", [one, node("Mul", [t, t])]),
    node("Add", [f32(c), node("Mul", [square, f32(3 * c * a)])]),
  ]);
  return node("Mul", [f32(0.5), node("Add", [node("Add", [one, t]), node("Mul", [x, slope])])]);
}

export const gatedActivationOp: OpDefinition<GatedAttributes> = {
  name: "gatedActivation",
  infer([gate, up]) {
    expectSame("gatedActivation", "gate and up", gate, up);
    return [gate];
  },
  gradient({ inputs: [gate, up], attributes }, [dy]) {
    return apply(gatedActivationGradOp, [gate, up, dy!], attributes as GatedAttributes);
  },
  onnx(context, [gate, up], { attributes }) {
    return [context.node("Mul", [activation(context, gate, attributes.kind as Activation), up])];
  },
  webgpu: gatedActivationOnGpu,
  samples: kinds.map((kind) => ({
    inputs: [normal(1, 5, 9), normal(2, 5, 9)],
    attributes: { kind },
    differentiate: kind === "step" ? [1] : [0, 1], // whose slope is 0 on either side of the jump
  })),
};

export const gatedActivationGradOp: OpDefinition<GatedAttributes> = {
  name: "gatedActivationGrad",
  infer([gate, up, dy]) {
    expectSame("gatedActivationGrad", "gate and up", gate, up);
    expectSame("gatedActivationGrad", "gate and dy", gate, dy);
    return [gate, up];
  },
  gradient: "none",
  onnx(context, [gate, up, dy], { attributes }) {
    const kind = attributes.kind as Activation;
    // onnxruntime goes depth first, to the input whose node was added last: what needs no dy is added before what does,
    // or else it would run in the forward pass already and be kept until here.
    const slope = derivative(context, gate, kind), act = activation(context, gate, kind);
    const dGate = context.node("Mul", [context.node("Mul", [dy, up]), slope]);
    return [dGate, context.node("Mul", [dy, act])];
  },
  webgpu: gatedActivationGradOnGpu,
  samples: kinds.map((kind) => ({
    inputs: [normal(1, 5, 9), normal(2, 5, 9), normal(3, 5, 9)],
    attributes: { kind },
  })),
};

export function gatedActivation(gate: Value, up: Value, attributes: GatedAttributes): Value {
  return apply(gatedActivationOp, [gate, up], attributes)[0];
}
