// y[t, c] = x[t, c] * (scale[c] + offset). Layout: x, y [tokens, width], scale [width], f32. One thread an element; memory-bound.
struct Shape { elements: u32, width: u32, offset: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + local;
  if (i < shape.elements) { y[i] = x[i] * (scale[i % shape.width] + shape.offset); }
}
