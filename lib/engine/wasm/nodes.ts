// Each op of a decode step as calls of kernels, shared out among the threads.
import type { Node, Value } from "../graph.ts";
import { attention, headsSideBySide } from "./attention.ts";
import { type Code, i32, int } from "./assembler.ts";
import type { Fill, Inputs } from "./inputs.ts";
import { groupsOf, type Layout, must, type Place, widthOf } from "./layout.ts";
import { BLOCK, type Format, packedBytes, packNF4, packSeven } from "./pack.ts";
import { ACTIVATION_BYTES } from "./products.ts";

/** What the nodes of a plan share. */
export interface Planning {
  readonly layout: Layout;
  readonly inputs: Inputs;
  /** Values' rows as blocks of bytes. */
  readonly quantized: Map<number, Place>;
  /** Caches that a token's keys or values were written into: which one of the inputs, and where in it. */
  readonly written: Map<number, { cache: Value; x: Value; slots: Value }>;
  /** Where the addresses of the threads' rooms for scores stand, and for how many heads side by side. */
  scores?: { readonly at: number; readonly side: number };
}

/** x's rows as blocks of bytes, each thread its own. */
function activations({ layout, quantized }: Planning, x: Value): Place {
  const known = quantized.get(x.id);
  if (known) return known;
  layout.whole(x);
  const blocks = widthOf(x) / BLOCK, place = layout.room(blocks * ACTIVATION_BYTES, true);
  quantized.set(x.id, place);
  layout.each((t) => [
    [layout.from(layout.place(x), t), layout.from(place, t), int(blocks), layout.count(x)],
    layout.index("quantize"),
  ]);
  return place;
}

interface Packed {
  readonly format: Format;
  readonly shape: readonly [out: number, inner: number];
  pack(to: number): Fill;
}

/** y = x W^T with packed weights. */
function packedProduct(planning: Planning, x: Value, y: Value, { format, shape, pack }: Packed): void {
  const { layout, inputs } = planning, [out, inner] = shape, blocks = inner / BLOCK;
  must(inner % BLOCK === 0, `rows of ${inner} weights`);
  const at = layout.weight(packedBytes(format, shape));
  inputs.packs.push(pack(at));
  const a = activations(planning, x), groups = Math.ceil(out / 4), to = layout.output(y, groups);
  const groupBytes = packedBytes(format, [4, inner]);
  layout.each((t) => {
    const [begin, count] = layout.share(groups, t);
    return [
      [int(at + begin * groupBytes), layout.from(a, t), layout.from(to, t, 16 * begin)],
      [int(count), int(blocks), layout.count(x), layout.index(format)],
    ];
  });
}

/** y = kernel(a, b), column by column; each a value, numbers for every token, or one row for all. */
function elementwise({ layout, inputs }: Planning, kernel: string, [a, b]: readonly Value[], y: Value): void {
  const groups = groupsOf(y);
  const operand = (x: Value): Place => {
    const known = layout.placeOrNone(x.id), width = x.shape.at(-1) as number;
    if (known) return known;
    if (x.shape.length === 1) return { at: inputs.tensor(x), stride: 0, apart: 0 };
    return { at: inputs.perToken(x, width), stride: 4 * width, apart: 0 };
  };
  layout.alike(groups, a, b);
  const [first, second] = [operand(a), operand(b)], to = layout.output(y, groups);
  layout.each((t) => {
    const [begin, count] = layout.share(groups, t), offset = 16 * begin;
    return [
      [layout.from(first, t, offset), layout.from(second, t, offset), layout.from(to, t, offset)],
      [int(count), layout.count(y), layout.index(kernel)],
    ];
  });
}

/** y = alpha x W^T + c in f32. Columns of x that fill up its last group of four are zeros: products make them so. */
function plainProduct(
  { layout, inputs }: Planning,
  { inputs: [x, w, c], outputs: [y], attributes }: Node,
): void {
  const [out, inner] = w.shape as [number, number], { alpha = 1 } = attributes as { alpha?: number };
  must(out * inner <= 1 << 22, "so large a product with f32");
  layout.whole(x);
  const groups = groupsOf(y), width = 4 * groupsOf(x), alphaAt = inputs.literals(alpha);
  const weightAt = inputs.tensor(w, width);
  if (c) layout.alike(groups, c);
  const to = layout.output(y, groups), none: Code = [int(0), int(0)];
  layout.each((t) => {
    const [begin, count] = layout.share(groups, t);
    return [
      [int(weightAt + 16 * begin * width), layout.from(layout.place(x), t)],
      [c ? layout.from(layout.place(c), t, 16 * begin) : none, layout.from(to, t, 16 * begin)],
      [int(count), int(width), layout.count(x), int(alphaAt), layout.index("plain")],
    ];
  });
}

interface Stored {
  readonly cache: number;
  readonly slots: number;
  readonly shape: readonly [kvHeads: number, size: number];
}

/** Keys (part 0) or values (part 4) of the tokens into the cache. */
function store({ layout }: Planning, x: Value, part: number, { cache, slots, shape: [heads, size] }: Stored) {
  layout.each((t) => [
    [layout.from(layout.place(x), t), int(cache), int(part), int(slots)],
    [int(heads), int(size / 4), layout.count(x), int(t), int(layout.threads), layout.index("store")],
  ]);
}

export const nodes: Readonly<Record<string, (planning: Planning, node: Node) => void>> = {
  nestedAbsmax: () => {}, // read by the product's packing
  embedding({ layout, inputs }, { inputs: [ids, table], outputs: [y], attributes }) {
    const idsName = inputs.named(ids, "ids"), tableName = inputs.named(table, "a table");
    must(table.dtype === "f32", "such an embedding");
    const width = widthOf(table), scale = (attributes.scale ?? 1) as number;
    must(width % 4 === 0, "an embedding of such a width");
    const to = layout.room(16 * groupsOf(y), false);
    layout.put(y, to);
    inputs.feeds.push((memory, inputs) => {
      const data = inputs[tableName].storage as Float32Array;
      (inputs[idsName].storage as Int32Array).forEach((id, row) => {
        const x = new Float32Array(memory, to.at + row * to.stride, width);
        x.set(data.subarray(id * width, (id + 1) * width));
        if (scale !== 1) { for (let i = 0; i < width; i++) x[i] *= scale; }
      });
    });
  },
  rmsNorm({ layout, inputs }, { inputs: [x, w], outputs: [y], attributes }) {
    const length = w.shape[0] as number, parts = widthOf(x) / length;
    must(length % 4 === 0, "a norm of such a length");
    layout.whole(x);
    const at = inputs.literals(1 / length, attributes.eps as number, (attributes.offset ?? 0) as number);
    const weightAt = inputs.tensor(w), to = layout.output(y, "own");
    layout.each((t) => [
      [layout.from(layout.place(x), t), int(weightAt), layout.from(to, t), int(length), int(parts)],
      [layout.count(x), int(at), layout.index("norm")],
    ]);
  },
  matmul(planning, node) {
    const { inputs: [x, w, c], outputs: [y], attributes } = node;
    const { alpha = 1, transA = false, transB = false, bits } = attributes;
    must(!transA && transB === true && w.dtype === "f32", "such a product");
    const shape = w.shape as [number, number], data = planning.inputs.constant(w) as Float32Array | undefined;
    if (!bits || !data || c || alpha !== 1 || shape[1] % BLOCK !== 0) return plainProduct(planning, node);
    const pack = (at: number): Fill => (memory) => packSeven(memory, at, data, shape);
    packedProduct(planning, x, y, { format: "seven", shape, pack });
  },
  matmulNF4(planning, { inputs: [x, codes, absmax], outputs: [y], attributes }) {
    const { out, in: inner, transB } = attributes as { out: number; in: number; transB: boolean };
    const { constant, scales: scalesOf } = planning.inputs;
    const bytes = constant(codes) as Uint8Array | undefined, scales = scalesOf(absmax);
    must(transB && bytes !== undefined && scales !== undefined, "NF4 weights that are not constant");
    const shape = [out, inner] as const;
    const pack = (at: number): Fill => (memory) => packNF4(memory, at, bytes, scales, shape);
    packedProduct(planning, x, y, { format: "nf4", shape, pack });
  },
  addBias: (planning, { inputs, outputs: [y] }) => elementwise(planning, "sum", inputs, y),
  add: (planning, { inputs, outputs: [y] }) => elementwise(planning, "sum", inputs, y),
  gatedActivation(planning, { inputs, outputs: [y], attributes: { kind } }) {
    must(kind === "silu" || kind === "gelu_tanh" || kind === "step", `the activation ${kind}`);
    elementwise(planning, kind, inputs, y);
  },
  rope({ layout, inputs }, { inputs: [x, positions, cos, sin], outputs: [y], attributes }) {
    const heads = attributes.heads as number, half = widthOf(cos);
    must(!attributes.inverse && half % 4 === 0 && 2 * half * heads === widthOf(x), "such a rotation");
    layout.whole(x);
    const [c, s] = [cos, sin].map((table) => inputs.rowsAt(table, positions));
    const to = layout.output(y, "together");
    layout.each((t) => [
      [layout.from(layout.place(x), t), int(c), int(s), layout.from(to, t), int(heads), int(half)],
      [layout.count(x), int(t), int(layout.threads), layout.index("rope")],
    ]);
  },
  writeCache({ written }, { inputs: [cache, x, slots], outputs: [y] }) {
    written.set(y.id, { cache, x, slots }); // by the attention that reads it
  },
  cachedAttention(planning, { inputs: [q, k, v, cacheK, cacheV, ranges, bias], outputs: [y], attributes }) {
    const { layout, inputs, written } = planning;
    const { heads, kvHeads, scale } = attributes as { heads: number; kvHeads: number; scale: number };
    const size = widthOf(q) / heads, name = `attention_${heads}_${kvHeads}_${size}_${scale}`;
    const [keys, values] = [written.get(cacheK.id), written.get(cacheV.id)];
    must(!bias && size % 4 === 0 && size <= 256, "such an attention");
    must(keys?.x === k && values?.x === v && keys.slots === values.slots, "a cache that others write");
    const side = headsSideBySide(heads, kvHeads, layout.threads);
    if (!layout.functions.has(name)) layout.define(attention(name, { heads, kvHeads, size, scale, side }));
    planning.scores ??= { at: layout.fresh(4 * layout.threads), side };
    must(planning.scores.side === side, "attention of several kinds");
    const cache = inputs.cache(keys.cache, values.cache), scores = planning.scores.at;
    const slots = inputs.perToken(keys.slots, 1), stored: Stored = { cache, slots, shape: [kvHeads, size] };
    layout.whole(q, k, v);
    store(planning, k, 0, stored);
    store(planning, v, 4, stored);
    layout.meet(); // a prompt's tokens see one another's
    const seen = inputs.perToken(ranges, 2), to = layout.output(y, "together");
    const [pq, pk, pv] = [q, k, v].map(layout.place);
    layout.each((t) => [
      [layout.from(pq, t), layout.from(pk, t), layout.from(pv, t), int(cache), int(slots), int(seen)],
      [
        layout.from(to, t),
        i32.load(int(scores), 4 * t),
        layout.count(q),
        int(t),
        int(layout.threads),
        layout.index(name),
      ],
    ]);
  },
  gatherRows({ layout, inputs }, { inputs: [x, rowsIn], outputs: [y] }) {
    layout.whole(x);
    const groups = groupsOf(y), which = inputs.perToken(rowsIn, 1), to = layout.output(y, groups);
    layout.each((t) => {
      const [begin, count] = layout.share(groups, t);
      return [
        [layout.from(layout.place(x), t, 16 * begin), int(which), layout.from(to, t, 16 * begin)],
        [int(count), layout.count(y), layout.index("take")],
      ];
    });
  },
};
