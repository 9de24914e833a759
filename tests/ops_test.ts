// One loop over the op table: WebGPU against the CPU on every sample, every gradient rule against finite differences.
import assert from "node:assert/strict";
import type { Device } from "../lib/engine/device.ts";
import { elementCount, type TypedArray } from "../lib/engine/dtype.ts";
import { gradients } from "../lib/engine/grad.ts";
import { apply, type OpDefinition, type Sample, type Type, type Value } from "../lib/engine/graph.ts";
import { normal } from "../lib/engine/ops/sample.ts";
import { ops } from "../lib/engine/ops/table.ts";
import type { Tensor } from "../lib/engine/tensor.ts";
import { trace } from "../lib/engine/trace.ts";
import { devices } from "./devices.ts";

type Inputs = Record<string, { dtype: Tensor["dtype"]; shape: readonly number[]; data: TypedArray }>;

const inputsOf = (sample: Sample): Inputs =>
  Object.fromEntries(sample.inputs.map((input, i) => [`in${i}`, { ...input, shape: [...input.shape] }]));

function typesOf(inputs: Inputs, device: Device): Record<string, Type> {
  const stored = (dtype: Tensor["dtype"]) => dtype === "f16" && !device.supportsF16 ? "f32" : dtype;
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { dtype, shape }]) => [name, { dtype: stored(dtype), shape }]),
  );
}

async function run(
  device: Device,
  inputs: Inputs,
  program: (values: Record<string, Value>) => Record<string, Value>,
): Promise<Record<string, TypedArray>> {
  const compiled = await device.compile(trace(typesOf(inputs, device), program));
  // Copies, since an op may write over its input.
  const tensors = Object.fromEntries(
    Object.entries(inputs).map((
      [name, { dtype, shape, data }],
    ) => [name, device.upload(data.slice(), shape, dtype)]),
  );
  const outputs = await compiled.run(tensors);
  const names = Object.keys(outputs);
  const arrays = await device.read(...names.map((name) => outputs[name]));
  const results = Object.fromEntries(names.map((name, i) => [name, arrays[i].slice()]));
  const owned = new Set([...Object.values(tensors), ...Object.values(outputs)].map(({ storage }) => storage));
  for (const tensor of [...Object.values(tensors), ...Object.values(outputs)]) {
    if (owned.delete(tensor.storage)) device.free(tensor);
  }
  compiled.close();
  return results;
}

// deno-lint-ignore no-explicit-any
function forward(op: OpDefinition<any>, sample: Sample) {
  return (values: Record<string, Value>) => {
    const outputs = apply(op, sample.inputs.map((_, i) => values[`in${i}`]), sample.attributes);
    return Object.fromEntries(outputs.map((output, i) => [`out${i}`, output]));
  };
}

function largest(values: TypedArray): number {
  let max = 0;
  for (const value of values) max = Math.max(max, Math.abs(value));
  return max;
}

/** Largest difference of any output, relative to the largest number in all of them (some are zero but for rounding). */
function distance(actual: Record<string, TypedArray>, expected: Record<string, TypedArray>): number {
  const scale = Math.max(1e-6, ...Object.values(expected).map(largest));
  let difference = 0;
  for (const [name, values] of Object.entries(expected)) {
    assert.equal(actual[name].length, values.length);
    values.forEach((value, i) => difference = Math.max(difference, Math.abs(actual[name][i] - value)));
  }
  return difference / scale;
}

const [cpu, ...gpus] = await devices();

for (const op of Object.values(ops)) {
  op.samples.forEach((sample, number) => {
    const label = `${op.name}, sample ${number}`;
    for (const gpu of gpus) {
      Deno.test(`${label}: ${gpu.name} equals the CPU`, async () => {
        const inputs = inputsOf(sample);
        const expected = await run(cpu, inputs, forward(op, sample));
        const actual = await run(gpu, inputs, forward(op, sample));
        const error = distance(actual, expected);
        assert.ok(error < 2e-5, `the outputs differ by ${error}`);
      });
    }
    if (!sample.differentiate) return;
    Deno.test(`${label}: the gradient rule equals finite differences`, async () => {
      for (const index of sample.differentiate!) await checkGradient(op, sample, index);
    });
  });
}

/** d/dh of sum(seed * op(x + h direction)) at 0: from the rule, and by Richardson's central differences. */
// deno-lint-ignore no-explicit-any
async function checkGradient(op: OpDefinition<any>, sample: Sample, index: number): Promise<void> {
  const inputs = inputsOf(sample);
  const { out0 } = await run(cpu, inputs, forward(op, sample));
  const types = op.infer(sample.inputs, sample.attributes);
  const seed = normal(77, elementCount(types[0].shape as number[])).data as Float32Array;
  const direction = normal(78 + index, ...sample.inputs[index].shape).data as Float32Array;
  const withSeed: Inputs = {
    ...inputs,
    seed: { dtype: "f32", shape: types[0].shape as number[], data: seed },
  };
  const { gradient } = await run(cpu, withSeed, ({ seed, ...values }) => {
    const outputs = forward(op, sample)(values);
    return { gradient: gradients([{ value: outputs.out0, seed }], [values[`in${index}`]])[0] };
  });
  const dot = (a: TypedArray, b: TypedArray) => {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  };
  const moved = async (h: number) => {
    const data = (sample.inputs[index].data as Float32Array).map((value, i) => value + h * direction[i]);
    const { out0 } = await run(
      cpu,
      { ...inputs, [`in${index}`]: { ...inputs[`in${index}`], data } },
      forward(op, sample),
    );
    return dot(out0, seed);
  };
  const central = async (h: number) => (await moved(h) - await moved(-h)) / (2 * h);
  const h = 0.02;
  const numeric = (4 * await central(h) - await central(2 * h)) / 3;
  const analytic = dot(gradient, direction);
  const scale = Math.max(Math.abs(numeric), Math.sqrt(dot(seed, seed) * dot(out0, out0)) * 0.1, 1e-2);
  assert.ok(
    Math.abs(analytic - numeric) < 2e-3 * scale,
    `input ${index}: the rule gives ${analytic}, finite differences ${numeric}`,
  );
}

Deno.test("an op that lacks a rule does not type-check", async () => {
  const source = `
    import type { OpDefinition } from "${new URL("../lib/engine/graph.ts", import.meta.url)}";
    export const op: OpDefinition = { name: "half", infer: ([x]) => [x], gradient: "none", onnx: () => [], samples: [] };`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, source);
  const { code, stderr } = await new Deno.Command(Deno.execPath(), { args: ["check", file], stderr: "piped" })
    .output();
  await Deno.remove(file);
  assert.notEqual(code, 0);
  assert.match(new TextDecoder().decode(stderr), /webgpu/);
});

Deno.test("an op from outside the library runs on every device", async () => {
  const double: OpDefinition<Record<string, never>> = {
    name: "double",
    infer: ([x]) => [x],
    gradient: (_node, [dy]) => [apply(double, [dy!], {})[0]],
    onnx: ({ node, f32 }, [x]) => [node("Mul", [x, f32(2)])],
    webgpu({ inputs: [x], outputs: [y], dispatch }) {
      const code = `@group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;
        @group(0) @binding(2) var<uniform> count: vec4u;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
          if (id.x < count.x) { y[id.x] = 2 * x[id.x]; }
        }`;
      dispatch({ name: "double", code }, [x, y], [1], [elementCount(x.shape), 0, 0, 0], [1]);
    },
    samples: [],
  };
  const inputs: Inputs = { x: { dtype: "f32", shape: [3], data: Float32Array.of(1, -2, 3) } };
  for (const device of [cpu, ...gpus]) {
    const { y, dx } = await run(device, inputs, ({ x }) => {
      const y = apply(double, [x], {})[0];
      return { y, dx: gradients([{ value: y, seed: x }], [x])[0] };
    });
    assert.deepEqual([...y, ...dx], [2, -4, 6, 2, -4, 6]);
  }
});
