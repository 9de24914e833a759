// y = alpha * (sum of the planes of a split-K product) (+ c) (+ y): always in the same order, so the same bits each time.
// Layout: partial [splits, plane], c and y [plane], f32. One invocation an element. mode: 1 adds c, 2 adds y.
struct Params { plane: u32, splits: u32, mode: u32, alpha: f32 }
@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read> c: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + local;
  if (i >= p.plane) { return; }
  var sum = 0.0;
  for (var split = 0u; split < p.splits; split++) { sum += partial[split * p.plane + i]; }
  var result = p.alpha * sum;
  if ((p.mode & 1u) != 0u) { result += c[i]; }
  if ((p.mode & 2u) != 0u) { result += y[i]; }
  y[i] = result;
}
