// stats[t, h] = (lse[t, h], sum over the head's channels of dO * o): what attention's gradient needs of a query, in one
// binding. Layout: o, dO [T, heads*D] as vec4f, lse [T, heads]. One thread a (t, h). Limits: D a multiple of 4.
struct Shape { count: u32, vectors: u32 }
@group(0) @binding(0) var<storage, read> o: array<vec4f>;
@group(0) @binding(1) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read> lse: array<f32>;
@group(0) @binding(3) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(4) var<uniform> shape: Shape;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + thread;
  if (i >= shape.count) { return; }
  var sum = 0.0;
  for (var c = 0u; c < shape.vectors; c++) {
    sum += dot(o[i * shape.vectors + c], gradient[i * shape.vectors + c]);
  }
  stats[i] = vec2f(lse[i], sum);
}
