// The next token of every stream, by Transformers' processors in their order: repetition penalty (s < 0 ? s * p : s / p, once for
// each token of the history), ban of tokens that would repeat an n-gram, temperature, top-k, top-p; then the first token in
// vocabulary order at which the cumulative kept probability exceeds random * (kept mass). Temperature 0: the first maximum.
//
// Mathematics: nothing is sorted. Scores become u32 keys of the same order (0: banned). The threshold of top-k is the largest
//   key that at least k scores reach; that of top-p the largest key whose reachers hold the mass p; both are found exactly, two
//   bits a pass, from counts and masses above three candidates. Scores equal to a threshold are all kept. The inverse CDF
//   descends: each thread sums a stretch, the stretch in which the goal lies is cut again, three times.
// Layout: logits [B, V], history [B, L], lengths [B], random [B], keys [B, V] scratch, tokens [B].
// Tile: a workgroup of 256 threads a stream. Workgroup memory 4112 bytes. Limits: V <= 2^24; no key of a NaN.
struct Shape { vocabulary: u32, history: u32, topK: u32, ngram: u32, temperature: f32, topP: f32, penalty: f32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> history: array<i32>;
@group(0) @binding(2) var<storage, read> lengths: array<i32>;
@group(0) @binding(3) var<storage, read> random: array<f32>;
@group(0) @binding(4) var<storage, read_write> keys: array<u32>;
@group(0) @binding(5) var<storage, read_write> tokens: array<i32>;
@group(0) @binding(6) var<uniform> shape: Shape;
var<workgroup> lanes: array<vec4u, 256>;
var<workgroup> stretch: vec4u;

fn keyOf(score: f32) -> u32 {
  let bits = bitcast<u32>(score);
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn scoreOf(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

fn largest(thread: u32, value: u32) -> u32 {
  workgroupBarrier();
  lanes[thread].x = value;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { lanes[thread].x = max(lanes[thread].x, lanes[thread + half].x); }
  }
  workgroupBarrier();
  return lanes[0].x;
}

fn counted(thread: u32, value: vec4u) -> vec4u {
  workgroupBarrier();
  lanes[thread] = value;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { lanes[thread] += lanes[thread + half]; }
  }
  workgroupBarrier();
  return lanes[0];
}

fn weighed(thread: u32, value: vec4f) -> vec4f {
  workgroupBarrier();
  lanes[thread] = bitcast<vec4u>(value);
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      lanes[thread] = bitcast<vec4u>(bitcast<vec4f>(lanes[thread]) + bitcast<vec4f>(lanes[thread + half]));
    }
  }
  workgroupBarrier();
  return bitcast<vec4f>(lanes[0]);
}

fn penalized(score: f32) -> f32 {
  return select(score / shape.penalty, score * shape.penalty, score < 0.0);
}

// Fills the stream's keys: scores after penalty, ban and temperature.
fn prepare(thread: u32, base: u32, past: u32, length: u32) {
  let temperature = select(1.0, shape.temperature, shape.temperature > 0.0);
  for (var v = thread; v < shape.vocabulary; v += 256u) { keys[base + v] = keyOf(logits[base + v] / temperature); }
  storageBarrier();
  workgroupBarrier();
  if (shape.penalty != 1.0) { // from the logits, so that a token which occurs twice is punished once
    for (var i = thread; i < length; i += 256u) {
      let v = u32(history[past + i]);
      if (v < shape.vocabulary) { keys[base + v] = keyOf(penalized(logits[base + v]) / temperature); }
    }
  }
  storageBarrier();
  workgroupBarrier();
  if (shape.ngram > 0u) {
    for (var i = thread; i + shape.ngram <= length; i += 256u) {
      var j = 0u;
      while (j + 1u < shape.ngram && history[past + i + j] == history[past + length + 1u - shape.ngram + j]) { j++; }
      let v = u32(history[past + i + shape.ngram - 1u]);
      if (j + 1u == shape.ngram && v < shape.vocabulary) { keys[base + v] = 0u; }
    }
  }
  storageBarrier();
  workgroupBarrier();
}

// The largest key that at least topK keys reach.
fn topKThreshold(thread: u32, base: u32) -> u32 {
  var threshold = 0u;
  for (var shift = 32u; shift > 0u; shift -= 2u) {
    let step = 1u << (shift - 2u);
    let candidates = vec4u(threshold) + vec4u(0u, 1u, 2u, 3u) * step;
    var reached = vec4u();
    for (var v = thread; v < shape.vocabulary; v += 256u) {
      reached += select(vec4u(), vec4u(1u), vec4u(keys[base + v]) >= candidates);
    }
    let enough = counted(thread, reached) >= vec4u(shape.topK);
    threshold += step * select(select(select(0u, 1u, enough.y), 2u, enough.z), 3u, enough.w);
  }
  return threshold;
}

// The largest key not below `lowest` whose reachers hold at least topP of the mass of those that reach `lowest`.
fn topPThreshold(thread: u32, base: u32, lowest: u32, best: f32) -> u32 {
  var threshold = 0u;
  var whole = 0.0;
  for (var shift = 32u; shift > 0u; shift -= 2u) {
    let step = 1u << (shift - 2u);
    let candidates = vec4u(threshold) + vec4u(0u, 1u, 2u, 3u) * step;
    var reached = vec4f();
    for (var v = thread; v < shape.vocabulary; v += 256u) {
      let key = keys[base + v];
      if (key >= lowest) { reached += select(vec4f(), vec4f(exp(scoreOf(key) - best)), vec4u(key) >= candidates); }
    }
    let mass = weighed(thread, reached);
    if (shift == 32u) { whole = mass.x; } // the first candidate is 0
    let enough = mass >= vec4f(shape.topP * whole);
    threshold += step * select(select(select(0u, 1u, enough.y), 2u, enough.z), 3u, enough.w);
  }
  return max(threshold, lowest);
}

// Thread 0: the stretch in which the cumulative mass passes the goal, and what comes before it. Without one (rounding) the
// last stretch that has any mass.
fn choose(begin: u32, end: u32, length: u32, before: f32, goal: f32) {
  var sum = before;
  var found = vec4u(begin, min(begin + length, end), bitcast<u32>(before), bitcast<u32>(goal));
  for (var i = 0u; i < 256u; i++) {
    let mass = bitcast<f32>(lanes[i].x);
    if (mass > 0.0) {
      let first = begin + i * length;
      found = vec4u(first, min(first + length, end), bitcast<u32>(sum), bitcast<u32>(goal));
      sum += mass;
      if (sum > goal) { break; }
    }
  }
  stretch = found;
}

fn sample(thread: u32, base: u32, threshold: u32, best: f32, uniform01: f32) -> u32 {
  var begin = 0u;
  var end = shape.vocabulary;
  var before = 0.0;
  var goal = 0.0;
  for (var level = 0u; level < 3u; level++) {
    let length = max(1u, (end - begin + 255u) / 256u);
    let first = begin + thread * length;
    var mass = 0.0;
    for (var v = first; v < min(first + length, end); v++) {
      let key = keys[base + v];
      if (key >= threshold) { mass += exp(scoreOf(key) - best); }
    }
    workgroupBarrier();
    lanes[thread].x = bitcast<u32>(mass);
    workgroupBarrier();
    if (thread == 0u) {
      if (level == 0u) {
        var whole = 0.0;
        for (var i = 0u; i < 256u; i++) { whole += bitcast<f32>(lanes[i].x); }
        goal = uniform01 * whole;
      }
      choose(begin, end, length, before, goal);
    }
    workgroupBarrier();
    begin = stretch.x;
    end = stretch.y;
    before = bitcast<f32>(stretch.z);
    goal = bitcast<f32>(stretch.w);
  }
  return begin;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let stream = group.x;
  let base = stream * shape.vocabulary;
  prepare(thread, base, stream * shape.history, min(u32(lengths[stream]), shape.history));
  var high = 0u;
  for (var v = thread; v < shape.vocabulary; v += 256u) { high = max(high, keys[base + v]); }
  high = largest(thread, high);
  var token = 0u;
  if (shape.temperature == 0.0) {
    var first = shape.vocabulary;
    for (var v = thread; v < shape.vocabulary; v += 256u) {
      if (keys[base + v] == high) { first = min(first, v); }
    }
    token = ~largest(thread, ~first);
  } else {
    let best = scoreOf(high);
    var threshold = 1u; // leaves out what is banned
    if (shape.topK > 0u) { threshold = max(threshold, topKThreshold(thread, base)); }
    if (shape.topP < 1.0) { threshold = topPThreshold(thread, base, threshold, best); }
    token = sample(thread, base, threshold, best, random[stream]);
  }
  if (thread == 0u) { tokens[stream] = i32(token); }
}
