// A decode step's graph as calls of kernels over one memory: which ones, where everything stands, and what each thread takes.
import type { Graph, Node, Value } from "../graph.ts";
import { unnest } from "../ops/nested_absmax.ts";
import type { Tensor } from "../tensor.ts";
import { call, type Code, func, get, I32, i32, int, set, type WasmFunction } from "./assembler.ts";
import { attention, headsSideBySide } from "./attention.ts";
import { BLOCK, type Format, packedBytes, packNF4, packSeven } from "./pack.ts";
import { ACTIVATION_BYTES, packedProducts, plain, quantize } from "./products.ts";
import { geluTanh, norm, rope, silu, sum, take } from "./rows.ts";
import { barrier, TEAM_BYTES } from "./team.ts";

export type Tensors = Readonly<Record<string, Tensor>>;

export interface PlanSettings {
  readonly constants: Tensors;
  readonly threads: number;
  /** There is room for so many tokens. */
  readonly rows: number;
}

/** Puts numbers where the kernels look for them. */
type Fill = (memory: ArrayBufferLike, inputs: Tensors) => void;

/** Where a value's rows are. */
interface Place {
  readonly at: number;
  /** Bytes from row to row. */
  readonly stride: number;
  /** Bytes from a thread's own copy to the next one's; 0: one for all. */
  readonly apart: number;
}

/** A cache's keys and values among the inputs, and where their addresses and positions go. */
export interface CachePlace {
  readonly k: string;
  readonly v: string;
  readonly at: number;
}

export interface Plan {
  readonly functions: WasmFunction[];
  /** Arrivals at barriers in one run. */
  readonly arrivals: number;
  /** What stands at the memory's beginning, and behind `valuesAt`. */
  readonly weightBytes: number;
  readonly valueBytes: number;
  /** Weights, once. */
  readonly packs: Fill[];
  /** Inputs, in every run. */
  readonly feeds: Fill[];
  readonly caches: CachePlace[];
  readonly outputs: ReadonlyMap<string, Place & { width: number; rows: Symbolic }>;
  /** Where the addresses of the threads' rooms for scores stand, and for how many heads side by side. */
  readonly scores?: { readonly at: number; readonly side: number };
  /** Where the numbers of rows stand. */
  readonly sizes: Readonly<Record<Symbolic, number>>;
}

/** The sizes that are known when the program runs. */
export type Symbolic = "tokens" | "ends";

/** Thrown where the graph asks for what no kernel does. */
export class Unsupported extends Error {}

function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Unsupported(what);
}

const round = (bytes: number, to = 64) => Math.ceil(bytes / to) * to;

/**
 * Throws Unsupported where there is no kernel for a node. Weights stand at the memory's beginning, wherever the rest of it
 * begins (`valuesAt`): plans of the same graph for more rows find them there.
 */
export function planGraph(graph: Graph, settings: PlanSettings, valuesAt = 0): Plan {
  const { constants, threads, rows } = settings;
  const nameOf = new Map([...graph.inputs].map(([name, { id }]) => [id, name]));
  const sizes = { tokens: TEAM_BYTES, ends: TEAM_BYTES + 4 };
  const packs: Fill[] = [], feeds: Fill[] = [], caches: CachePlace[] = [];
  let weightEnd = TEAM_BYTES + 64, end = valuesAt;
  const weight = (bytes: number): number => {
    const at = weightEnd;
    weightEnd += round(bytes);
    return at;
  };

  // Rooms of values that nobody reads any more are used again, but only behind a barrier.
  const free: { at: number; bytes: number }[] = [], waiting: typeof free = [];
  const room = (bytes: number): number => {
    const found = free.findIndex((other) => other.bytes === bytes);
    if (found >= 0) return free.splice(found, 1)[0].at;
    return fresh(bytes);
  };
  /** Of what is filled before the run, or lasts until its end. */
  const fresh = (bytes: number): number => {
    const at = end;
    end += bytes;
    return at;
  };

  const functions = new Map<string, WasmFunction>();
  const index = (name: string): Code => call([...functions.keys()].indexOf(name));
  const define = (...made: WasmFunction[]) => made.forEach((one) => functions.set(one.name, one));
  define(barrier(), quantize, ...[plain, sum, silu, geluTanh, norm, rope, take]);
  for (const made of packedProducts(index)) define(made);

  const scripts: Code[][] = Array.from({ length: threads }, () => []);
  const each = (write: (thread: number) => Code) => scripts.forEach((script, t) => script.push(write(t)));
  const ROWS: Record<Symbolic, number> = { tokens: 1, ends: 2 }, ARRIVED = 0;
  let barriers = 0;
  /** Values that not all threads have seen yet: how many groups of columns were shared out, 0 where it was something else. */
  const pending = new Map<number, number>();
  const meet = () => {
    const arrivals = ++barriers * threads;
    each(() => [i32.add(get(ARRIVED), int(arrivals)), index("barrier")]);
    pending.clear();
    free.push(...waiting.splice(0));
  };
  const whole = (...values: Value[]) => {
    if (values.some(({ id }) => pending.has(id))) meet();
  };
  const alike = (groups: number, ...values: Value[]) => {
    if (values.some(({ id }) => (pending.get(id) ?? groups) !== groups)) meet();
  };

  const places = new Map<number, Place>(), quantized = new Map<number, Place>();
  const bytesOf = new Map<Place, number>();
  const lastUse = new Map<number, number>();
  graph.nodes.forEach(({ inputs }, i) => inputs.forEach(({ id }) => lastUse.set(id, i)));
  for (const { id } of graph.outputs.values()) lastUse.set(id, Infinity);

  const widthOf = ({ shape }: Value) => shape[1] as number;
  const groupsOf = (value: Value) => Math.ceil(widthOf(value) / 4);
  const made = (stride: number, own: boolean): Place => {
    const apart = own ? round(stride * rows) : 0;
    const bytes = own ? apart * threads : round(stride * rows);
    const place = { at: room(bytes), stride, apart };
    bytesOf.set(place, bytes);
    return place;
  };
  const output = (value: Value, kind: "own" | "shared" | number): Place => {
    const place = made(16 * groupsOf(value), kind === "own");
    places.set(value.id, place);
    if (kind !== "own") pending.set(value.id, kind === "shared" ? 0 : kind);
    return place;
  };
  const rowsOf = ({ shape: [size] }: Value): Symbolic => {
    must(size === "tokens" || size === "ends", `rows of ${size}`);
    return size;
  };
  const place = (value: Value): Place => {
    const known = places.get(value.id);
    must(known !== undefined, "a value that nothing computes");
    return known;
  };
  const address = ({ at, apart }: Place, thread: number, offset = 0) => int(at + apart * thread + offset);
  const from = (p: Place, thread: number, offset = 0): Code => [address(p, thread, offset), int(p.stride)];
  /** Groups of columns that a thread takes; parts of eight where there are many. */
  const share = (groups: number, thread: number): [number, number] => {
    const unit = groups >= 16 * threads ? 8 : 1;
    const bound = (t: number) => t === threads ? groups : Math.floor(groups * t / threads / unit) * unit;
    return [bound(thread), bound(thread + 1) - bound(thread)];
  };

  /** A constant tensor, or an input copied in every run. */
  const numbers = new Map<number, number>();
  const input = (value: Value): number => {
    const known = numbers.get(value.id);
    if (known !== undefined) return known;
    const name = nameOf.get(value.id);
    must(name !== undefined && value.dtype === "f32", "a weight that is not an f32 input");
    const at = weight(16 * Math.ceil((value.shape as number[]).reduce((a, b) => a * b, 1) / 4));
    const fill: Fill = (memory, inputs) => {
      const data = inputs[name].storage as Float32Array;
      new Float32Array(memory, at, data.length).set(data);
    };
    if (constants[name]) packs.push((memory) => fill(memory, constants));
    else feeds.push(fill);
    numbers.set(value.id, at);
    return at;
  };
  const literals = (...values: number[]): number => {
    const at = weight(4 * values.length);
    packs.push((memory) => new Float32Array(memory, at, values.length).set(values));
    return at;
  };
  const constant = (value: Value): Tensor["storage"] | undefined => {
    const name = nameOf.get(value.id);
    return name === undefined ? undefined : constants[name]?.storage;
  };
  const scalesOf = (absmax: Value): Float32Array | undefined => {
    const nested = graph.nodes.find(({ op, outputs }) => op.name === "nestedAbsmax" && outputs[0] === absmax);
    if (!nested) return constant(absmax) as Float32Array | undefined;
    const parts = nested.inputs.map(constant);
    return parts.includes(undefined) ? undefined : unnest(parts as Parameters<typeof unnest>[0]);
  };

  /** x's rows as blocks of bytes, each thread its own. */
  const activations = (x: Value): Place => {
    const known = quantized.get(x.id);
    if (known) return known;
    whole(x);
    const blocks = widthOf(x) / BLOCK, place_ = made(blocks * ACTIVATION_BYTES, true);
    quantized.set(x.id, place_);
    each((t) => [
      [from(place(x), t), from(place_, t), int(blocks), get(ROWS[rowsOf(x)])],
      index("quantize"),
    ]);
    return place_;
  };
  const packed = (
    format: Format,
    x: Value,
    y: Value,
    shape: [number, number],
    pack: (to: number) => Fill,
  ) => {
    const [out, inner] = shape, blocks = inner / BLOCK;
    must(inner % BLOCK === 0, `rows of ${inner} weights`);
    const at = weight(packedBytes(format, shape));
    packs.push(pack(at));
    const a = activations(x), groups = Math.ceil(out / 4), to = output(y, groups);
    const groupBytes = packedBytes(format, [4, inner]);
    each((t) => {
      const [begin, count] = share(groups, t);
      return [
        [int(at + begin * groupBytes), from(a, t), from(to, t, 16 * begin)],
        [int(count), int(blocks), get(ROWS[rowsOf(x)]), index(format)],
      ];
    });
  };

  const elementwise = (kernel: string, [a, b]: readonly Value[], y: Value) => {
    const groups = groupsOf(y);
    alike(groups, a, b);
    const pa = place(a), pb = b.shape.length === 1 ? { at: input(b), stride: 0, apart: 0 } : place(b);
    const to = output(y, groups);
    each((t) => {
      const [begin, count] = share(groups, t), offset = 16 * begin;
      return [
        [from(pa, t, offset), from(pb, t, offset), from(to, t, offset)],
        [int(count), get(ROWS[rowsOf(y)]), index(kernel)],
      ];
    });
  };

  const rotary = new Map<string, number>();
  /** Rows of a table at the tokens' positions. */
  const rowsAt = (table: Value, positions: Value): number => {
    const [name, from] = [nameOf.get(table.id), nameOf.get(positions.id)];
    must(name !== undefined && from !== undefined, "a table that is no input");
    const known = rotary.get(name);
    if (known !== undefined) return known;
    const width = widthOf(table), at = fresh(round(4 * width * rows));
    feeds.push((memory, inputs) => {
      const data = inputs[name].storage as Float32Array, to = new Float32Array(memory, at, width * rows);
      (inputs[from].storage as Int32Array).forEach((position, row) =>
        to.set(data.subarray(position * width, (position + 1) * width), row * width)
      );
    });
    rotary.set(name, at);
    return at;
  };
  /** An i32 input with so many numbers a row. */
  const indices = (value: Value, each: number): number => {
    const name = nameOf.get(value.id);
    must(name !== undefined, "indices that are no input");
    const known = rotary.get(name);
    if (known !== undefined) return known;
    const at = fresh(round(4 * each * rows));
    feeds.push((memory, inputs) => {
      const data = inputs[name].storage as Int32Array;
      new Int32Array(memory, at, data.length).set(data);
    });
    rotary.set(name, at);
    return at;
  };
  const cacheOf = (k: Value, v: Value): number => {
    const [first, second] = [nameOf.get(k.id), nameOf.get(v.id)];
    must(first !== undefined && second !== undefined, "a cache that is no input");
    const at = fresh(64);
    caches.push({ k: first, v: second, at });
    return at;
  };
  let scores: Plan["scores"];

  const kernels: Record<string, (node: Node) => void> = {
    nestedAbsmax: () => {}, // read by the product's packing
    embedding({ inputs: [ids, table], outputs: [y], attributes }) {
      const [idsName, tableName] = [nameOf.get(ids.id), nameOf.get(table.id)];
      must(idsName !== undefined && tableName !== undefined && table.dtype === "f32", "such an embedding");
      const width = widthOf(table), scale = (attributes.scale ?? 1) as number;
      const to = made(16 * groupsOf(y), false);
      places.set(y.id, to);
      feeds.push((memory, inputs) => {
        const data = inputs[tableName].storage as Float32Array;
        (inputs[idsName].storage as Int32Array).forEach((id, row) => {
          const x = new Float32Array(memory, to.at + row * to.stride, width);
          x.set(data.subarray(id * width, (id + 1) * width));
          if (scale !== 1) { for (let i = 0; i < width; i++) x[i] *= scale; }
        });
      });
    },
    rmsNorm({ inputs: [x, w], outputs: [y], attributes }) {
      const length = w.shape[0] as number, parts = widthOf(x) / length;
      must(length % 4 === 0, "a norm of such a length");
      whole(x);
      const at = literals(1 / length, attributes.eps as number, (attributes.offset ?? 0) as number);
      const weightAt = input(w), to = output(y, "own");
      each((t) => [
        [from(place(x), t), int(weightAt), from(to, t), int(length), int(parts)],
        [get(ROWS[rowsOf(x)]), int(at), index("norm")],
      ]);
    },
    matmul({ inputs: [x, w, c], outputs: [y], attributes }) {
      const { alpha = 1, transA = false, transB = false, bits } = attributes;
      must(!transA && transB === true && w.dtype === "f32", "such a product");
      const [out, inner] = w.shape as [number, number], data = constant(w) as Float32Array | undefined;
      if (bits && data && !c && alpha === 1 && inner % BLOCK === 0) {
        return packed(
          "seven",
          x,
          y,
          [out, inner],
          (at) => (memory) => packSeven(memory, at, data, [out, inner]),
        );
      }
      must(inner % 4 === 0 && out * inner <= 1 << 22, "so large a product with f32");
      whole(x);
      const groups = groupsOf(y), weightAt = input(w), alphaAt = literals(alpha as number);
      if (c) alike(groups, c);
      const to = output(y, groups);
      each((t) => {
        const [begin, count] = share(groups, t), columns = Math.min(4 * count, out - 4 * begin);
        return [
          [int(weightAt + 16 * begin * inner), from(place(x), t)],
          [c ? from(place(c), t, 16 * begin) : [int(0), int(0)], from(to, t, 16 * begin)],
          [int(columns), int(inner), get(ROWS[rowsOf(x)]), int(alphaAt), index("plain")],
        ];
      });
    },
    matmulNF4({ inputs: [x, codes, absmax], outputs: [y], attributes }) {
      const { out, in: inner, transB } = attributes as { out: number; in: number; transB: boolean };
      const bytes = constant(codes) as Uint8Array | undefined, scales = scalesOf(absmax);
      must(transB && bytes !== undefined && scales !== undefined, "NF4 weights that are not constant");
      packed("nf4", x, y, [out, inner], (at) => (memory) => packNF4(memory, at, bytes, scales, [out, inner]));
    },
    addBias: ({ inputs, outputs: [y] }) => elementwise("sum", inputs, y),
    add: ({ inputs, outputs: [y] }) => elementwise("sum", inputs, y),
    gatedActivation({ inputs, outputs: [y], attributes: { kind } }) {
      must(kind === "silu" || kind === "gelu_tanh", `the activation ${kind}`);
      elementwise(kind, inputs, y);
    },
    rope({ inputs: [x, positions, cos, sin], outputs: [y], attributes }) {
      const heads = attributes.heads as number, half = widthOf(cos);
      must(!attributes.inverse && half % 4 === 0 && 2 * half * heads === widthOf(x), "such a rotation");
      whole(x);
      const [c, s] = [rowsAt(cos, positions), rowsAt(sin, positions)], to = output(y, "shared");
      each((t) => [
        [from(place(x), t), int(c), int(s), from(to, t), int(heads), int(half)],
        [get(ROWS[rowsOf(x)]), int(t), int(threads), index("rope")],
      ]);
    },
    cachedAttention({ inputs: [q, k, v, cacheK, cacheV, ranges, bias], outputs: [y], attributes }) {
      const { heads, kvHeads, scale } = attributes as { heads: number; kvHeads: number; scale: number };
      const size = widthOf(q) / heads, name = `attention_${heads}_${kvHeads}_${size}_${scale}`;
      must(!bias && size % 4 === 0 && size <= 256, "such an attention");
      const side = headsSideBySide(heads, kvHeads, threads);
      if (!functions.has(name)) define(attention(name, { heads, kvHeads, size, scale, side }));
      whole(q, k, v);
      const cache = cacheOf(cacheK, cacheV), seen = indices(ranges, 2), to = output(y, "shared");
      scores ??= { at: fresh(64), side };
      must(scores.side === side, "attention of several kinds");
      const { at } = scores;
      each((t) => [
        [from(place(q), t), from(place(k), t), from(place(v), t), int(cache), int(seen), from(to, t)],
        [i32.load(int(at), 4 * t), get(ROWS[rowsOf(q)]), int(t), int(threads), index(name)],
      ]);
    },
    gatherRows({ inputs: [x, rowsIn], outputs: [y] }) {
      whole(x);
      const groups = groupsOf(y), which = indices(rowsIn, 1), to = output(y, groups);
      each((t) => {
        const [begin, count] = share(groups, t);
        return [
          [from(place(x), t, 16 * begin), int(which), from(to, t, 16 * begin)],
          [int(count), get(ROWS[rowsOf(y)]), index("take")],
        ];
      });
    },
  };

  graph.nodes.forEach((node, i) => {
    must(node.op.name in kernels, `the op ${node.op.name}`);
    kernels[node.op.name](node);
    for (const id of new Set(node.inputs.map(({ id }) => id))) {
      if (lastUse.get(id) !== i) continue;
      for (const gone of [places.get(id), quantized.get(id)]) {
        if (gone) waiting.push({ at: gone.at, bytes: bytesOf.get(gone)! });
      }
    }
  });
  meet();
  scripts.forEach((script, t) =>
    define(func(`step${t}`, 1, (local) => {
      const [tokens, ends] = [local(I32), local(I32)];
      return [
        [set(tokens, i32.load(int(sizes.tokens))), set(ends, i32.load(int(sizes.ends)))],
        script,
      ];
    }))
  );
  return {
    functions: [...functions.values()],
    arrivals: barriers * threads,
    weightBytes: round(weightEnd),
    valueBytes: end - valuesAt,
    packs,
    feeds,
    caches,
    sizes,
    scores,
    outputs: new Map([...graph.outputs].map(([name, value]) => [name, {
      ...place(value),
      width: widthOf(value),
      rows: rowsOf(value),
    }])),
  };
}
