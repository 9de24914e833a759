// attention(q, k, v, ranges, bias?): softmax(scale q k^T + bias) v over the keys that each query sees, per head, with grouped
// keys. bias [2 * reach + 1, heads] is by distance, key minus query (indices into the batch: inside a packed row these are the
// row's own distances), held within +-reach (T5's relative positions).
// A query sees one contiguous range of keys, which makes causal, packed, sliding-window and bidirectional attention one
// op: ranges[t] = [first, end), both of which never fall from one query to the next. Neither backend ever holds [tokens, tokens]: WebGPU goes in tiles (Dao et al. 2022), ONNX
// in a Loop over chunks of queries that reads only the keys which the chunk can see.
import { attention as attentionOnGpu } from "../../../kernels/attention.ts";
import { attentionGrad as attentionGradOnGpu } from "../../../kernels/attention_grad.ts";
import { apply, type OpDefinition, type Type, type Value } from "../graph.ts";
import type { OnnxContext } from "../onnx/context.ts";
import { expectDim, expectSame, expectType } from "../shape.ts";
import { causalRanges, integers, normal } from "./sample.ts";

type AttentionAttributes = { heads: number; kvHeads: number; scale: number };

/** Queries a chunk on the CPU: large enough for fast products, small enough to skip what lies above the diagonal. */
const chunkLength = 128;

function checkInputs(
  op: string,
  [q, k, v, ranges]: readonly Type[],
  { heads, kvHeads }: AttentionAttributes,
  bias?: Type,
) {
  if (bias) expectDim(op, "bias' columns", expectType(op, "bias", bias, "f32", 2)[1], heads);
  const [tokens, width] = expectType(op, "q", q, "f32", 2) as [string, number];
  const [keys, kvWidth] = expectType(op, "k", k, "f32", 2) as [string, number];
  expectSame(op, "k and v", k, v);
  expectDim(op, "the remainder of heads by kvHeads", heads % kvHeads, 0);
  expectDim(op, "the width of k", kvWidth * heads, width * kvHeads);
  const [rows, two] = expectType(op, "ranges", ranges, "i32", 2);
  expectDim(op, "ranges' rows", rows, tokens);
  expectDim(op, "ranges' columns", two, 2);
  return { tokens, keys };
}

export const attentionOp: OpDefinition<AttentionAttributes> = {
  name: "attention",
  infer(inputs, attributes) {
    const { tokens } = checkInputs("attention", inputs, attributes, inputs[4]);
    return [inputs[0], { dtype: "f32", shape: [tokens, attributes.heads] }];
  },
  gradient({ inputs: [q, k, v, ranges, ...bias], outputs: [o, lse], attributes }, [dy, dLse], needed) {
    if (dLse) throw new Error("attention: lse is not differentiable.");
    if (needed[4]) throw new Error("attention: the bias is not trained.");
    const inputs = [q, k, v, ranges, o, lse, dy!, ...bias];
    return [...apply(attentionGradOp, inputs, attributes as AttentionAttributes), undefined, undefined];
  },
  onnx(context, [q, k, v, ranges, bias], { inputs, outputs, attributes }) {
    const shape = { ...attributes as AttentionAttributes, width: inputs[0].shape[1] as number };
    const [keys, values] = [k, v].map((x) => keysFirst(context, x, shape));
    const relative = relativeOf(bias, inputs[4]);
    return attendOnnx(context, [q, keys, values, ranges], { ...shape, relative }, context.used(outputs[1]));
  },
  webgpu: attentionOnGpu,
  samples: attentionSamples(),
};

export const attentionGradOp: OpDefinition<AttentionAttributes> = {
  name: "attentionGrad",
  infer(inputs, attributes) {
    checkInputs("attentionGrad", inputs, attributes, inputs[7]);
    expectSame("attentionGrad", "q and o", inputs[0], inputs[4]);
    expectSame("attentionGrad", "q and do", inputs[0], inputs[6]);
    return [inputs[0], inputs[1], inputs[2]];
  },
  gradient: "none",
  // P = softmax(S); dV = P^T dO; dP = dO V^T; dS = P (dP - rowsum(dO O)); dQ = scale dS K; dK = scale dS^T Q
  onnx(context, inputs, node) {
    const { scale } = node.attributes as AttentionAttributes;
    const shape: OnnxShape = {
      ...node.attributes as AttentionAttributes,
      width: node.inputs[0].shape[1] as number,
      relative: relativeOf(inputs[7], node.inputs[7]),
    };
    const [keys, values] = [inputs[1], inputs[2]].map((x) => keysFirst(context, x, shape));
    const loop = chunkedQueries(context, [inputs[0], keys, values, inputs[3]], shape);
    const { body, chunk } = loop;
    const { node: add, i64 } = body.context;
    const o = chunk.perQuery(inputs[4]);
    const dO = chunk.perQuery(inputs[6]);
    const p = add("Softmax", [chunk.scores()], { axis: -1 });
    const dV = add("ms.FusedMatMul", [p, dO], { transA: 1 });
    const dP = add("ms.FusedMatMul", [dO, chunk.v], { transB: 1 });
    const rowSum = add("ReduceSum", [add("Mul", [dO, o]), i64([-1])], {
      keepdims: 1,
    });
    const dS = add("Mul", [p, add("Sub", [dP, rowSum])]);
    const dQ = add("ms.FusedMatMul", [dS, chunk.k], { alpha: { float: scale } });
    const dK = add("ms.FusedMatMul", [dS, chunk.q], { transA: 1, alpha: { float: scale } });
    const [sumK, sumV, stackedQ] = loop.run([dK, dV], [dQ]);
    return [loop.join(stackedQ), loop.headsLast(sumK), loop.headsLast(sumV)];
  },
  onnxIgnores: [5],
  webgpu: attentionGradOnGpu,
  samples: attentionSamples().map(({ inputs: [q, k, v, ranges, ...bias], attributes }) => {
    const [tokens, width] = q.shape;
    // o and lse must be those of the inputs; the loop over the table compares this op through attention's gradient.
    const outputs = reference([q, k, v, ranges, ...bias] as never, attributes as AttentionAttributes);
    return { inputs: [q, k, v, ranges, ...outputs, normal(9, tokens, width), ...bias], attributes };
  }),
};

export function attention(
  q: Value,
  k: Value,
  v: Value,
  ranges: Value,
  { bias, ...attributes }: AttentionAttributes & { bias?: Value },
): Value {
  return apply(attentionOp, bias ? [q, k, v, ranges, bias] : [q, k, v, ranges], attributes)[0];
}

type OnnxShape = AttentionAttributes & { /** Of q: heads times D. */ width: number; relative?: Relative };

/** A bias by distance: its name, and its rows (2 * reach + 1). */
interface Relative {
  readonly bias: string;
  readonly rows: number;
}

const relativeOf = (bias: string | undefined, type: Type | undefined): Relative | undefined =>
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
function chunkedQueries(context: OnnxContext, [q, allK, allV, ranges]: readonly string[], shape: OnnxShape) {
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
  const scores = () => {
    const raw = inner.node("ms.FusedMatMul", [chunkQ, chunkK], { transB: 1, alpha: { float: scale } });
    const scalar = (x: string) => inner.node("Cast", [inner.node("Squeeze", [x])], { to: "i32" });
    const keys = inner.node("Range", [scalar(low), scalar(high), inner.i32(1)]);
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
  /** [heads, chunk, keys] */
  const biasOf = (keys: string) => {
    const scalar = (x: string) => inner.node("Cast", [inner.node("Squeeze", [x])], { to: "i32" });
    const queries = inner.node("Range", [scalar(start), scalar(end), inner.i32(1)]);
    const distances = inner.node("Sub", [keys, inner.node("Unsqueeze", [queries, i64([-1])])]);
    return inner.node("Gather", [biasByHead!, biasRows(inner, distances, relative!.rows)], { axis: 1 });
  };

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
    chunk: { q: chunkQ, k: chunkK, v: chunkV, scores, perQuery },
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

function attentionSamples() {
  const sample = (
    heads: number,
    kvHeads: number,
    size: number,
    ranges: ReturnType<typeof integers>,
    keys: number,
    differentiate?: number[],
    biasRows?: number,
  ) => ({
    inputs: [
      normal(1, ranges.shape[0], heads * size),
      normal(2, keys, kvHeads * size),
      normal(3, keys, kvHeads * size),
      ranges,
      ...(biasRows ? [normal(4, biasRows, heads)] : []),
    ],
    attributes: { heads, kvHeads, scale: 1 / Math.sqrt(size) },
    differentiate,
  });
  const window = integers(
    Array.from({ length: 40 }, (_, i) => i % 2 ? (i >> 1) + 1 : Math.max(0, (i >> 1) - 6)),
    20,
    2,
  );
  const everything = integers(Array.from({ length: 18 }, (_, i) => i % 2 ? 11 : 0), 9, 2);
  const twoRows = integers(Array.from({ length: 20 }, (_, t) => t < 9 ? [0, 9] : [9, 20]).flat(), 20, 2);
  return [
    sample(4, 2, 16, causalRanges(3, 5), 8, [0, 1, 2]),
    sample(2, 2, 16, window, 20, [0, 1, 2]),
    sample(2, 1, 16, everything, 11, [0, 1, 2]),
    sample(4, 2, 64, causalRanges(130, 7, 64), 201),
    sample(3, 1, 32, causalRanges(1), 1),
    sample(2, 2, 16, twoRows, 20, [0, 1, 2], 7),
    sample(2, 1, 16, causalRanges(140, 61), 201, undefined, 33),
  ];
}

/** Attention in plain JavaScript, for the samples of the gradient. */
function reference(
  inputs: { data: Float32Array | Int32Array; shape: number[] }[],
  { heads, kvHeads, scale }: AttentionAttributes,
) {
  const [q, k, v, ranges, bias] = inputs;
  const reach = bias ? (bias.shape[0] - 1) / 2 : 0;
  const biasOf = (distance: number, head: number) =>
    bias ? bias.data[(Math.max(-reach, Math.min(reach, distance)) + reach) * heads + head] : 0;
  const [tokens, width] = q.shape, size = width / heads, kvWidth = size * kvHeads;
  const o = new Float32Array(tokens * width), lse = new Float32Array(tokens * heads);
  for (let t = 0; t < tokens; t++) {
    for (let h = 0; h < heads; h++) {
      const shared = Math.floor(h * kvHeads / heads) * size;
      const scores: number[] = [];
      for (let j = ranges.data[2 * t]; j < ranges.data[2 * t + 1]; j++) {
        let dot = 0;
        for (let d = 0; d < size; d++) {
          dot += q.data[t * width + h * size + d] * k.data[j * kvWidth + shared + d];
        }
        scores.push(dot * scale + biasOf(j - t, h));
      }
      const max = Math.max(...scores), sum = scores.reduce((total, s) => total + Math.exp(s - max), 0);
      lse[t * heads + h] = max + Math.log(sum);
      scores.forEach((s, i) => {
        const j = ranges.data[2 * t] + i, p = Math.exp(s - max) / sum;
        for (let d = 0; d < size; d++) o[t * width + h * size + d] += p * v.data[j * kvWidth + shared + d];
      });
    }
  }
  return [
    { dtype: "f32" as const, shape: [tokens, width], data: o },
    { dtype: "f32" as const, shape: [tokens, heads], data: lse },
  ];
}
