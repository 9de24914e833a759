// sumSquares, in slices where a tensor is larger than a binding; the mathematics stands in sum_squares.wgsl.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { cut, slices } from "./dispatch.ts";
import code from "./sum_squares.wgsl" with { type: "text" };

/** Workgroups a slice: enough for a large GPU, few enough for one workgroup to add their sums. */
const most = 1024;

export function sumSquares(context: GpuContext): void {
  const [x, before] = context.inputs;
  const kernel = { name: "sumSquares", code };
  const parts = slices(context, x).map((slice) => ({
    slice,
    groups: Math.min(most, Math.ceil(slice.rows / 1024)),
  }));
  const partial = context.temporary("f32", [parts.reduce((sum, { groups }) => sum + groups, 0)]);
  let first = 0;
  for (const { slice, groups } of parts) {
    context.dispatch(kernel, [cut(x, slice), before, partial], [2], [slice.rows, first, 0], [groups]);
    first += groups;
  }
  context.dispatch(kernel, [partial, before, context.outputs[0]], [2], [first, 0, 1], [1]);
}
