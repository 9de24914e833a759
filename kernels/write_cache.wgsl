// Puts tokens into a cache: token t to slots[t] = stream * P + position, cache[stream, h, position, :] = k[t, h, :].
// Layout: cache [streams, kvHeads, P, D], k [T, kvHeads*D], slots [T]. One thread an element. A slot outside the cache writes
// nothing.
struct Shape { count: u32, heads: u32, positions: u32, headSize: u32, slots: u32 }
@group(0) @binding(0) var<storage, read> k: array<f32>;
@group(0) @binding(1) var<storage, read> slots: array<i32>;
@group(0) @binding(2) var<storage, read_write> cache: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + thread;
  if (i >= shape.count) { return; }
  let row = i / shape.headSize; // token * heads + head
  let slot = u32(slots[row / shape.heads]);
  if (slot >= shape.slots) { return; }
  let head = slot / shape.positions * shape.heads + row % shape.heads;
  cache[(head * shape.positions + slot % shape.positions) * shape.headSize + i % shape.headSize] = k[i];
}
