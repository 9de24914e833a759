// cachedAttention: new tokens attend to cached keys and to themselves. Either there is one new token for every stream of the
// cache (decoding), or the cache is of one stream and the tokens follow what it holds (a prompt in parts).
// Cache layout: [streams, kvHeads, positions, D]; lib/engine/ops/write_cache.ts fills it.
import { cachedAttention as cachedAttentionOnGpu } from "../../../kernels/attention_cached.ts";
import { apply, type Dim, type OpDefinition, type Value } from "../graph.ts";
import type { OnnxContext } from "../onnx/context.ts";
import { expectDim, expectSame, expectType } from "../shape.ts";
import { attendOnnx, biasRows, keysFirst } from "./attention_onnx.ts";
import { integers, normal } from "./sample.ts";

type CachedAttentionAttributes = {
  heads: number;
  kvHeads: number;
  scale: number;
  /** On the CPU: the program never reads a prompt's part, and is spared the choice, a node a layer with a graph inside. */
  decodesOnly?: boolean;
};

/** Three streams with nine cached positions, of which they see all, none and some. */
const threeStreams = [
  normal(1, 3, 64),
  normal(2, 3, 32),
  normal(3, 3, 32),
  normal(4, 3, 2, 9, 16),
  normal(5, 3, 2, 9, 16),
  integers([0, 9, 0, 0, 2, 5], 3, 2),
];

/**
 * Token t sees lo <= i < hi of ranges[t], and itself, which is number hi. Numbers are cached positions; in a prompt's part
 * its own tokens go on counting behind them, from hi of the first one. With a bias by distance (see attention) there is one
 * token for every stream, and its number is its position.
 */
export const cachedAttentionOp: OpDefinition<CachedAttentionAttributes> = {
  name: "cachedAttention",
  infer([q, k, v, cacheK, cacheV, ranges, bias], { heads, kvHeads }) {
    const op = "cachedAttention";
    const [tokens, width] = expectType(op, "q", q, "f32", 2) as [string, number];
    const size = width / heads;
    expectSame(op, "k and v", k, v);
    expectSame(op, "cacheK and cacheV", cacheK, cacheV);
    expectType(op, "k", k, "f32", 2).forEach((n, axis) =>
      expectDim(op, "k", n, [tokens, kvHeads * size][axis])
    );
    const cache = expectType(op, "cacheK", cacheK, "f32", 4);
    [cache[0], kvHeads, cache[2], size].forEach((n, axis) =>
      expectDim(op, `axis ${axis} of the cache`, cache[axis], n)
    );
    expectType(op, "ranges", ranges, "i32", 2).forEach((n, axis) =>
      expectDim(op, "ranges", n, [tokens, 2][axis])
    );
    if (bias) {
      expectDim(op, "bias' columns", expectType(op, "bias", bias, "f32", 2)[1], heads);
      expectDim(op, "the streams of a cache with a bias", cache[0], tokens);
    }
    return [q];
  },
  gradient: "none",
  onnx(context, names, { inputs, attributes }) {
    const shape = { ...attributes as CachedAttentionAttributes, width: inputs[0].shape[1] as number };
    const { node } = context, [{ shape: [tokens] }, , , { shape: [streams, , positions] }] = inputs;
    const branch = (attend: (context: OnnxContext) => string) => {
      const body = context.body();
      const name = body.context.node("Identity", [attend(body.context)]);
      body.outputs.push({ name, dtype: "f32" });
      return body;
    };
    // Outside of the branches, where all layers share it.
    const mask = unseen(context, names[5], positions);
    if (names[6] !== undefined) {
      const relative = biasOfStreams(context, names, {
        ...shape,
        positions,
        rows: inputs[6].shape[0] as number,
      });
      const past = node("Add", [mask, relative.past]);
      return [oneForEachStream(context, names, { ...shape, mask: past, own: relative.own })];
    }
    if (shape.decodesOnly) return [oneForEachStream(context, names, { ...shape, mask })];
    const isStep = node("Squeeze", [node("Equal", [context.size(tokens), context.size(streams)])]);
    return context.nodes("If", [isStep], 1, {
      then_branch: branch((inner) => oneForEachStream(inner, names, { ...shape, mask })),
      else_branch: branch((inner) => partOfPrompt(inner, names, shape)),
    });
  },
  webgpu: cachedAttentionOnGpu,
  samples: [
    {
      inputs: threeStreams,
      attributes: { heads: 4, kvHeads: 2, scale: 0.25 },
    },
    {
      inputs: [
        normal(1, 1, 128),
        normal(2, 1, 64),
        normal(3, 1, 64),
        normal(4, 1, 1, 200, 64),
        normal(5, 1, 1, 200, 64),
        integers([0, 150], 1, 2),
      ],
      attributes: { heads: 2, kvHeads: 1, scale: 0.125 },
    },
    {
      inputs: [...threeStreams, normal(6, 9, 4)],
      attributes: { heads: 4, kvHeads: 2, scale: 1 },
    },
    {
      inputs: threeStreams,
      attributes: { heads: 4, kvHeads: 2, scale: 0.25, decodesOnly: true },
    },
    partSample(140, 9, 5),
    partSample(3, 6, 0),
  ],
};

type Shape = CachedAttentionAttributes & { width: number };

/** 0 where a stream sees a cached position, else a number so low that it does not count: [streams, 1, 1, positions]. */
function unseen(context: OnnxContext, ranges: string, positions: Dim): string {
  const { node, i64, f32, i32 } = context;
  const count = node("Squeeze", [node("Cast", [context.size(positions)], { to: "i32" })]);
  const all = node("Range", [i32(0), count, i32(1)]);
  const bound = (from: number) => node("Slice", [ranges, i64([from]), i64([from + 1]), i64([1])]);
  const seen = node("And", [node("GreaterOrEqual", [all, bound(0)]), node("Less", [all, bound(1)])]);
  return node("Unsqueeze", [node("Where", [seen, f32(0), f32(-1e30)]), i64([1, 2])]);
}

/** The bias of cached positions, [streams, kvHeads, group, positions], and of the tokens themselves, [1, kvHeads, group, 1]. */
function biasOfStreams(
  context: OnnxContext,
  names: readonly string[],
  { heads, kvHeads, positions, rows }: Shape & { positions: Dim; rows: number },
) {
  const { node, i64, i32 } = context, [, , , , , ranges, bias] = names, group = heads / kvHeads;
  const count = node("Squeeze", [node("Cast", [context.size(positions)], { to: "i32" })]);
  const all = node("Range", [i32(0), count, i32(1)]);
  const distances = node("Sub", [all, node("Slice", [ranges, i64([1]), i64([2]), i64([1])])]);
  const found = node("Gather", [bias, biasRows(context, distances, rows)], { axis: 0 });
  const byHead = node("Transpose", [found], { perm: { ints: [0, 2, 1] } });
  return {
    past: node("Reshape", [byHead, i64([0, kvHeads, group, -1])]),
    own: node("Reshape", [
      node("Gather", [bias, i32((rows - 1) / 2)], { axis: 0 }),
      i64([1, kvHeads, group, 1]),
    ]),
  };
}

function oneForEachStream(
  { node, nodes, i64 }: OnnxContext,
  [q, k, v, cacheK, cacheV]: readonly string[],
  { heads, kvHeads, scale, width, mask, own: bias }: Shape & { mask: string; own?: string },
): string {
  const size = width / heads;
  const perHead = node("Reshape", [q, i64([-1, kvHeads, heads / kvHeads, size])]);
  const own = (x: string) => node("Reshape", [x, i64([-1, kvHeads, 1, size])]);
  const scaled = { transB: 1, alpha: { float: scale } };
  const past = node("ms.FusedMatMul", [perHead, cacheK], scaled);
  const self = node("ms.FusedMatMul", [perHead, own(k)], scaled);
  const all = node("Concat", [node("Add", [past, mask]), bias ? node("Add", [self, bias]) : self], {
    axis: 3,
  });
  const p = node("Softmax", [all], { axis: -1 });
  const sizes = node("Concat", [node("Shape", [cacheK], { start: 2, end: 3 }), i64([1])], { axis: 0 });
  const [pPast, pOwn] = nodes("Split", [p, sizes], 2, { axis: 3 });
  const fromPast = node("MatMul", [pPast, cacheV]), fromOwn = node("Mul", [pOwn, own(v)]);
  return node("Reshape", [node("Add", [fromPast, fromOwn]), i64([-1, width])]);
}

function partOfPrompt(
  context: OnnxContext,
  [q, k, v, cacheK, cacheV, ranges]: readonly string[],
  shape: Shape,
): string {
  const { node, i64, i32 } = context, { heads, kvHeads, width } = shape;
  const first = node("Slice", [ranges, i64([0, 1]), i64([1, 2]), i64([0, 1])]);
  const past = node("Reshape", [node("Cast", [first], { to: "i64" }), i64([1])]);
  const whole = (cache: string, own: string) => {
    const perHead = node("Reshape", [cache, i64([kvHeads, -1, width / heads])]);
    const cached = node("Slice", [perHead, i64([0]), past, i64([1])]);
    return node("Concat", [cached, keysFirst(context, own, shape)], { axis: 1 });
  };
  const untilSelf = node("Add", [ranges, i32([0, 1])]);
  return attendOnnx(context, [q, whole(cacheK, k), whole(cacheV, v), untilSelf], shape)[0]!;
}

/** A part of `tokens` tokens behind `past` of `positions` cached ones. */
function partSample(tokens: number, positions: number, past: number) {
  const seen = Array.from({ length: tokens }, (_, t) => [Math.max(0, past + t - 50), past + t]);
  return {
    inputs: [
      normal(1, tokens, 64),
      normal(2, tokens, 32),
      normal(3, tokens, 32),
      normal(4, 1, 2, positions, 16),
      normal(5, 1, 2, positions, 16),
      integers(seen.flat(), tokens, 2),
    ],
    attributes: { heads: 4, kvHeads: 2, scale: 0.25 },
  };
}

export function cachedAttention(
  q: Value,
  k: Value,
  v: Value,
  cache: { k: Value; v: Value; ranges: Value },
  { bias, ...attributes }: CachedAttentionAttributes & { bias?: Value },
): Value {
  const inputs = [q, k, v, cache.k, cache.v, cache.ranges];
  return apply(cachedAttentionOp, bias ? [...inputs, bias] : inputs, attributes)[0];
}
