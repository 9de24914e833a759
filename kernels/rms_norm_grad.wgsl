// With inverse = rsqrt(mean(x^2) + eps), n = x * inverse, g = dy * (w + offset): dx = inverse * (g - n * mean(g * n)).
// Writes inverse too, which the weight's gradient needs (rms_norm_weight_grad.wgsl).
// Layout: x, dy, dx [T, D], w [D], inverse [T]. Tile: a workgroup of 128 threads a row.
struct Shape { tokens: u32, width: u32, eps: f32, offset: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<storage, read_write> inverses: array<f32>;
@group(0) @binding(5) var<uniform> shape: Shape;
var<workgroup> lanes: array<vec2f, 128>; // sums of x^2 and of x * g

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= shape.tokens) { return; }
  let base = row * shape.width;
  var sums = vec2f();
  for (var c = thread; c < shape.width; c += 128u) {
    let value = x[base + c];
    sums += value * vec2f(value, dy[base + c] * (weight[c] + shape.offset));
  }
  lanes[thread] = sums;
  for (var half = 64u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { lanes[thread] += lanes[thread + half]; }
  }
  workgroupBarrier();
  let means = lanes[0] / f32(shape.width);
  let inverse = 1.0 / sqrt(means.x + shape.eps);
  if (thread == 0u) { inverses[row] = inverse; }
  for (var c = thread; c < shape.width; c += 128u) {
    let g = dy[base + c] * (weight[c] + shape.offset);
    dx[base + c] = inverse * (g - x[base + c] * inverse * inverse * means.y);
  }
}
