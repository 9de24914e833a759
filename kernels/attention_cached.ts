// cachedAttention: one new token per stream attends to its stream's cached keys and to itself (a prompt's part: see
// attention_part.ts).
//
// Mathematics: the cached positions are cut into splits of 128; each gives its peak m, sum of exp(s - m) and
//   sum of exp(s - m) v; a second kernel puts the splits and the token's own key and value together. So a single stream
//   keeps splits * heads workgroups busy.
//   A bias [2 * reach + 1, heads] is added by distance, p - hi; the own key's is the middle row.
// Layout: q [B, heads*D], k, v [B, kvHeads*D], caches [B, kvHeads, P, D], ranges [B, 2] (cached positions lo <= p < hi; may be
//   empty), o [B, heads*D]; between the kernels partial [B, heads, splits, D] and stats [B, heads, splits, 2].
// Tile: a workgroup of 64 threads a (split, head, stream): a thread a key for the scores, a thread a vec4f of channels and
//   64 / (D/4) keys side by side for the sum.
// Limits: D a multiple of 4, at most 256; a cache of one layer fits a binding.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { attentionOfPart } from "./attention_part.ts";
import { type AttentionShape, checkHeadSize, reachOf } from "./attention_tiles.ts";

const SPLIT = 128;

const reduce = (name: string, operation: (a: string, b: string) => string) => /* wgsl */ `
fn ${name}(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  lanes[thread] = value;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { lanes[thread] = ${operation("lanes[thread]", "lanes[thread + half]")}; }
  }
  workgroupBarrier();
  return lanes[0];
}`;

const shared = /* wgsl */ `
struct Shape { heads: u32, kvHeads: u32, positions: u32, splits: u32, scale: f32, reach: u32 }
const LOW = -1e30;
var<workgroup> lanes: array<f32, 64>;
`;

const biasBinding = (at: number) => /* wgsl */ `
@group(0) @binding(${at}) var<storage, read> bias: array<f32>;`;

const splitCode = (vectors: number, biased: boolean) => /* wgsl */ `
${shared}
@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> cacheK: array<vec4f>;
@group(0) @binding(2) var<storage, read> cacheV: array<vec4f>;
@group(0) @binding(3) var<storage, read> ranges: array<vec2i>;
@group(0) @binding(4) var<storage, read_write> partial: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(${biased ? 7 : 6}) var<uniform> shape: Shape;${biased ? biasBinding(6) : ""}
var<workgroup> query: array<vec4f, ${vectors}>;
var<workgroup> scores: array<f32, ${SPLIT}>;
var<workgroup> sums: array<vec4f, 64>;
${reduce("largest", (a, b) => `max(${a}, ${b})`)}
${reduce("total", (a, b) => `${a} + ${b}`)}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = group.y;
  let stream = group.z;
  let row = stream * shape.heads + head;
  let base = group.x * ${SPLIT}u;
  let cache = (stream * shape.kvHeads + head * shape.kvHeads / shape.heads) * shape.positions * ${vectors}u;
  let range = ranges[stream];
  let lo = max(u32(range.x), base);
  let hi = min(min(u32(range.y), base + ${SPLIT}u), shape.positions);
  let place = row * shape.splits + group.x;
  if (lo >= hi) { // an empty split: its partial sum is never read
    if (thread == 0u) { stats[place] = vec2f(LOW, 0.0); }
    return;
  }
  for (var i = thread; i < ${vectors}u; i += 64u) { query[i] = q[row * ${vectors}u + i]; }
  workgroupBarrier();
  var high = LOW;
  for (var i = thread; i < ${SPLIT}u; i += 64u) {
    var score = LOW;
    if (base + i >= lo && base + i < hi) {
      score = 0.0;
      for (var c = 0u; c < ${vectors}u; c++) {
        score += dot(query[c], cacheK[cache + (base + i) * ${vectors}u + c]);
      }
      score *= shape.scale;${
  biased
    ? `
      let distance = clamp(i32(base + i) - range.y, -i32(shape.reach), i32(shape.reach));
      score += bias[u32(distance + i32(shape.reach)) * shape.heads + head];`
    : ""
}
    }
    scores[i] = score;
    high = max(high, score);
  }
  let peak = largest(thread, high);
  var sum = 0.0;
  for (var i = thread; i < ${SPLIT}u; i += 64u) {
    let p = exp(scores[i] - peak); // 0 for a position outside
    scores[i] = p;
    sum += p;
  }
  sum = total(thread, sum);
  let lane = thread / ${vectors}u;
  let channel = thread % ${vectors}u;
  var mix = vec4f();
  if (lane < ${Math.floor(64 / vectors)}u) {
    for (var p = lo + lane; p < hi; p += ${Math.floor(64 / vectors)}u) {
      mix += scores[p - base] * cacheV[cache + p * ${vectors}u + channel];
    }
  }
  sums[thread] = mix;
  workgroupBarrier();
  if (thread < ${vectors}u) {
    for (var other = thread + ${vectors}u; other < ${
  Math.floor(64 / vectors) * vectors
}u; other += ${vectors}u) {
      mix += sums[other];
    }
    partial[place * ${vectors}u + thread] = mix;
  }
  if (thread == 0u) { stats[place] = vec2f(peak, sum); }
}`;

const combineCode = (vectors: number, biased: boolean) => /* wgsl */ `
${shared}
@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<vec4f>;
@group(0) @binding(2) var<storage, read> v: array<vec4f>;
@group(0) @binding(3) var<storage, read> partial: array<vec4f>;
@group(0) @binding(4) var<storage, read> stats: array<vec2f>;
@group(0) @binding(5) var<storage, read_write> o: array<vec4f>;
@group(0) @binding(${biased ? 7 : 6}) var<uniform> shape: Shape;${biased ? biasBinding(6) : ""}
${reduce("total", (a, b) => `${a} + ${b}`)}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.y * shape.heads + group.x;
  let own = (group.y * shape.kvHeads + group.x * shape.kvHeads / shape.heads) * ${vectors}u;
  let inside = thread < ${vectors}u;
  var product = 0.0;
  if (inside) { product = dot(q[row * ${vectors}u + thread], k[own + thread]); }
  let score = total(thread, product) * shape.scale${
  biased ? " + bias[shape.reach * shape.heads + group.x]" : ""
};
  if (!inside) { return; }
  var peak = score;
  for (var s = 0u; s < shape.splits; s++) { peak = max(peak, stats[row * shape.splits + s].x); }
  var sum = exp(score - peak);
  var mix = sum * v[own + thread];
  for (var s = 0u; s < shape.splits; s++) {
    let stat = stats[row * shape.splits + s];
    if (stat.y == 0.0) { continue; }
    let weight = exp(stat.x - peak);
    sum += weight * stat.y;
    mix += weight * partial[(row * shape.splits + s) * ${vectors}u + thread];
  }
  o[row * ${vectors}u + thread] = mix / sum;
}`;

export function cachedAttention(context: GpuContext, shape: AttentionShape): void {
  const [q, k, v, cacheK, cacheV, ranges, ...bias] = context.inputs;
  const { heads, kvHeads, scale } = shape;
  const [streams, width] = q.shape;
  if (streams !== cacheK.shape[0]) return attentionOfPart(context, shape);
  const headSize = width / heads, positions = cacheK.shape[2];
  checkHeadSize(headSize);
  const splits = Math.ceil(positions / SPLIT);
  const partial = context.temporary("f32", [streams, heads, splits, headSize]);
  const stats = context.temporary("f32", [streams, heads, splits, 2]);
  const parameters = [heads, kvHeads, positions, splits, { f32: scale }, reachOf(bias[0])];
  const biased = bias.length > 0, kind = `${headSize}${biased ? " biased" : ""}`;
  context.dispatch(
    { name: `cachedAttention ${kind}`, code: splitCode(headSize / 4, biased) },
    [q, cacheK, cacheV, ranges, partial, stats, ...bias],
    [4, 5],
    parameters,
    [splits, heads, streams],
  );
  context.dispatch(
    { name: `cachedAttentionSum ${kind}`, code: combineCode(headSize / 4, biased) },
    [q, k, v, partial, stats, context.outputs[0], ...bias],
    [5],
    parameters,
    [heads, streams],
  );
}
