// cachedAttention: one new token per stream attends to the cache of its stream and to itself.
// Cache layout: [streams, kvHeads, positions, D]; lib/engine/ops/write_cache.ts fills it.
import { cachedAttention as cachedAttentionOnGpu } from "../../../kernels/attention_cached.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectSame, expectType } from "../shape.ts";
import { integers, normal } from "./sample.ts";

type CachedAttentionAttributes = { heads: number; kvHeads: number; scale: number };

export const cachedAttentionOp: OpDefinition<CachedAttentionAttributes> = {
  name: "cachedAttention",
  infer([q, k, v, cacheK, cacheV, ranges], { heads, kvHeads }) {
    const op = "cachedAttention";
    const [streams, width] = expectType(op, "q", q, "f32", 2) as [string, number];
    const size = width / heads;
    expectSame(op, "k and v", k, v);
    expectSame(op, "cacheK and cacheV", cacheK, cacheV);
    expectType(op, "k", k, "f32", 2).forEach((n, axis) =>
      expectDim(op, "k", n, [streams, kvHeads * size][axis])
    );
    const cache = expectType(op, "cacheK", cacheK, "f32", 4);
    [streams, kvHeads, cache[2], size].forEach((n, axis) =>
      expectDim(op, `axis ${axis} of the cache`, cache[axis], n)
    );
    expectType(op, "ranges", ranges, "i32", 2).forEach((n, axis) =>
      expectDim(op, "ranges", n, [streams, 2][axis])
    );
    return [q];
  },
  gradient: "none",
  onnx(context, [q, k, v, cacheK, cacheV, ranges], { inputs, attributes }) {
    const { heads, kvHeads, scale } = attributes as CachedAttentionAttributes;
    const { node, i64, f32 } = context;
    const size = inputs[0].shape[1] as number / heads;
    const perHead = node("Reshape", [q, i64([-1, kvHeads, heads / kvHeads, size])]);
    const own = (x: string) => node("Reshape", [x, i64([-1, kvHeads, 1, size])]);
    const scaled = { transB: 1, alpha: { float: scale } };
    const past = node("ms.FusedMatMul", [perHead, cacheK], scaled);
    const positions = node("Range", [
      context.i32(0),
      node("Cast", [node("Squeeze", [node("Shape", [cacheK], { start: 2, end: 3 })])], { to: "i32" }),
      context.i32(1),
    ]);
    const bound = (from: number) => node("Slice", [ranges, i64([from]), i64([from + 1]), i64([1])]);
    const seen = node("And", [
      node("GreaterOrEqual", [positions, bound(0)]),
      node("Less", [positions, bound(1)]),
    ]);
    const mask = node("Unsqueeze", [node("Where", [seen, f32(0), f32(-1e30)]), i64([1, 2])]);
    const all = node(
      "Concat",
      [node("Add", [past, mask]), node("ms.FusedMatMul", [perHead, own(k)], scaled)],
      { axis: 3 },
    );
    const p = node("Softmax", [all], { axis: -1 });
    const split = (from: string, to: string) => node("Slice", [p, from, to, i64([3])]);
    const fromPast = node("MatMul", [split(i64([0]), i64([-1])), cacheV]);
    const fromOwn = node("Mul", [split(i64([-1]), i64([2 ** 40])), own(v)]);
    return [node("Reshape", [node("Add", [fromPast, fromOwn]), i64([-1, heads * size])])];
  },
  webgpu: cachedAttentionOnGpu,
  samples: [
    {
      inputs: [
        normal(1, 3, 64),
        normal(2, 3, 32),
        normal(3, 3, 32),
        normal(4, 3, 2, 9, 16),
        normal(5, 3, 2, 9, 16),
        integers([0, 9, 0, 0, 2, 5], 3, 2),
      ],
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
  ],
};

export function cachedAttention(
  q: Value,
  k: Value,
  v: Value,
  cache: { k: Value; v: Value; ranges: Value },
  attributes: CachedAttentionAttributes,
): Value {
  return apply(cachedAttentionOp, [q, k, v, cache.k, cache.v, cache.ranges], attributes)[0];
}
