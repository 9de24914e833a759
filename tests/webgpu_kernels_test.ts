// What the loop over the op table does not reach: tensors larger than a binding, wide heads, long caches, ties between tokens.
import assert from "node:assert/strict";
import { apply, type OpDefinition, type Sample, type Value } from "../lib/engine/graph.ts";
import { adamwOp } from "../lib/engine/ops/adamw.ts";
import { attentionGradOp, attentionOp } from "../lib/engine/ops/attention.ts";
import { cachedAttentionOp } from "../lib/engine/ops/cached_attention.ts";
import { embeddingGradOp, embeddingOp } from "../lib/engine/ops/embedding.ts";
import { gatedActivationOp } from "../lib/engine/ops/gated_activation.ts";
import { pickTokenOp } from "../lib/engine/ops/pick_token.ts";
import { causalRanges, floats, integers, normal, positive } from "../lib/engine/ops/sample.ts";
import { sumSquaresOp } from "../lib/engine/ops/sum_squares.ts";
import { openDevice } from "../lib/engine/open.ts";
import { trace } from "../lib/engine/trace.ts";
import { openWebGPU, type WebGPUDevice } from "../lib/engine/webgpu/device.ts";
import { compileWebGPU } from "../lib/engine/webgpu/program.ts";

const gpu = await openWebGPU({ allowSoftware: true });
const cpu = await openDevice({ backend: "cpu" });

/** The same GPU, as if a binding could hold only so many bytes. */
function withBindingsOf(bytes: number): WebGPUDevice {
  const limits = new Proxy(gpu.limits, {
    get: (all, name) => name === "maxStorageBufferBindingSize" ? bytes : Reflect.get(all, name),
  });
  return { ...gpu, limits };
}

type Program = (inputs: Value[]) => Value[];

const graphOf = (sample: Sample, program: Program) =>
  trace(
    Object.fromEntries(sample.inputs.map(({ dtype, shape }, i) => [`in${i}`, { dtype, shape }])),
    (values) => Object.fromEntries(program(Object.values(values)).map((output, i) => [`out${i}`, output])),
  );

async function onGPU(sample: Sample, program: Program, device = gpu) {
  const compiled = compileWebGPU(graphOf(sample, program), device);
  const inputs = sample.inputs.map(({ data, shape, dtype }) => gpu.upload(data, shape, dtype));
  const outputs = compiled.run(Object.fromEntries(inputs.map((input, i) => [`in${i}`, input])));
  const results = await gpu.read(...Object.values(outputs));
  new Set([...inputs, ...Object.values(outputs)]).forEach((tensor) => gpu.free(tensor));
  compiled.close();
  return results;
}

async function onCPU(sample: Sample, program: Program) {
  const compiled = await cpu.compile(graphOf(sample, program));
  const inputs = sample.inputs.map(({ data, shape, dtype }) => cpu.upload(data.slice(), shape, dtype));
  const outputs = await compiled.run(Object.fromEntries(inputs.map((input, i) => [`in${i}`, input])));
  const results = await cpu.read(...Object.values(outputs));
  compiled.close();
  return results;
}

// deno-lint-ignore no-explicit-any
const only = (op: OpDefinition<any>, { attributes }: Sample): Program => (inputs) =>
  apply(op, inputs, attributes);

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    assert.ok(
      Math.abs(actual[i] - expected[i]) <= tolerance,
      `element ${i}: ${actual[i]}, not ${expected[i]}`,
    );
  }
}

const ids = integers([0, 199, 63, 64, 128, 7, 7, 199, 7, 0]);
const sliced: [string, OpDefinition, Sample][] = [
  ["embedding", embeddingOp, { inputs: [ids, normal(1, 200, 48)], attributes: { scale: 2 } }],
  ["embeddingGrad", embeddingGradOp, {
    inputs: [ids, normal(1, 10, 48)],
    attributes: { vocabulary: 200, scale: 2 },
  }],
  ["gatedActivation", gatedActivationOp, {
    inputs: [normal(1, 50, 70), normal(2, 50, 70)],
    attributes: { kind: "silu" },
  }],
  ["adamw", adamwOp as OpDefinition, {
    inputs: [
      ...[1, 2, 3].map((seed) => normal(seed, 2500)),
      positive(4, 2500),
      floats([1e-2, 0.1, 1e-3, 1e-8, 0.1, 0.1, 1e-3, 1]),
      floats([9]),
    ],
    attributes: {},
  }],
];
for (const [name, op, sample] of sliced) {
  Deno.test(`${name} in slices gives the same bits as at once`, async () => {
    const whole = await onGPU(sample, only(op, sample));
    assert.deepEqual(await onGPU(sample, only(op, sample), withBindingsOf(8192)), whole);
  });
}

Deno.test("sumSquares in slices", async () => {
  const sample = { inputs: [normal(1, 5000), floats([2])], attributes: {} };
  const expected = (sample.inputs[0].data as Float32Array).reduce((sum, x) => sum + x * x, 2);
  const [actual] = await onGPU(sample, only(sumSquaresOp, sample), withBindingsOf(4096));
  close(actual, [expected], 1e-6 * expected);
});

Deno.test({
  name: "attention with 160 channels a head, and its gradient, equal the CPU's",
  ignore: !gpu.features.f16, // the software driver without Vulkan takes a minute to compile this
  async fn() {
    const attributes = { heads: 4, kvHeads: 2, scale: 0.08 };
    const inputs = [
      normal(1, 45, 640),
      normal(2, 45, 320),
      normal(3, 45, 320),
      causalRanges(38, 7),
      normal(4, 45, 640),
    ];
    const program: Program = ([q, k, v, ranges, dO]) => {
      const [o, lse] = apply(attentionOp, [q, k, v, ranges], attributes);
      return [o, lse, ...apply(attentionGradOp, [q, k, v, ranges, o, lse, dO], attributes)];
    };
    const actual = await onGPU({ inputs, attributes }, program);
    (await onCPU({ inputs, attributes }, program)).forEach((expected, i) => close(actual[i], expected, 1e-5));
  },
});

Deno.test("cachedAttention over a cache of several splits equals the CPU's", async () => {
  const [streams, heads, kvHeads, size, positions] = [2, 4, 2, 16, 300];
  const cache = [5, 6].map((seed) => normal(seed, streams, kvHeads, positions, size));
  const sample = {
    inputs: [
      normal(1, streams, heads * size),
      normal(2, streams, kvHeads * size),
      normal(3, streams, kvHeads * size),
      ...cache,
      integers([0, 300, 130, 257], streams, 2),
    ],
    attributes: { heads, kvHeads, scale: 0.25 },
  };
  const [actual] = await onGPU(sample, only(cachedAttentionOp, sample));
  close(actual, (await onCPU(sample, only(cachedAttentionOp, sample)))[0], 1e-5);
});

Deno.test("pickToken treats equal scores as the CPU does, at both ends of the random numbers", async () => {
  const logits = normal(3, 4, 3000);
  const rounded = { ...logits, data: (logits.data as Float32Array).map((x) => Math.round(3 * x)) };
  const history = integers([5, 9, 5, 9, 5, 700, 700, 700, 1, 2, 3, 4, 0, 0, 0, 0], 4, 4);
  const inputs = [rounded, history, integers([4, 3, 4, 0]), floats([0, 0.47, 0.999999, 0.23])];
  const attributes = { temperature: 0.8, topK: 0, topP: 1, repetitionPenalty: 1.2, noRepeatNgramSize: 2 };
  for (const options of [{}, { temperature: 0 }, { topK: 7 }, { topP: 0.3 }, { topK: 900, topP: 0.95 }]) {
    const sample = { inputs, attributes: { ...attributes, ...options } };
    const [expected] = await onCPU(sample, only(pickTokenOp, sample));
    assert.deepEqual(await onGPU(sample, only(pickTokenOp, sample)), [expected], JSON.stringify(options));
  }
});
