// Block scales of NF4 that are themselves quantised: y[i] = codebook[codes[i]] * absmax[i / 256] + offset.
// Layout: codes [n] as u32 (four a word), absmax [n / 256], offset [1], codebook [256], y [n], f32; one invocation four.
struct Params { vectors: u32 }
@group(0) @binding(0) var<storage, read> codes: array<u32>;
@group(0) @binding(1) var<storage, read> absmax: array<f32>;
@group(0) @binding(2) var<storage, read> offset: array<f32>;
@group(0) @binding(3) var<storage, read> codebook: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + local;
  if (i >= p.vectors) { return; }
  let word = codes[i];
  let values = vec4f(
    codebook[word & 255u],
    codebook[(word >> 8u) & 255u],
    codebook[(word >> 16u) & 255u],
    codebook[word >> 24u],
  );
  y[i] = values * absmax[i / 64u] + offset[0];
}
