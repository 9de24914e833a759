// gatedActivation(gate, up) = act(gate) * up, and dgate = act'(gate) * up * dy, dup = act(gate) * dy.
//
// Mathematics: step x > 0; silu x / (1 + exp(-x)); gelu_tanh x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); gelu x/2 (1 + erf(x / sqrt 2)),
//   erf by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7). exp's argument is held below overflow.
// Layout: all of one shape, flat. One thread an element; values larger than a binding go in slices.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { cut, groupsOf, slices } from "./dispatch.ts";

type Kind = "silu" | "gelu_tanh" | "gelu" | "step";

/** vec2f(act(x), act'(x)) */
const activations: Record<Kind, string> = {
  step: /* wgsl */ `
  return vec2f(select(0.0, 1.0, x > 0.0), 0.0);`,
  silu: /* wgsl */ `
  let gate = 1.0 / (1.0 + exp(min(-x, 80.0)));
  return vec2f(x * gate, gate * (1.0 + x * (1.0 - gate)));`,
  gelu_tanh: /* wgsl */ `
  let inner = 0.7978845608028654 * (x + 0.044715 * x * x * x);
  let tangent = 1.0 - 2.0 / (exp(clamp(2.0 * inner, -80.0, 80.0)) + 1.0);
  let slope = 0.7978845608028654 * (1.0 + 0.134145 * x * x) * (1.0 - tangent * tangent);
  return vec2f(0.5 * x * (1.0 + tangent), 0.5 * (1.0 + tangent) + 0.5 * x * slope);`,
  gelu: /* wgsl */ `
  let z = abs(x) * 0.7071067811865476;
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let bell = exp(-min(z * z, 80.0));
  let tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * bell;
  let share = 0.5 * select(2.0 - tail, tail, x < 0.0); // the normal distribution's, up to x
  return vec2f(x * share, share + x * 0.3989422804014327 * bell);`,
};

const code = (kind: Kind, names: string[], body: string) => /* wgsl */ `
struct Shape { count: u32 }
${
  names.map((name, i) => {
    const access = name.startsWith("out") ? "read_write" : "read";
    return `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<f32>;`;
  }).join("\n")
}
@group(0) @binding(${names.length}) var<uniform> shape: Shape;

fn act(x: f32) -> vec2f {${activations[kind]}
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + thread;
  if (i >= shape.count) { return; }
  let a = act(gate[i]);
  ${body}
}`;

export function gatedActivation(context: GpuContext, { kind }: { kind: string }): void {
  const values = [...context.inputs, context.outputs[0]];
  const text = code(kind as Kind, ["gate", "up", "out"], "out[i] = a.x * up[i];");
  for (const slice of slices(context, values[0])) {
    const bindings = values.map((value) => cut(value, slice));
    context.dispatch({ name: kind, code: text }, bindings, [2], [slice.rows], groupsOf(256, slice.rows));
  }
}

export function gatedActivationGrad(context: GpuContext, { kind }: { kind: string }): void {
  const values = [...context.inputs, ...context.outputs];
  const text = code(
    kind as Kind,
    ["gate", "up", "dy", "outGate", "outUp"],
    "outGate[i] = a.y * up[i] * dy[i];\n  outUp[i] = a.x * dy[i];",
  );
  for (const slice of slices(context, values[0])) {
    const bindings = values.map((value) => cut(value, slice));
    context.dispatch(
      { name: `${kind}Grad`, code: text },
      bindings,
      [3, 4],
      [slice.rows],
      groupsOf(256, slice.rows),
    );
  }
}
