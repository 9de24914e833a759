// The gradients of attention, recomputing the probabilities from lse (Dao et al. 2022, algorithm 2).
//
// Mathematics: p = exp(scale * q k^T - lse), dP = dO v^T, delta = rowsum(dO * o), dS = p * (dP - delta) * scale;
//   dq = dS k, dk = dS^T q, dv = p^T dO, with dk and dv summed over the query heads that share a key head.
// Layout: as in attention.ts; stats [T, heads, 2] holds lse and delta (attention_delta.wgsl). A bias lies behind them, in pairs
//   with nothing (attention_bias.wgsl): one binding less, of the 8 that every adapter has.
// Tile: dq: a workgroup per 32 queries and head, over blocks of keys. dk, dv: a workgroup per 32 keys and key head, over
//   the heads of its group and blocks of queries; which queries see any of the keys is found by binary search, since the
//   ranges do not fall. Nothing is added atomically: the same bits every time.
// Limits: as attention.ts. For heads of more than 128 channels the workgroups of dk, dv share the channels, 128 each
//   (registers), and each computes the scores again.
import type { GpuContext, GpuValue } from "../lib/engine/webgpu/context.ts";
import biasBehind from "./attention_bias.wgsl" with { type: "text" };
import biasGrad from "./attention_bias_grad.wgsl" with { type: "text" };
import delta from "./attention_delta.wgsl" with { type: "text" };
import type { AttentionShape } from "./attention_tiles.ts";
import * as tiles from "./attention_tiles.ts";
import { groupsOf } from "./dispatch.ts";

const { lines } = tiles;
const inputs: [string, string][] = [
  ["q", "vec4f"],
  ["k", "vec4f"],
  ["v", "vec4f"],
  ["gradient", "vec4f"],
  ["ranges", "vec2i"],
  ["stats", "vec2f"],
];
const chunksAtOnce = 4;
const relative = tiles.relative((at) => `stats[shape.tokens * shape.heads + ${at}].x`);

/** s = left . right of the first pair, dp = left . right of the second, over all channels. */
const twoProducts = (chunks: number, pairs: [string, string][]) => /* wgsl */ `
    ${tiles.zeroScores("s")}
    ${tiles.zeroScores("dp")}
    for (var chunk = 0u; chunk < ${chunks}u; chunk++) {
      ${
  pairs.map(([a, b], i) => `
      workgroupBarrier();
      ${a}
      ${b}
      workgroupBarrier();
      ${tiles.product(["s", "dp"][i])}`).join("")
}
    }`;

function queryCode(chunks: number, biased: boolean): string {
  const bias = (i: number) => biased ? ` + relative(key - vec4i(i32(row${i})), head)` : "";
  const left = (source: string) => `left_${source}(thread, first, shape.tokens, head, shape.heads, chunk);`;
  const right = (source: string, chunk = "chunk") =>
    `right_${source}(thread, block, shape.keys, kvHead, shape.kvHeads, ${chunk});`;
  return tiles.frame([...inputs, ["dq", "vec4f", "read_write"]]) +
    ["q", "gradient"].map((source) => tiles.stage("left", source)).join("") +
    ["k", "v"].map((source) => tiles.stage("right", source)).join("") + (biased ? relative : "") +
    tiles.entry(/* wgsl */ `
  let head = group.y;
  let kvHead = head * shape.kvHeads / shape.heads;
  let first = group.x * 32u;
  let last = min(first + 31u, shape.tokens - 1u);
  let begin = u32(ranges[first].x) / 32u * 32u;
  let end = u32(ranges[last].y);
  ${
      lines((i) => `
  let row${i} = min(first + ty + ${8 * i}u, last);
  let range${i} = ranges[row${i}];
  let stat${i} = stats[row${i} * shape.heads + head];`)
    }
  ${tiles.accumulators("d", chunks)}
  for (var block = begin; block < end; block += 32u) {
    ${twoProducts(chunks, [[left("q"), right("k")], [left("gradient"), right("v")]])}
    let key = vec4i(i32(block + 4u * tx)) + vec4i(0, 1, 2, 3);
    ${
      lines((i) => `
    let seen${i} = (key >= vec4i(range${i}.x)) & (key < vec4i(range${i}.y));
    s${i} = select(vec4f(), exp(s${i} * shape.scale${
        bias(i)
      } - stat${i}.x), seen${i}) * (dp${i} - stat${i}.y) * shape.scale;`)
    }
    workgroupBarrier();
    ${tiles.store("s")}
    let quads = min(8u, (end - block + 3u) / 4u);
    ${
      lines((n) => `
    workgroupBarrier();
    ${right("k", `${n}u`)}
    workgroupBarrier();
    ${tiles.accumulate(`d${n}`)}`, chunks)
    }
  }
  ${
      tiles.write("dq", "d", chunks, {
        first: "first",
        end: "shape.tokens",
        head: "head",
        heads: "shape.heads",
      })
    }`);
}

function keyCode(chunks: number, biased: boolean): string {
  const bias = (i: number) => biased ? ` + relative(key${i} - vec4i(known), head)` : "";
  const held = Math.min(chunks, chunksAtOnce);
  const left = (source: string) => `left_${source}(thread, first, shape.keys, kvHead, shape.kvHeads, chunk);`;
  const right = (source: string, chunk = "chunk") =>
    `right_${source}(thread, block, shape.tokens, head, shape.heads, ${chunk});`;
  const sums = (name: string, source: string) =>
    lines((n) => `
      workgroupBarrier();
      ${right(source, `part + ${n}u`)}
      workgroupBarrier();
      ${tiles.accumulate(`${name}${n}`)}`, held);
  const place = { first: "first", end: "shape.keys", head: "kvHead", heads: "shape.kvHeads", chunk: "part" };
  return tiles.frame([...inputs, ["dk", "vec4f", "read_write"], ["dv", "vec4f", "read_write"]]) +
    ["k", "v"].map((source) => tiles.stage("left", source)).join("") +
    ["q", "gradient"].map((source) => tiles.stage("right", source)).join("") + (biased ? relative : "") +
    /* wgsl */ `
// The first query whose lo (bound 0) is at least, or whose hi (bound 1) is greater than, the key.
fn search(bound: u32, key: i32) -> u32 {
  var low = 0u;
  var high = shape.tokens;
  while (low < high) {
    let middle = (low + high) / 2u;
    let range = ranges[middle];
    if (select(range.x >= key, range.y > key, bound == 1u)) { high = middle; } else { low = middle + 1u; }
  }
  return low;
}
` + tiles.entry(/* wgsl */ `
  let kvHead = group.y;
  let part = group.z * ${chunksAtOnce}u;
  let first = group.x * 32u;
  let begin = search(1u, i32(first)) / 32u * 32u;
  let end = search(0u, i32(min(first + 32u, shape.keys)));
  let heads = shape.heads / shape.kvHeads;
  ${lines((i) => `let key${i} = vec4i(i32(first + ty + ${8 * i}u));`)}
  ${tiles.accumulators("dk", held)}
  ${tiles.accumulators("dv", held)}
  for (var head = kvHead * heads; head < (kvHead + 1u) * heads; head++) {
    for (var block = begin; block < end; block += 32u) {
      ${twoProducts(chunks, [[left("k"), right("q")], [left("v"), right("gradient")]])}
      let query = vec4u(block + 4u * tx) + vec4u(0u, 1u, 2u, 3u);
      let known = min(query, vec4u(shape.tokens - 1u));
      ${lines((i) => `let range${i} = ranges[known[${i}]];`)}
      ${lines((i) => `let stat${i} = stats[known[${i}] * shape.heads + head];`)}
      let lo = vec4i(range0.x, range1.x, range2.x, range3.x);
      let hi = vec4i(range0.y, range1.y, range2.y, range3.y);
      let lse = vec4f(stat0.x, stat1.x, stat2.x, stat3.x);
      let delta = vec4f(stat0.y, stat1.y, stat2.y, stat3.y);
      ${
      lines((i) => `
      let seen${i} = (key${i} >= lo) & (key${i} < hi) & (query < vec4u(shape.tokens));
      s${i} = select(vec4f(), exp(s${i} * shape.scale${bias(i)} - lse), seen${i});
      dp${i} = s${i} * (dp${i} - delta) * shape.scale;`)
    }
      let quads = min(8u, (end - block + 3u) / 4u);
      workgroupBarrier();
      ${tiles.store("s")}
      ${sums("dv", "gradient")}
      workgroupBarrier();
      ${tiles.store("dp")}
      ${sums("dk", "q")}
    }
  }
  ${tiles.write("dk", "dk", held, place)}
  ${tiles.write("dv", "dv", held, place)}`);
}

/** What the gradient needs of the queries, and behind it the bias. */
function statsOf(context: GpuContext, { heads }: AttentionShape): GpuValue {
  const [q, , , , o, lse, gradient, bias] = context.inputs, [tokens, width] = q.shape;
  const rows = bias?.shape[0] ?? 0;
  const stats = context.temporary("f32", [tokens + rows, heads, 2]);
  context.dispatch(
    { name: "attentionDelta", code: delta },
    [o, gradient, lse, stats],
    [3],
    [tokens * heads, width / heads / 4],
    groupsOf(64, tokens * heads),
  );
  if (bias) {
    context.dispatch(
      { name: "attentionBias", code: biasBehind },
      [bias, stats],
      [1],
      [rows * heads, tokens * heads],
      groupsOf(64, rows * heads),
    );
  }
  return stats;
}

export function attentionGrad(context: GpuContext, shape: AttentionShape): void {
  const { heads, kvHeads } = shape;
  const [q, k, v, ranges, , , gradient, bias] = context.inputs;
  const [tokens, width] = q.shape;
  const keys = k.shape[0], headSize = width / heads;
  const chunks = tiles.chunksOf(headSize);
  const kind = bias ? " biased" : "";
  const bindings = [q, k, v, gradient, ranges, statsOf(context, shape)];
  const parameters = tiles.parameters(tokens, keys, headSize, { ...shape, reach: tiles.reachOf(bias) });
  if (context.used(0)) {
    context.dispatch(
      { name: `attentionGradQ ${chunks}${kind}`, code: queryCode(chunks, bias !== undefined) },
      [...bindings, context.outputs[0]],
      [6],
      parameters,
      [Math.ceil(tokens / tiles.BLOCK), heads],
    );
  }
  if (context.used(1) || context.used(2)) {
    context.dispatch(
      { name: `attentionGradKV ${chunks}${kind}`, code: keyCode(chunks, bias !== undefined) },
      [...bindings, context.outputs[1], context.outputs[2]],
      [6, 7],
      parameters,
      [Math.ceil(keys / tiles.BLOCK), kvHeads, Math.ceil(chunks / chunksAtOnce)],
    );
  }
}

/** The bias' gradient: a workgroup a distance and head, its threads taking queries by turns. */
export function attentionBiasGrad(context: GpuContext, shape: AttentionShape): void {
  const [q, k, v, ranges, , , gradient, bias] = context.inputs;
  const { heads, kvHeads, scale } = shape, [tokens, width] = q.shape, [rows] = bias.shape;
  tiles.checkHeadSize(width / heads);
  context.dispatch(
    { name: "attentionBiasGrad", code: biasGrad },
    [q, k, v, gradient, ranges, statsOf(context, shape), context.outputs[0]],
    [6],
    [tokens, k.shape[0], heads, kvHeads, width / heads / 4, tiles.reachOf(bias), { f32: scale }],
    [rows, heads],
  );
}
