// The decode step in WebAssembly: one call for a token of every stream, or for many of their prompts, on all threads, with
// weights of four bits.
import { setImmediate } from "node:timers";
import { UserError } from "../../errors.ts";
import type { Program } from "../device.ts";
import type { Graph } from "../graph.ts";
import type { Tensor } from "../tensor.ts";
import { assemble } from "./assembler.ts";
import { scoreBytes } from "./attention.ts";
import { type Caches, openCaches } from "./caches.ts";
import { type Heap, openHeap } from "./heap.ts";
import type { Tensors } from "./inputs.ts";
import { sizesAt, Unsupported } from "./layout.ts";
import { type Plan, planGraph } from "./plan.ts";
import { openTeam, type Team } from "./team.ts";

const PAGE = 65536, MAX_PAGES = 65536;
/** What weights may take of the 4 GB that addresses reach: the rest is for caches. */
const mostWeights = 3 * 2 ** 30;
/** The first plan has room for so many tokens, which take memory only when they come; more make another one. */
const usualRows = 256;

/** A program whose caches live in its memory: it writes them in place, and gives back all other outputs. */
export interface WasmProgram extends Program {
  readonly caches: Pick<Caches, "take" | "free">;
}

export interface WasmSettings {
  /** Inputs whose content never changes: copied once. What is not among them is read in every run. */
  readonly constants: Tensors;
  readonly threads: number;
}

/**
 * The program of a graph that writes caches and then reads them (decodeGraph with `inPlace`); undefined where it holds what no
 * kernel does, or the machine has no relaxed SIMD.
 */
export function compileWasm(graph: Graph, settings: WasmSettings): WasmProgram | undefined {
  const first = planned(graph, { ...settings, rows: usualRows });
  if (!first || first.weightBytes > mostWeights || !WebAssembly.validate(assemble(first.functions))) {
    return undefined;
  }
  const memory = new WebAssembly.Memory({
    initial: Math.ceil(first.weightBytes / PAGE) + 1,
    maximum: MAX_PAGES,
    shared: true,
  });
  for (const pack of first.packs) pack(memory.buffer, settings.constants);
  const heap = openHeap(memory, first.weightBytes), caches = openCaches(memory, heap);
  let running: Running | undefined, broken = false;
  start(usualRows);

  /** Plans for so many tokens, which takes the place of what there was. */
  function start(rows: number): Running {
    const { threads } = settings, { valueBytes } = planGraph(graph, { ...settings, rows });
    const at = heap.take(valueBytes), plan = planGraph(graph, { ...settings, rows }, at);
    const module = new WebAssembly.Module(assemble(plan.functions));
    stop();
    const team = openTeam(module, memory, { threads, arrivals: plan.arrivals });
    return running = { plan, at, rows, team, scores: { at: 0, positions: 0 } };
  }
  function stop() {
    if (!running) return;
    running.team.close();
    heap.give(running.at);
    heap.give(running.scores.at);
    running = undefined;
  }
  return {
    caches,
    /** What has failed half-way cannot be trusted any more. */
    get outdated() {
      return broken;
    },
    async run(inputs) {
      // Others get their turn between tokens.
      await new Promise<void>((resolve) => setImmediate(() => resolve()));
      if (!running) throw new Error("The program is closed.");
      const tokens = inputs.ids.shape[0];
      const now = tokens > running.rows ? start(2 ** Math.ceil(Math.log2(tokens))) : running;
      try {
        return step(memory, now, { inputs, heap, caches, threads: settings.threads });
      } catch (error) {
        broken ||= !(error instanceof UserError);
        throw error;
      }
    },
    close: stop,
  };
}

function planned(graph: Graph, settings: Parameters<typeof planGraph>[1]): Plan | undefined {
  try {
    return planGraph(graph, settings);
  } catch (error) {
    if (error instanceof Unsupported) return undefined;
    throw error;
  }
}

interface Running {
  readonly plan: Plan;
  readonly team: Team;
  /** Of the values of so many tokens. */
  readonly at: number;
  readonly rows: number;
  /** The threads' room for scores, and the positions that each has place for. */
  scores: { readonly at: number; readonly positions: number };
}

interface Step {
  readonly inputs: Tensors;
  readonly heap: Heap;
  readonly caches: Caches;
  readonly threads: number;
}

function step(
  memory: WebAssembly.Memory,
  running: Running,
  { inputs, heap, caches, threads }: Step,
): Record<string, Tensor> {
  const { plan, team } = running, ranges = inputs.ranges.storage as Int32Array;
  const seen = Math.max(0, ...ranges);
  const positions = Math.max(running.scores.positions, seen >= running.scores.positions ? 2 * seen + 64 : 0);
  const scoreRoom = plan.scores ? scoreBytes(positions, plan.scores.side) : 0;
  if (positions > running.scores.positions) {
    const at = heap.take(threads * scoreRoom);
    heap.give(running.scores.at);
    running.scores = { at, positions };
  }
  const places = plan.caches.map(({ k, v, at }) => {
    const [streams, , positions] = inputs[k].shape;
    return {
      at,
      numbers: [caches.place(inputs[k]), caches.place(inputs[v]), positions, streams > 1 ? 1 : 0],
    };
  });
  const words = new Int32Array(memory.buffer);
  const sizes = { tokens: inputs.ids.shape[0], ends: inputs.last.shape[0] };
  words[sizesAt.tokens / 4] = sizes.tokens;
  words[sizesAt.ends / 4] = sizes.ends;
  for (let t = 0; t < threads && plan.scores; t++) {
    words[plan.scores.at / 4 + t] = running.scores.at + t * scoreRoom;
  }
  for (const { at, numbers } of places) words.set(numbers, at / 4);
  for (const feed of plan.feeds) feed(memory.buffer, inputs);
  team.run();
  return Object.fromEntries([...plan.outputs].map(([name, { at, stride, width, rows }]) => {
    const storage = new Float32Array(sizes[rows] * width);
    for (let row = 0; row < sizes[rows]; row++) {
      storage.set(new Float32Array(memory.buffer, at + row * stride, width), row * width);
    }
    return [name, { dtype: "f32", shape: [sizes[rows], width], storage }];
  }));
}
