// y[i] = m[i] / |W[i] + s (B A)[i]|, without making B A: the row's squared length is
//   squares[i] + sum over k of b[i, k] * (2 s p[k, i] + s^2 (b g)[i, k]),   p = A W^T, g = A A^T.
// Layout: m, squares, y [out], b [out, r], p [r, out], g [r, r], f32. One thread a row; r^2 steps each.
struct Shape { out: u32, r: u32, s: f32 }
@group(0) @binding(0) var<storage, read> m: array<f32>;
@group(0) @binding(1) var<storage, read> squares: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> p: array<f32>;
@group(0) @binding(4) var<storage, read> g: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> shape: Shape;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = group.x * 64u + thread;
  if (i >= shape.out) { return; }
  var sum = squares[i];
  for (var k = 0u; k < shape.r; k++) {
    var bg = 0.0;
    for (var j = 0u; j < shape.r; j++) { bg += b[i * shape.r + j] * g[j * shape.r + k]; }
    sum += b[i * shape.r + k] * shape.s * (2.0 * p[k * shape.out + i] + shape.s * bg);
  }
  y[i] = m[i] / sqrt(sum);
}
