// attention(q, k, v, ranges): softmax(scale * q k^T over the visible keys) v, without ever storing [tokens, keys].
//
// Mathematics: s = scale * q k^T, plus bias[clamp(j - t, +-reach) + reach] where there is a bias. FlashAttention's online softmax (Dao et al. 2022). Over blocks of keys, per query: peak' = max(peak, max s),
//   p = exp(s - peak'), sum = sum * exp(peak - peak') + p, o = o * exp(peak - peak') + p v; at the end o / sum, and
//   lse = peak + log(sum) for the gradient.
// Layout: q, o [T, heads*D], k, v [S, kvHeads*D], ranges [T, 2] (key j is visible to query t if lo <= j < hi; both do not fall
//   with t, so a block of queries needs keys from its first lo to its last hi and no others), bias [2 * reach + 1, heads],
//   lse [T, heads].
// Tile: a workgroup of 64 threads computes 32 queries of one head; see attention_tiles.ts.
// Limits: D a multiple of 4, at most 256; every query sees at least one key; heads <= 65535.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import type { AttentionShape } from "./attention_tiles.ts";
import * as tiles from "./attention_tiles.ts";

const { lines } = tiles;
const part = ["x", "y", "z", "w"];

function code(chunks: number, biased: boolean): string {
  const bias = (i: number) => biased ? ` + relative(key - vec4i(i32(first + ty + ${8 * i}u)), head)` : "";
  return tiles.frame(
    [
      ["q", "vec4f"],
      ["k", "vec4f"],
      ["v", "vec4f"],
      ["ranges", "vec2i"],
      ...(biased ? [["bias", "f32"] as [string, string]] : []),
      ["o", "vec4f", "read_write"],
      ["lse", "f32", "read_write"],
    ],
  ) + tiles.stage("left", "q") + tiles.stage("right", "k") +
    tiles.stage("right", "v") + (biased ? tiles.relative((at) => `bias[${at}]`) : "") +
    tiles.entry(/* wgsl */ `
  let head = group.y;
  let kvHead = head * shape.kvHeads / shape.heads;
  let first = group.x * 32u;
  let last = min(first + 31u, shape.tokens - 1u);
  let begin = u32(ranges[first].x) / 32u * 32u;
  let end = u32(ranges[last].y);
  ${lines((i) => `let range${i} = ranges[min(first + ty + ${8 * i}u, last)];`)}
  var peak = vec4f(LOW); // of the thread's four rows, as are sum and decay
  var sum = vec4f();
  ${tiles.accumulators("o", chunks)}
  for (var block = begin; block < end; block += 32u) {
    ${tiles.zeroScores("s")}
    for (var chunk = 0u; chunk < ${chunks}u; chunk++) {
      workgroupBarrier();
      left_q(thread, first, shape.tokens, head, shape.heads, chunk);
      right_k(thread, block, shape.keys, kvHead, shape.kvHeads, chunk);
      workgroupBarrier();
      ${tiles.product("s")}
    }
    let key = vec4i(i32(block + 4u * tx)) + vec4i(0, 1, 2, 3);
    ${
      lines((i) => `
    let seen${i} = (key >= vec4i(range${i}.x)) & (key < vec4i(range${i}.y));
    s${i} = select(vec4f(LOW), s${i} * shape.scale${bias(i)}, seen${i});
    let high${i} = max(max(s${i}.x, s${i}.y), max(s${i}.z, s${i}.w));`)
    }
    rows[tx * 8u + ty] = vec4f(high0, high1, high2, high3);
    workgroupBarrier();
    var higher = peak;
    ${lines((i) => `higher = max(higher, rows[${8 * i}u + ty]);`, 8)}
    let decay = exp(peak - higher);
    peak = higher;
    ${lines((i) => `s${i} = select(vec4f(), exp(s${i} - peak.${part[i]}), seen${i});`)}
    sum = sum * decay + vec4f(${[0, 1, 2, 3].map((i) => `dot(s${i}, vec4f(1.0))`).join(", ")});
    ${tiles.store("s")}
    let quads = min(8u, (end - block + 3u) / 4u);
    ${
      lines((n) => `
    ${lines((i) => `o${n}_${i} *= decay.${part[i]};`)}
    workgroupBarrier();
    right_v(thread, block, shape.keys, kvHead, shape.kvHeads, ${n}u);
    workgroupBarrier();
    ${tiles.accumulate(`o${n}`)}`, chunks)
    }
  }
  workgroupBarrier();
  rows[tx * 8u + ty] = sum;
  workgroupBarrier();
  sum = ${lines((i) => `rows[${8 * i}u + ty]`, 8).replaceAll("\n", " + ")};
  let inverse = 1.0 / sum;
  ${
      tiles.write("o", "o", chunks, {
        first: "first",
        end: "shape.tokens",
        head: "head",
        heads: "shape.heads",
        factor: "inverse",
      })
    }
  if (tx == 0u) {
    ${
      lines((i) => `
    if (first + ty + ${8 * i}u < shape.tokens) {
      lse[(first + ty + ${8 * i}u) * shape.heads + head] = peak.${part[i]} + log(sum.${part[i]});
    }`)
    }
  }`);
}

export function attention(context: GpuContext, shape: AttentionShape): void {
  const [q, k, v, ranges, ...bias] = context.inputs;
  const [tokens, width] = q.shape;
  const headSize = width / shape.heads, chunks = tiles.chunksOf(headSize);
  context.dispatch(
    { name: `attention ${chunks}${bias.length ? " biased" : ""}`, code: code(chunks, bias.length > 0) },
    [q, k, v, ranges, ...bias, ...context.outputs],
    [4 + bias.length, 5 + bias.length],
    tiles.parameters(tokens, k.shape[0], headSize, { ...shape, reach: tiles.reachOf(bias[0]) }),
    [Math.ceil(tokens / tiles.BLOCK), shape.heads],
  );
}
