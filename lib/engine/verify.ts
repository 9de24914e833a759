// The graph's verifier: every value is defined before its use, once, of possible sizes, and has the type that its op's rule
// gives.
import type { Graph, Value } from "./graph.ts";
import { describe, sameShape } from "./shape.ts";

/** Throws where the graph is not well formed. */
export function verify({ inputs, nodes, outputs }: Graph): void {
  const defined = new Map<number, Value>();
  const names = new Set([...inputs.values()].flatMap(({ shape }) => shape));
  const define = (value: Value, what: string) => {
    if (defined.has(value.id)) throw new Error(`graph: ${what} is defined twice.`);
    for (const size of value.shape) {
      if (typeof size === "number" ? Number.isInteger(size) && size > 0 : names.has(size)) continue;
      throw new Error(`graph: ${what} has an impossible size: ${describe(value)}.`);
    }
    defined.set(value.id, value);
  };
  // Values of another trace have numbers too, so the value itself is compared.
  const isDefined = (value: Value) => defined.get(value.id) === value;

  for (const [name, value] of inputs) define(value, `input ${name}`);
  for (const { op, inputs, outputs, attributes } of nodes) {
    if (!inputs.every(isDefined)) {
      throw new Error(`graph: ${op.name} reads a value that nothing has computed.`);
    }
    const types = op.infer(inputs, attributes);
    if (types.length !== outputs.length) throw new Error(`graph: ${op.name} gives ${types.length} outputs.`);
    types.forEach((type, i) => {
      if (type.dtype !== outputs[i].dtype || !sameShape(type.shape, outputs[i].shape)) {
        throw new Error(`graph: ${op.name} gives ${describe(type)}, recorded as ${describe(outputs[i])}.`);
      }
      define(outputs[i], `a value of ${op.name}`);
    });
  }
  for (const [name, value] of outputs) {
    if (!isDefined(value)) throw new Error(`graph: output ${name} is never computed.`);
  }
}
