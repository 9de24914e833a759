// Attention on the CPU: a Loop over chunks of queries that reads only the keys which the chunk can see.
import type { Type } from "../graph.ts";
import type { OnnxContext } from "../onnx/context.ts";

/** Of all ops of attention. */
export type AttentionAttributes = { heads: number; kvHeads: number; scale: number };

/** Queries a chunk: large enough for fast products, small enough to skip what lies above the diagonal. */
const chunkLength = 128;

/** What the lowering knows of the op. */
export type OnnxShape = AttentionAttributes & {
  /** Of q: heads times D. */ width: number;
  relative?: Relative;
};

/** A bias by distance: its name, and its rows (2 * reach + 1). */
interface Relative {
  readonly bias: string;
  readonly rows: number;
}

/** The bias that the op has, if any. */
export const relativeOf = (bias: string | undefined, type: Type | undefined): Relative | undefined =>
  bias === undefined ? undefined : { bias, rows: type!.shape[0] as number };

/** Rows of the bias for integer distances. */
export function biasRows({ node, i32 }: OnnxContext, distances: string, rows: number): string {
  const reach = (rows - 1) / 2;
  return node("Add", [node("Clip", [distances, i32(-reach), i32(reach)]), i32(reach)]);
}

/** [tokens, kvHeads * D] -> [kvHeads, tokens, D] */
export function keysFirst(
  { node, i64 }: OnnxContext,
  x: string,
  { heads, kvHeads, width }: OnnxShape,
): string {
  const perHead = node("Reshape", [x, i64([-1, kvHeads, width / heads])]);
  return node("Transpose", [perHead], { perm: { ints: [1, 0, 2] } });
}

/** o and, if asked for, lse, of queries over keys and values that are laid out [kvHeads, keys, D]. */
export function attendOnnx(
  context: OnnxContext,
  inputs: readonly string[],
  shape: OnnxShape,
  withLse = false,
): (string | undefined)[] {
  const loop = chunkedQueries(context, inputs, shape);
  const { body: { context: inner }, chunk } = loop;
  const scores = chunk.scores();
  const o = inner.node("MatMul", [inner.node("Softmax", [scores], { axis: -1 }), chunk.v]);
  // Softmax needs no lse on the CPU; it is there for whoever asks.
  const lse = withLse ? [inner.node("ReduceLogSumExp", [scores, inner.i64([-1])], { keepdims: 1 })] : [];
  const [stackedO, stackedLse] = loop.run([], [o, ...lse]);
  return [loop.join(stackedO), stackedLse && loop.join(stackedLse)];
}

/**
 * A Loop over chunks of queries. Inside, everything is laid out [kvHeads, group * chunk, D] so that the heads which share
 * keys go through one product; `run` adds the loop, `join` puts the chunks of an output back behind one another.
 */
export function chunkedQueries(
  context: OnnxContext,
  [q, allK, allV, ranges]: readonly string[],
  shape: OnnxShape,
) {
  const { heads, kvHeads, scale, width, relative } = shape;
  const biasByHead = relative && context.node("Transpose", [relative.bias], { perm: { ints: [1, 0] } });
  const size = width / heads, group = heads / kvHeads;
  const { node: add, i64 } = context;
  const tokens = add("Shape", [q], { start: 0, end: 1 });
  // Chunks of equal length that cover all tokens; the last one is filled with copies of the last query's range.
  const count = add("Div", [add("Add", [tokens, i64([chunkLength - 1])]), i64([chunkLength])]);
  const length = add("Div", [add("Sub", [add("Add", [tokens, count]), i64([1])]), count]);
  const missing = add("Sub", [add("Mul", [length, count]), tokens]);
  const padding = add("Concat", [i64([0, 0]), missing, i64([0])], { axis: 0 });
  const paddedRanges = add("Pad", [ranges, padding], { mode: "edge" });

  const body = context.body();
  const inner = body.context;
  const step = { name: inner.fresh("step"), dtype: "i64" as const, shape: [] },
    go = { name: inner.fresh("go"), dtype: "bool" as const, shape: [] };
  body.inputs.push(step, go);
  const start = inner.node("Mul", [inner.node("Reshape", [step.name, i64([1])]), length]);
  const end = inner.node("Add", [start, length]);
  const slice = (x: string, from: string, to: string, axis: number) =>
    inner.node("Slice", [x, from, to, i64([axis])]);
  const range = slice(paddedRanges, start, end, 0);
  const first = slice(range, i64([0]), i64([1]), 1), last = slice(range, i64([1]), i64([2]), 1);
  const bound = (op: string, x: string) =>
    inner.node("Cast", [inner.node(op, [x, i64([0])], { keepdims: 0 })], { to: "i64" });
  const low = bound("ReduceMin", first), high = bound("ReduceMax", last);

  /** Rows of a [tokens, heads * D] tensor that belong to this chunk, as [kvHeads, group * chunk, D]. */
  const perQuery = (x: string) => {
    const padded = add("Pad", [x, padding]);
    const all = add("Transpose", [add("Reshape", [padded, i64([0, kvHeads, group, -1])])], {
      perm: { ints: [1, 2, 0, 3] },
    });
    return inner.node("Reshape", [slice(all, start, end, 2), i64([kvHeads, -1, size])]);
  };
  const chunkQ = perQuery(q), chunkK = slice(allK, low, high, 1), chunkV = slice(allV, low, high, 1);
  const scalar = (x: string) => inner.node("Cast", [inner.node("Squeeze", [x])], { to: "i32" });
  const keysSeen = () => inner.node("Range", [scalar(low), scalar(high), inner.i32(1)]);
  const scores = () => {
    const raw = inner.node("ms.FusedMatMul", [chunkQ, chunkK], { transB: 1, alpha: { float: scale } });
    const keys = keysSeen();
    const seen = inner.node("And", [
      inner.node("GreaterOrEqual", [keys, first]),
      inner.node("Less", [keys, last]),
    ]);
    const mask = inner.node("Where", [seen, inner.f32(0), inner.f32(-1e30)]);
    const split = inner.node("Concat", [i64([kvHeads, group]), inner.node("Shape", [mask])], { axis: 0 });
    const perHead = inner.node("Reshape", [raw, split]);
    const masked = inner.node("Add", [perHead, mask]);
    const sum = relative ? inner.node("Add", [masked, inner.node("Reshape", [biasOf(keys), split])]) : masked;
    return inner.node("Reshape", [sum, inner.node("Shape", [raw])]);
  };
  /** The bias' row of every query and key, [chunk, keys]. */
  const distanceRows = (keys: string) => {
    const queries = inner.node("Range", [scalar(start), scalar(end), inner.i32(1)]);
    const distances = inner.node("Sub", [keys, inner.node("Unsqueeze", [queries, i64([-1])])]);
    return biasRows(inner, distances, relative!.rows);
  };
  /** [heads, chunk, keys] */
  const biasOf = (keys: string) => inner.node("Gather", [biasByHead!, distanceRows(keys)], { axis: 1 });

  /**
   * Sums over the keys, and stacked outputs, one a chunk. Ranges never fall, so a chunk adds to a window of keys that only
   * moves on; what lies before it is finished and goes into a sequence. Carrying whole sums would copy them for every chunk.
   */
  const run = (amounts: string[], stacked: string[]) => {
    const from = { name: inner.fresh("from"), dtype: "i64" as const, shape: [1] };
    const carried = amounts.map(() => [
      { name: inner.fresh("finished"), dtype: "f32" as const, sequence: true },
      { name: inner.fresh("window"), dtype: "f32" as const },
    ]);
    body.inputs.push(from, ...carried.flat());
    const moved = amounts.flatMap((amount, i) => {
      const [finished, window] = carried[i];
      const reached = padTo(inner, window.name, inner.node("Sub", [high, from.name]));
      const done = inner.node("Sub", [low, from.name]);
      return [
        inner.node("SequenceInsert", [finished.name, slice(reached, i64([0]), done, 1)]),
        inner.node("Add", [slice(reached, done, i64([2 ** 40]), 1), amount]),
      ];
    });
    body.outputs.push(
      { name: inner.node("Identity", [go.name]), dtype: "bool", shape: [] },
      { ...from, name: inner.node("Identity", [low]) },
      ...moved.map((name, i) => ({ ...carried.flat()[i], name })),
      ...stacked.map((name) => ({ name, dtype: "f32" as const })),
    );
    const none = add("ConstantOfShape", [i64([kvHeads, 0, size])]);
    const starts = amounts.flatMap(() => [add("SequenceEmpty", [], { dtype: "f32" }), none]);
    const inputs = [add("Squeeze", [count]), "", i64([0]), ...starts];
    const [begin, ...results] = context.nodes("Loop", inputs, 1 + starts.length + stacked.length, { body });
    const left = add("Sub", [add("Shape", [allK], { start: 1, end: 2 }), begin]);
    const sums = amounts.map((_, i) => {
      const [finished, window] = results.slice(2 * i, 2 * i + 2);
      const before = add("ConcatFromSequence", [finished], { axis: 1 });
      return add("Concat", [before, padTo(context, window, left)], { axis: 1 });
    });
    return [...sums, ...results.slice(starts.length)];
  };
  /** [chunks, kvHeads, group * chunk, n] -> [tokens, heads * n] */
  const join = (x: string) => {
    const shape = add("Concat", [count, i64([kvHeads, group]), length, i64([-1])], { axis: 0 });
    const rows = add("Transpose", [add("Reshape", [x, shape])], { perm: { ints: [0, 3, 1, 2, 4] } });
    const flat = add("Reshape", [rows, add("Concat", [add("Mul", [count, length]), i64([-1])], { axis: 0 })]);
    return add("Slice", [flat, i64([0]), tokens, i64([0])]);
  };
  const headsLast = (x: string) =>
    add("Reshape", [add("Transpose", [x], { perm: { ints: [1, 0, 2] } }), i64([-1, kvHeads * size])]);
  return {
    body,
    chunk: {
      q: chunkQ,
      k: chunkK,
      v: chunkV,
      scores,
      perQuery,
      distanceRows: () => distanceRows(keysSeen()),
    },
    run,
    join,
    headsLast,
  };
}

/** x [kvHeads, keys, D] with zeros behind it, up to so many keys. */
function padTo({ node, i64 }: OnnxContext, x: string, keys: string): string {
  const missing = node("Sub", [keys, node("Shape", [x], { start: 1, end: 2 })]);
  return node("Pad", [x, node("Concat", [i64([0, 0, 0, 0]), missing, i64([0])], { axis: 0 })]);
}
