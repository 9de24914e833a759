// adamw, in slices where a tensor is larger than a binding; the mathematics stands in adamw.wgsl.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import code from "./adamw.wgsl" with { type: "text" };
import { cut, groupsOf, slices } from "./dispatch.ts";

export function adamw(context: GpuContext): void {
  const [, gradient, , , hyper, normSquared] = context.inputs;
  for (const slice of slices(context, gradient)) {
    const written = context.outputs.map((value) => cut(value, slice));
    const bindings = [cut(gradient, slice), hyper, normSquared, ...written];
    context.dispatch({ name: "adamw", code }, bindings, [3, 4, 5], [slice.rows], groupsOf(256, slice.rows));
  }
}
