// dBias[r, h] = sum of dS[t, j, h] over the pairs of a query t and a key j that it sees whose distance j - t, held within
// +-reach, is r - reach; dS = p (dO . v - delta), p = exp(scale q . k + bias - lse).
// Layout: q, dO [T, heads*D], k, v [S, kvHeads*D] as vec4f, ranges [T, 2], stats [T, heads] (lse, delta) and behind it
//   (bias, 0) [rows, heads], dBias [rows, heads]. A workgroup of 64 threads an entry; a thread takes every 64th query.
// Limits: D a multiple of 4. The scores are computed once more, without tiles: for small models' full training.
struct Shape { tokens: u32, keys: u32, heads: u32, kvHeads: u32, vectors: u32, reach: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<vec4f>;
@group(0) @binding(2) var<storage, read> v: array<vec4f>;
@group(0) @binding(3) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(4) var<storage, read> ranges: array<vec2i>;
@group(0) @binding(5) var<storage, read> stats: array<vec2f>;
@group(0) @binding(6) var<storage, read_write> dBias: array<f32>;
@group(0) @binding(7) var<uniform> shape: Shape;
var<workgroup> lanes: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = group.y;
  let kvHead = head * shape.kvHeads / shape.heads;
  let reach = i32(shape.reach);
  let distance = i32(group.x) - reach;
  let bias = stats[(shape.tokens + group.x) * shape.heads + head].x;
  var sum = 0.0;
  for (var t = thread; t < shape.tokens; t += 64u) {
    let range = ranges[t];
    let stat = stats[t * shape.heads + head];
    // The first and the last row stand for all distances beyond, too.
    let first = select(max(range.x, i32(t) + distance), range.x, distance == -reach);
    let last = select(min(range.y, i32(t) + distance + 1), range.y, distance == reach);
    let query = (t * shape.heads + head) * shape.vectors;
    for (var j = first; j < last; j++) {
      let key = (u32(j) * shape.kvHeads + kvHead) * shape.vectors;
      var score = 0.0;
      var dp = 0.0;
      for (var c = 0u; c < shape.vectors; c++) {
        score += dot(q[query + c], k[key + c]);
        dp += dot(gradient[query + c], v[key + c]);
      }
      sum += exp(score * shape.scale + bias - stat.x) * (dp - stat.y);
    }
  }
  lanes[thread] = sum;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { lanes[thread] += lanes[thread + half]; }
  }
  if (thread == 0u) { dBias[group.x * shape.heads + head] = lanes[0]; }
}
