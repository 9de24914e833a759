// writeCache(cache, k, slots): puts keys (or values) of tokens into the cache [streams, kvHeads, positions, D] of
// lib/engine/ops/cached_attention.ts: token t goes to slots[t] = stream * positions + position. In place on WebGPU.
import { writeCache as writeCacheOnGpu } from "../../../kernels/write_cache.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectType } from "../shape.ts";
import { integers, normal } from "./sample.ts";

export const writeCacheOp: OpDefinition<Record<string, never>> = {
  name: "writeCache",
  infer([cache, k, slots]) {
    const [, heads, , size] = expectType("writeCache", "cache", cache, "f32", 4) as number[];
    const [tokens, width] = expectType("writeCache", "k", k, "f32", 2);
    expectDim("writeCache", "the width of k", width, heads * size);
    expectDim("writeCache", "slots' length", expectType("writeCache", "slots", slots, "i32", 1)[0], tokens);
    return [cache];
  },
  gradient: "none",
  onnx({ node, i64 }, [cache, k, slots], { inputs }) {
    const [, heads, , size] = inputs[0].shape as number[];
    const positions = node("Cast", [node("Shape", [cache], { start: 2, end: 3 })], { to: "i32" });
    const part = (op: string) => node("Unsqueeze", [node(op, [slots, positions]), i64([-1])]);
    // Streams and positions side by side in the two leading axes, heads behind: one row of the scatter a token.
    const leading = node("Transpose", [cache], { perm: { ints: [0, 2, 1, 3] } });
    const at = node("Cast", [node("Concat", [part("Div"), part("Mod")], { axis: 1 })], { to: "i64" });
    const rows = node("Reshape", [k, i64([-1, heads, size])]);
    return [node("Transpose", [node("ScatterND", [leading, at, rows])], { perm: { ints: [0, 2, 1, 3] } })];
  },
  webgpu: writeCacheOnGpu,
  inPlace: { 0: 0 },
  samples: [{ inputs: [normal(1, 3, 2, 5, 4), normal(2, 4, 8), integers([4, 5, 12, 0])], attributes: {} }],
};

export const writeCache = (cache: Value, k: Value, slots: Value): Value =>
  apply(writeCacheOp, [cache, k, slots], {})[0];
