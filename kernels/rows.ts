// gatherRows: y[m, c] = x[index[m], c]. scatterRows: y[index[m], c] = x[m, c]; every row of y at most once, the others are
// zeroed before. Layout: the long one [T, D], index [M], the short one [M, D]. One thread an element of the short one.
import type { GpuContext, GpuValue, Kernel } from "../lib/engine/webgpu/context.ts";
import { groupsOf, zero } from "./dispatch.ts";

const kernel = (name: string, copy: string): Kernel => ({
  name,
  code: /* wgsl */ `
struct Shape { count: u32, width: u32, rows: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> index: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + thread;
  if (i >= shape.count) { return; }
  let row = u32(index[i / shape.width]);
  if (row >= shape.rows) { return; }
  let j = row * shape.width + i % shape.width;
  ${copy}
}`,
});

const gather = kernel("gatherRows", "y[i] = x[j];"), scatter = kernel("scatterRows", "y[j] = x[i];");

export function gatherRows(context: GpuContext): void {
  const { inputs: [x], outputs: [y] } = context;
  copyRows(context, gather, { short: y, long: x });
}

export function scatterRows(context: GpuContext): void {
  const { inputs: [x], outputs: [y] } = context;
  zero(context, y);
  copyRows(context, scatter, { short: x, long: y });
}

function copyRows(
  context: GpuContext,
  kernel: Kernel,
  { short, long }: { short: GpuValue; long: GpuValue },
): void {
  const { inputs: [x, index], outputs: [y] } = context, [rows, width] = short.shape;
  const parameters = [rows * width, width, long.shape[0]];
  context.dispatch(kernel, [x, index, y], [2], parameters, groupsOf(256, rows * width));
}
