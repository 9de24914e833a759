// Chains the positions of equal ids: links[t] = (the next position with the same id or T, 1 if t is the id's first).
// Layout: ids [T], links [T, 2]. One thread a position.
struct Shape { tokens: u32 }
@group(0) @binding(0) var<storage, read> ids: array<i32>;
@group(0) @binding(1) var<storage, read_write> links: array<vec2u>;
@group(0) @binding(2) var<uniform> shape: Shape;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let t = (group.y * groups.x + group.x) * 64u + thread;
  if (t >= shape.tokens) { return; }
  let id = ids[t];
  var next = t + 1u;
  while (next < shape.tokens && ids[next] != id) { next++; }
  var before = 0u;
  while (before < t && ids[before] != id) { before++; }
  links[t] = vec2u(next, select(0u, 1u, before == t));
}
