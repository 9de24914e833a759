// rope; the mathematics stands in rope.wgsl.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { groupsOf } from "./dispatch.ts";
import code from "./rope.wgsl" with { type: "text" };

export function rope(
  context: GpuContext,
  { heads, inverse = false }: { heads: number; inverse?: boolean },
): void {
  const [x, positions, cos, sin] = context.inputs;
  const [tokens, width] = x.shape;
  const count = tokens * width / 2;
  context.dispatch(
    { name: "rope", code },
    [x, positions, cos, sin, context.outputs[0]],
    [4],
    [count, heads, width / heads / 2, { f32: inverse ? -1 : 1 }],
    groupsOf(256, count),
  );
}
