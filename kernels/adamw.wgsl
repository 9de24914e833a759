// One step of AdamW, in place, as torch.optim.AdamW: with g clipped to the global norm maxNorm (0: not clipped),
//   m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  p = p (1 - lr wd) - lr / c1 * m / (sqrt(v) / sqrt(c2) + eps).
// Layout: all [n]; hyper = [lr, 1 - b1, 1 - b2, eps, wd, c1 = 1 - b1^t, c2 = 1 - b2^t, maxNorm]; normSquared [1]. One thread an element.
struct Shape { count: u32 }
@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read> hyper: array<f32>;
@group(0) @binding(2) var<storage, read> normSquared: array<f32>;
@group(0) @binding(3) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(4) var<storage, read_write> first: array<f32>;
@group(0) @binding(5) var<storage, read_write> second: array<f32>;
@group(0) @binding(6) var<uniform> shape: Shape;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + thread;
  if (i >= shape.count) { return; }
  var g = gradient[i];
  if (hyper[7] > 0.0) { g *= min(1.0, hyper[7] / (sqrt(normSquared[0]) + 1e-6)); }
  let m = (1.0 - hyper[1]) * first[i] + hyper[1] * g;
  let v = (1.0 - hyper[2]) * second[i] + hyper[2] * g * g;
  let step = hyper[0] / hyper[5] * m / (sqrt(v) / sqrt(hyper[6]) + hyper[3]);
  parameter[i] = parameter[i] * (1.0 - hyper[0] * hyper[4]) - step;
  first[i] = m;
  second[i] = v;
}
