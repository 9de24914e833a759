// A decode step's graph as calls of kernels over one memory: which ones, where everything stands, and what each thread takes.
import type { Graph } from "../graph.ts";
import { func, I32, i32, int, set, type WasmFunction } from "./assembler.ts";
import { type CachePlace, type Fill, openInputs, type Tensors } from "./inputs.ts";
import { must, openLayout, type Place, rowsOf, sizesAt, type Symbolic, widthOf } from "./layout.ts";
import { nodes, type Planning } from "./nodes.ts";
import { packedProducts, plain, quantize } from "./products.ts";
import { geluTanh, norm, rope, silu, step, store, sum, take } from "./rows.ts";
import { barrier } from "./team.ts";

export interface PlanSettings {
  readonly constants: Tensors;
  readonly threads: number;
  /** There is room for so many tokens. */
  readonly rows: number;
}

export interface Plan {
  readonly functions: WasmFunction[];
  /** Arrivals at barriers in one run. */
  readonly arrivals: number;
  /** What stands at the memory's beginning, and behind `valuesAt`. */
  readonly weightBytes: number;
  readonly valueBytes: number;
  /** Weights, once. */
  readonly packs: readonly Fill[];
  /** Inputs, in every run. */
  readonly feeds: readonly Fill[];
  readonly caches: readonly CachePlace[];
  /** All but the caches, which are written in place. */
  readonly outputs: ReadonlyMap<string, Place & { width: number; rows: Symbolic }>;
  /** Where the addresses of the threads' rooms for scores stand, and for how many heads side by side. */
  readonly scores: Planning["scores"];
}

/**
 * Throws Unsupported where there is no kernel for a node. Weights stand at the memory's beginning, wherever the rest of it
 * begins (`valuesAt`): plans of the same graph for more rows find them there.
 */
export function planGraph(graph: Graph, { constants, threads, rows }: PlanSettings, valuesAt = 0): Plan {
  const layout = openLayout({ threads, rows, valuesAt });
  const { functions, define, index, scripts, place } = layout, inputs = openInputs(graph, constants, layout);
  define(barrier(), quantize, ...[plain, sum, silu, geluTanh, step, norm, rope, store, take]);
  for (const made of packedProducts(index)) define(made);
  const planning: Planning = { layout, inputs, quantized: new Map(), written: new Map() };

  const lastUse = new Map<number, number>();
  graph.nodes.forEach(({ inputs }, i) => inputs.forEach(({ id }) => lastUse.set(id, i)));
  for (const { id } of graph.outputs.values()) lastUse.set(id, Infinity);
  graph.nodes.forEach((node, i) => {
    must(node.op.name in nodes, `the op ${node.op.name}`);
    nodes[node.op.name](planning, node);
    for (const id of new Set(node.inputs.map(({ id }) => id))) {
      if (lastUse.get(id) !== i) continue;
      layout.release(layout.placeOrNone(id));
      layout.release(planning.quantized.get(id));
    }
  });
  layout.meet();
  scripts.forEach((script, t) =>
    define(func(`step${t}`, 1, (local) => {
      const [tokens, ends] = [local(I32), local(I32)];
      return [
        [set(tokens, i32.load(int(sizesAt.tokens))), set(ends, i32.load(int(sizesAt.ends)))],
        script,
      ];
    }))
  );
  const computed = [...graph.outputs].filter(([, { id }]) => !planning.written.has(id));
  return {
    functions: [...functions.values()],
    arrivals: layout.arrivals(),
    weightBytes: layout.weightBytes(),
    valueBytes: layout.valueBytes(),
    packs: inputs.packs,
    feeds: inputs.feeds,
    caches: inputs.caches,
    scores: planning.scores,
    outputs: new Map(
      computed.map((
        [name, value],
      ) => [name, { ...place(value), width: widthOf(value), rows: rowsOf(value) }]),
    ),
  };
}
