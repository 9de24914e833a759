// From a function on symbolic tensors to a verified graph.
import { type Graph, newValue, type Trace, type Type, type Value } from "./graph.ts";
import { verify } from "./verify.ts";

/**
 * Runs `program` once on symbolic tensors and returns the graph of what it did.
 *
 * Names of dynamic sizes ("tokens") stand for the same number wherever they occur in one run.
 */
export function trace<I extends Record<string, Type>>(
  inputs: I,
  program: (inputs: { [K in keyof I]: Value }) => Record<string, Value>,
): Graph {
  const recording: Trace = { nodes: [], nextId: 0 };
  const symbols = Object.fromEntries(
    Object.entries(inputs).map(([name, type]) => [name, newValue(recording, type)]),
  ) as { [K in keyof I]: Value };
  const outputs = new Map(Object.entries(program(symbols)));
  const graph = prune({ inputs: new Map(Object.entries(symbols)), nodes: recording.nodes, outputs });
  verify(graph);
  return graph;
}

/** Leaves out nodes whose outputs nobody uses. */
function prune(graph: Graph): Graph {
  const used = new Set([...graph.outputs.values()].map((value) => value.id));
  const nodes = graph.nodes.toReversed().filter((node) => {
    if (!node.outputs.some((output) => used.has(output.id))) return false;
    node.inputs.forEach((input) => used.add(input.id));
    return true;
  });
  return { ...graph, nodes: nodes.toReversed() };
}

export const f32 = (...shape: Type["shape"]): Type => ({ dtype: "f32", shape });
export const f16 = (...shape: Type["shape"]): Type => ({ dtype: "f16", shape });
export const i32 = (...shape: Type["shape"]): Type => ({ dtype: "i32", shape });
export const u8 = (...shape: Type["shape"]): Type => ({ dtype: "u8", shape });
