// partial[first + g] = sum of x[i]^2 over workgroup g's share (or of x[i] in the last step), by a tree of fixed shape; the
// last step is one workgroup that adds `before` too: y = before + sum.
// Layout: x [n], before [1], y [1] or the partial sums. Tile: 64 threads, each every (64 * workgroups)-th element.
struct Shape { count: u32, first: u32, last: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> before: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;
var<workgroup> lanes: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  var sum = 0.0;
  for (var i = group.x * 64u + thread; i < shape.count; i += groups.x * 64u) {
    sum += x[i] * select(x[i], 1.0, shape.last == 1u);
  }
  lanes[thread] = sum;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { lanes[thread] += lanes[thread + half]; }
  }
  if (thread == 0u) { y[shape.first + group.x] = lanes[0] + select(0.0, before[0], shape.last == 1u); }
}
