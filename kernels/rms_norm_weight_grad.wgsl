// partial[s, c] = sum over the rows t of slab s of dy[t, c] * x[t, c] * inverse[t]: the first of two steps to the weight's
// gradient; sum_rows.wgsl adds the slabs. The order of the sums is fixed: the same bits every time.
// Layout: x, dy [T, D], inverse [T], partial [slabs, D]. Tile: a thread a channel, a workgroup 64 channels of a slab.
struct Shape { tokens: u32, width: u32, slab: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> inverses: array<f32>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;
@group(0) @binding(4) var<uniform> shape: Shape;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let c = group.x * 64u + thread;
  if (c >= shape.width) { return; }
  let end = min((group.y + 1u) * shape.slab, shape.tokens);
  var sum = 0.0;
  for (var t = group.y * shape.slab; t < end; t++) {
    sum += dy[t * shape.width + c] * x[t * shape.width + c] * inverses[t];
  }
  partial[group.y * shape.width + c] = sum;
}
