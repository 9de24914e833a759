// history[b, lengths[b]] = ids[b]. Layout: history [B, L]. One thread a stream; a length outside the history writes nothing.
struct Shape { streams: u32, length: u32 }
@group(0) @binding(0) var<storage, read> ids: array<i32>;
@group(0) @binding(1) var<storage, read> lengths: array<i32>;
@group(0) @binding(2) var<storage, read_write> history: array<i32>;
@group(0) @binding(3) var<uniform> shape: Shape;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= shape.streams) { return; }
  let at = u32(lengths[id.x]);
  if (at < shape.length) { history[id.x * shape.length + at] = ids[id.x]; }
}
