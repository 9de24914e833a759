// writeCache, in place; the layout stands in write_cache.wgsl.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { groupsOf } from "./dispatch.ts";
import code from "./write_cache.wgsl" with { type: "text" };

export function writeCache(context: GpuContext): void {
  const [, k, slots] = context.inputs;
  const [cache] = context.outputs;
  const [streams, heads, positions, headSize] = cache.shape;
  const count = k.shape[0] * k.shape[1];
  context.dispatch(
    { name: "writeCache", code },
    [k, slots, cache],
    [2],
    [count, heads, positions, headSize, streams * positions],
    groupsOf(64, count),
  );
}
