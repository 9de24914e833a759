// One row of logits z[V] to its loss and, over the logits, their gradient:
//   loss = log sum_v exp(z_v) - z_label,   dz_v = exp(z_v) / sum_v exp(z_v) - (v == label).
// Maximum and sum come from one pass: when a greater logit appears, the sum so far is scaled to it.
// Layout: logits [rows, V] f32, labels [rows], losses [rows]. A workgroup of 256 makes one row. Limits: 0 <= label < V.
struct Params { rows: u32, vocabulary: u32, gradient: u32 }
@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<i32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

var<workgroup> maxima: array<f32, 256>;
var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  let first = row * p.vocabulary;
  let label = u32(labels[row]);
  var maximum = -3.0e38;
  var sum = 0.0;
  for (var v = local; v < p.vocabulary; v += 256u) {
    let z = logits[first + v];
    if (z > maximum) {
      sum = sum * exp(maximum - z) + 1.0;
      maximum = z;
    } else {
      sum += exp(z - maximum);
    }
  }
  maxima[local] = maximum;
  sums[local] = sum;
  let target_logit = logits[first + label];
  for (var width = 128u; width > 0u; width /= 2u) {
    workgroupBarrier();
    if (local < width) {
      let a = maxima[local];
      let b = maxima[local + width];
      let greater = max(a, b);
      sums[local] = sums[local] * exp(a - greater) + sums[local + width] * exp(b - greater);
      maxima[local] = greater;
    }
  }
  workgroupBarrier();
  storageBarrier();
  maximum = maxima[0];
  sum = sums[0];
  if (local == 0u) { losses[row] = log(sum) + maximum - target_logit; }
  if (p.gradient == 0u) { return; }
  for (var v = local; v < p.vocabulary; v += 256u) {
    let at = first + v;
    logits[at] = exp(logits[at] - maximum) / sum - select(0.0, 1.0, v == label);
  }
}
