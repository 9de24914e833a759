// y = x * rsqrt(mean(x^2) + eps) * (w + offset), row by row.
// Layout: x, y [T, D], w [D]. Tile: a workgroup of 128 threads a row; a thread sums every 128th element.
struct Shape { tokens: u32, width: u32, eps: f32, offset: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;
var<workgroup> lanes: array<f32, 128>;

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= shape.tokens) { return; }
  let base = row * shape.width;
  var sum = 0.0;
  for (var c = thread; c < shape.width; c += 128u) { sum += x[base + c] * x[base + c]; }
  lanes[thread] = sum;
  for (var half = 64u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { lanes[thread] += lanes[thread + half]; }
  }
  workgroupBarrier();
  let inverse = 1.0 / sqrt(lanes[0] / f32(shape.width) + shape.eps);
  for (var c = thread; c < shape.width; c += 128u) {
    y[base + c] = x[base + c] * inverse * (weight[c] + shape.offset);
  }
}
