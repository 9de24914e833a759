// stats[first + i] = (bias[i], 0): puts attention's bias by distance behind what its gradient needs of the queries.
// Layout: bias [count], stats as vec2f. One thread an entry.
struct Shape { count: u32, first: u32 }
@group(0) @binding(0) var<storage, read> bias: array<f32>;
@group(0) @binding(1) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(2) var<uniform> shape: Shape;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + thread;
  if (i >= shape.count) { return; }
  stats[shape.first + i] = vec2f(bias[i], 0.0);
}
