// y[c] = sum over rows r of a[r, c] * b[r, c], in order. Layout: a, b [rows, D], y [D], f32. One thread a channel: rows are
// read side by side.
struct Shape { rows: u32, width: u32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let c = group.x * 64u + thread;
  if (c >= shape.width) { return; }
  var sum = 0.0;
  for (var r = 0u; r < shape.rows; r++) { sum += a[r * shape.width + c] * b[r * shape.width + c]; }
  y[c] = sum;
}
