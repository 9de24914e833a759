// y[m, c] = x[index[m], c]. Layout: x [T, D], index [M], y [M, D]. One thread an element.
struct Shape { count: u32, width: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> index: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + thread;
  if (i >= shape.count) { return; }
  y[i] = x[u32(index[i / shape.width]) * shape.width + i % shape.width];
}
