// Ranges that end before the token itself, made to end behind it: y[t] = (lo, hi + 1). One thread a token.
struct Shape { tokens: u32 }
@group(0) @binding(0) var<storage, read> ranges: array<vec2i>;
@group(0) @binding(1) var<storage, read_write> y: array<vec2i>;
@group(0) @binding(2) var<uniform> shape: Shape;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < shape.tokens) { y[id.x] = ranges[id.x] + vec2i(0, 1); }
}
