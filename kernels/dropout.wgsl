// Inverted dropout from a counter: y = x * factor where hash >>> 8 >= threshold, else 0, with
//   hash = lowbias32(tokenKeys[t] ^ lowbias32(layerKey + module * 0x9E3779B9 + c * 0x85EBCA6B)), all in u32.
// Layout: x, y [T, C], tokenKeys [T], layerKey [1]. One thread an element.
struct Shape { count: u32, width: u32, offset: u32, threshold: u32, factor: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> tokenKeys: array<u32>;
@group(0) @binding(2) var<storage, read> layerKey: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> shape: Shape;

fn lowbias32(value: u32) -> u32 {
  var x = value;
  x = (x ^ (x >> 16u)) * 0x7feb352du;
  x = (x ^ (x >> 15u)) * 0x846ca68bu;
  return x ^ (x >> 16u);
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + thread;
  if (i >= shape.count) { return; }
  let channel = lowbias32(layerKey[0] + shape.offset + (i % shape.width) * 0x85ebca6bu);
  let hash = lowbias32(tokenKeys[i / shape.width] ^ channel);
  y[i] = select(0.0, x[i] * shape.factor, (hash >> 8u) >= shape.threshold);
}
