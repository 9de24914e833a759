// table[id] = scale * sum of dy[t] over the positions t of that id, in order; rows of other ids stay as they are.
// Layout: ids [T], links [T, 2] (embedding_links.wgsl), dy [T, D], table: rows first..first+rows of [V, D].
// Tile: a workgroup a position; that of an id's first position walks its chain, a thread every 64th channel.
struct Shape { tokens: u32, width: u32, first: u32, rows: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> ids: array<i32>;
@group(0) @binding(1) var<storage, read> links: array<vec2u>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> table: array<f32>;
@group(0) @binding(4) var<uniform> shape: Shape;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let start = group.y * groups.x + group.x;
  if (start >= shape.tokens) { return; }
  let row = u32(ids[start]) - shape.first;
  if (links[start].y == 0u || row >= shape.rows) { return; }
  for (var c = thread; c < shape.width; c += 64u) {
    var sum = 0.0;
    for (var t = start; t < shape.tokens; t = links[t].x) { sum += dy[t * shape.width + c]; }
    table[row * shape.width + c] = shape.scale * sum;
  }
}
