// The tensors of one run against the types of the graph's inputs, and the sizes that its names stand for.
import type { Dim, Graph } from "./graph.ts";
import { describe } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/**
 * The size behind each name. Throws where an input is missing or does not fit; `f16: false` is for devices that hold f16
 * tensors as f32.
 */
export function bindSizes(
  graph: Graph,
  inputs: Readonly<Record<string, Tensor>>,
  { f16 = true }: { f16?: boolean } = {},
): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const [name, { dtype, shape }] of graph.inputs) {
    const tensor = inputs[name];
    if (!tensor) throw new Error(`run: input ${name} is missing.`);
    const stored = dtype === "f16" && !f16 ? "f32" : dtype;
    const wantedSize = (size: Dim) =>
      typeof size === "number" ? size : sizes.get(size) ?? tensor.shape[shape.indexOf(size)];
    const fits = tensor.dtype === stored && tensor.shape.length === shape.length &&
      shape.every((size, axis) => wantedSize(size) === tensor.shape[axis]);
    if (!fits) {
      const wanted = describe({ dtype: stored, shape });
      const known = [...sizes].map(([size, value]) => `${size} = ${value}`).join(", ");
      throw new Error(
        `run: input ${name} is ${describe(tensor)}, the program wants ${wanted}${known && ` (${known})`}.`,
      );
    }
    shape.forEach((size, axis) => typeof size === "string" && sizes.set(size, tensor.shape[axis]));
  }
  return sizes;
}
