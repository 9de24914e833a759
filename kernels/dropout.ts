// dropout; the mathematics stands in dropout.wgsl.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { groupsOf } from "./dispatch.ts";
import code from "./dropout.wgsl" with { type: "text" };

export function dropout(context: GpuContext, { p, module }: { p: number; module: number }): void {
  const [x, tokenKeys, layerKey] = context.inputs;
  const [tokens, width] = x.shape;
  const offset = Math.imul(module, 0x9e3779b9) >>> 0;
  context.dispatch(
    { name: "dropout", code },
    [x, tokenKeys, layerKey, context.outputs[0]],
    [3],
    [tokens * width, width, offset, Math.floor(p * 2 ** 24), { f32: 1 / (1 - p) }],
    groupsOf(256, tokens * width),
  );
}
