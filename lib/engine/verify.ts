// The graph's verifier: every value is defined before its use, once, and has the type that its op's rule gives.
import type { Graph } from "./graph.ts";
import { describe, sameShape } from "./shape.ts";

/** Throws where the graph is not well formed. */
export function verify(graph: Graph): void {
  const defined = new Set<number>();
  for (const [name, value] of graph.inputs) {
    if (defined.has(value.id)) throw new Error(`graph: input ${name} is defined twice.`);
    for (const size of value.shape) {
      if (typeof size === "number" && !(Number.isInteger(size) && size > 0)) {
        throw new Error(`graph: input ${name} has an impossible size: ${describe(value)}.`);
      }
    }
    defined.add(value.id);
  }
  for (const { op, inputs, outputs, attributes } of graph.nodes) {
    for (const input of inputs) {
      if (!defined.has(input.id)) {
        throw new Error(`graph: ${op.name} reads a value that nothing has computed.`);
      }
    }
    const types = op.infer(inputs, attributes);
    if (types.length !== outputs.length) throw new Error(`graph: ${op.name} gives ${types.length} outputs.`);
    types.forEach((type, i) => {
      if (type.dtype !== outputs[i].dtype || !sameShape(type.shape, outputs[i].shape)) {
        throw new Error(`graph: ${op.name} gives ${describe(type)}, recorded as ${describe(outputs[i])}.`);
      }
      if (defined.has(outputs[i].id)) throw new Error(`graph: a value of ${op.name} is defined twice.`);
      defined.add(outputs[i].id);
    });
  }
  for (const [name, value] of graph.outputs) {
    if (!defined.has(value.id)) throw new Error(`graph: output ${name} is never computed.`);
  }
}
