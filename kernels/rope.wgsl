// Rotary position embedding, half-split as in Transformers: in each head of D channels, with c = cos[position, i] and
// s = sin[position, i] (-sin for the inverse), i < D/2:  y_i = x_i c - x_{i+D/2} s,  y_{i+D/2} = x_{i+D/2} c + x_i s.
// Layout: x, y [T, heads*D], positions [T], cos, sin [P, D/2]. One thread a pair. Limits: positions < P.
struct Shape { count: u32, heads: u32, pairs: u32, sign: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> positions: array<i32>;
@group(0) @binding(2) var<storage, read> cosines: array<f32>;
@group(0) @binding(3) var<storage, read> sines: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> shape: Shape;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (group.y * groups.x + group.x) * 256u + thread;
  if (index >= shape.count) { return; }
  let row = index / shape.pairs; // token * heads + head
  let i = index % shape.pairs;
  let angle = u32(positions[row / shape.heads]) * shape.pairs + i;
  let c = cosines[angle];
  let s = sines[angle] * shape.sign;
  let first = row * 2u * shape.pairs + i;
  let a = x[first];
  let b = x[first + shape.pairs];
  y[first] = a * c - b * s;
  y[first + shape.pairs] = b * c + a * s;
}
