// nestedAbsmax on WebGPU; the mathematics stands in the .wgsl file.
import { elementCount } from "../lib/engine/dtype.ts";
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { groupsOf } from "./dispatch.ts";
import code from "./nested_absmax.wgsl" with { type: "text" };

export function nestedAbsmax(context: GpuContext): void {
  const vectors = Math.ceil(elementCount(context.outputs[0].shape) / 4);
  const bindings = [...context.inputs, context.outputs[0]];
  context.dispatch({ name: "nestedAbsmax", code }, bindings, [4], [vectors], groupsOf(256, vectors));
}
