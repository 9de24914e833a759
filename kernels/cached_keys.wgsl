// What a prompt's part sees of one stream: row r is cached key r below `past`, then the part's own keys, then zeros (which a
// block of keys may reach into). past = ranges[0].y.
// Layout: cache [1, kvHeads, P, D], own [T, kvHeads*D], ranges [T, 2], all [P + T, kvHeads*D]. One thread an element.
struct Shape { count: u32, width: u32, positions: u32, headSize: u32, tokens: u32 }
@group(0) @binding(0) var<storage, read> cache: array<f32>;
@group(0) @binding(1) var<storage, read> own: array<f32>;
@group(0) @binding(2) var<storage, read> ranges: array<vec2i>;
@group(0) @binding(3) var<storage, read_write> all: array<f32>;
@group(0) @binding(4) var<uniform> shape: Shape;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + thread;
  if (i >= shape.count) { return; }
  let past = u32(ranges[0].y);
  let row = i / shape.width;
  let channel = i % shape.width;
  var value = 0.0;
  if (row < past) {
    value = cache[(channel / shape.headSize * shape.positions + row) * shape.headSize + channel % shape.headSize];
  } else if (row - past < shape.tokens) {
    value = own[(row - past) * shape.width + channel];
  }
  all[i] = value;
}
