// Element by element: y = a + b, and y = x * s for a scalar s[1].
// Layout: flat f32, four elements an invocation, 256 invocations a workgroup, workgroups numbered in two dimensions.
// Limits: memory-bound; tensors longer than one binding are bound in ranges.
import type { GpuBinding, GpuContext, Kernel } from "../lib/engine/webgpu/context.ts";
import { cut, groupsOf, type Slice, slices } from "./dispatch.ts";

const kernel = (name: string, second: string, expression: string): Kernel => ({
  name,
  code: `
struct Params { vectors: u32 }
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<${second}>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + local;
  if (i < params.vectors) { y[i] = ${expression}; }
}`,
});

const addKernel = kernel("add", "vec4f", "a[i] + b[i]");
const scaleKernel = kernel("scaleBy", "f32", "a[i] * b[0]");

/** y = a + b */
export function add(context: GpuContext): void {
  const { inputs: [a, b], outputs: [y] } = context;
  for (const slice of slices(context, y)) {
    run(context, addKernel, slice, [cut(a, slice), cut(b, slice), cut(y, slice)]);
  }
}

/** y = x * s */
export function scaleBy(context: GpuContext): void {
  const { inputs: [x, s], outputs: [y] } = context;
  for (const slice of slices(context, y)) run(context, scaleKernel, slice, [cut(x, slice), s, cut(y, slice)]);
}

function run(context: GpuContext, kernel: Kernel, { rows }: Slice, bindings: readonly GpuBinding[]): void {
  const vectors = Math.ceil(rows / 4);
  context.dispatch(kernel, bindings, [2], [vectors], groupsOf(256, vectors));
}
