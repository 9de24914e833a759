// Reverse-mode differentiation: the walk back asks each op for its gradient, which gives more nodes of the same graph.
import type { Trace, Value } from "./graph.ts";
import { add } from "./ops/add.ts";

/**
 * Gradients of `sum(seed * value)` over all pairs in `of` with respect to `wrt`, as symbolic tensors of the same trace.
 *
 * A value in `wrt` on which nothing depends is an error: a parameter that cannot learn is always a mistake.
 */
export function gradients(of: readonly { value: Value; seed: Value }[], wrt: readonly Value[]): Value[] {
  const trace = wrt[0].trace as Trace;
  const forward = [...trace.nodes];
  const depends = new Set(wrt.map((value) => value.id));
  for (const node of forward) {
    if (node.inputs.some((input) => depends.has(input.id))) {
      node.outputs.forEach((output) => depends.add(output.id));
    }
  }
  const gradient = new Map<number, Value>();
  const accumulate = (value: Value, amount: Value) => {
    const sofar = gradient.get(value.id);
    gradient.set(value.id, sofar ? add(sofar, amount) : amount);
  };
  for (const { value, seed } of of) accumulate(value, seed);
  for (const node of forward.toReversed()) {
    const arriving = node.outputs.map((output) => gradient.get(output.id));
    const needed = node.inputs.map((input) => depends.has(input.id));
    if (!needed.includes(true) || arriving.every((value) => value === undefined)) continue;
    if (node.op.gradient === "none") throw new Error(`${node.op.name} has no gradient.`);
    node.op.gradient(node, arriving, needed).forEach((amount, i) => {
      if (amount && needed[i]) accumulate(node.inputs[i], amount);
    });
  }
  return wrt.map((value, i) => {
    const found = gradient.get(value.id);
    if (!found) throw new Error(`gradients: nothing depends on value ${i} of those asked for.`);
    return found;
  });
}
