// The WebGPU runtime on whatever adapter there is, software ones too: buffers, plans, order of writes, errors.
import assert from "node:assert/strict";
import { type Tensor } from "../lib/engine/tensor.ts";
import { apply, type OpDefinition, type Value } from "../lib/engine/graph.ts";
import { add } from "../lib/engine/ops/add.ts";
import { linearCrossEntropyOp } from "../lib/engine/ops/linear_cross_entropy.ts";
import { matmul } from "../lib/engine/ops/matmul.ts";
import { scaleBy } from "../lib/engine/ops/scale_by.ts";
import { f16, f32, i32, trace } from "../lib/engine/trace.ts";
import { findAdapter } from "../lib/engine/webgpu/adapter.ts";
import { openWebGPU, type WebGPUDevice } from "../lib/engine/webgpu/device.ts";
import { createPool, sizeClass } from "../lib/engine/webgpu/pool.ts";
import { compileWebGPU } from "../lib/engine/webgpu/program.ts";
import { UserError } from "../lib/errors.ts";

const found = await findAdapter();

function gpuTest(name: string, body: (device: WebGPUDevice) => Promise<void>): void {
  Deno.test({
    name: `webgpu: ${name}`,
    ignore: !found,
    async fn() {
      const device = await openWebGPU({ allowSoftware: true });
      try {
        await body(device);
      } finally {
        device.close();
      }
    },
  });
}

/** An op of one line of WGSL over x[i] or y[i], from outside lib/. */
const custom = (statement: string, inPlace: boolean): OpDefinition => ({
  name: "custom",
  infer: ([x]) => [x],
  gradient: "none",
  onnx: () => [],
  samples: [],
  ...(inPlace ? { inPlace: { 0: 0 } } : {}),
  webgpu({ inputs: [x, ...others], outputs: [y], dispatch }) {
    const bindings = inPlace ? [y, ...others] : [x, y];
    const declare = bindings.map((_, i) => {
      const writes = bindings[i] === y;
      const name = writes ? "y" : i === 0 ? "x" : `other${i}`;
      return `@group(0) @binding(${i}) var<storage, ${writes ? "read_write" : "read"}> ${name}: array<f32>;`;
    });
    const code = `struct Params { count: u32 }
${declare.join("\n")}
@group(0) @binding(${bindings.length}) var<uniform> p: Params;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i < p.count) { ${statement} }
}`;
    const count = y.shape.reduce((product, size) => product * size, 1);
    dispatch({ name: "custom", code }, bindings, [bindings.indexOf(y)], [count], [Math.ceil(count / 64)]);
  },
});
const increment = (x: Value): Value => apply(custom("y[i] += 1.0;", true), [x], {})[0];

const ramp = (length: number, scale = 1) => Float32Array.from({ length }, (_, i) => scale * i);

Deno.test("webgpu: size classes waste a fifth at most and are whole words", () => {
  for (const bytes of [1, 255, 256, 257, 1000, 4097, 65537, 100_000_001]) {
    const size = sizeClass(bytes);
    assert(size >= bytes && size % 4 === 0 && (bytes < 256 || size <= 1.25 * bytes), `${bytes}: ${size}`);
  }
});

gpuTest("the pool uses a freed buffer again, and forgets idle ones", (device) => {
  const pool = createPool(device.gpu, GPUBufferUsage.STORAGE, 2 ** 28);
  const first = pool.acquire(1000);
  pool.touch(first, 3);
  pool.release(first);
  assert.equal(pool.acquire(900), first);
  assert.deepEqual(pool.memory(), { live: 900, peak: 1000, buffers: 1, reserved: sizeClass(1000) });
  assert.notEqual(pool.acquire(100_000), first);
  pool.release(first);
  assert.throws(() => pool.release(first), /freed twice/);
  pool.trim(3);
  assert.equal(pool.memory().reserved, sizeClass(1000) + sizeClass(100_000));
  pool.trim(4);
  assert.equal(pool.memory().reserved, sizeClass(100_000));
  pool.destroy();
  return Promise.resolve();
});

gpuTest("tensors come back as they went, of every type and odd length", async (device) => {
  const halves = new Uint16Array(new Float16Array([1, -2.5, 0.5]).buffer);
  const tensors = [
    device.upload(new Uint8Array([1, 2, 3, 4, 5]), [5], "u8"),
    device.upload(halves, [3], "f16"),
    device.upload(new Int32Array([-1, 7]), [2, 1], "i32"),
    device.upload(new Float32Array([1.5]), [1], "f32"),
    device.zeros([3], "f32"),
  ];
  const [bytes, f16s, ints, floats, zeros] = await device.read(...tensors);
  assert.deepEqual([...bytes], [1, 2, 3, 4, 5]);
  assert.deepEqual(f16s, device.features.f16 ? halves : new Float32Array([1, -2.5, 0.5]));
  assert.deepEqual([...ints], [-1, 7]);
  assert.deepEqual([...floats], [1.5]);
  assert.deepEqual([...zeros], [0, 0, 0]);
  device.free(...tensors);
  assert.equal(device.memory().live, 0);
  assert.throws(() => device.free(tensors[0]), /was freed/);
  assert.throws(() => device.upload(new Float32Array(3), [2, 2], "f32"), /3 elements/);
});

gpuTest("sizes may change from run to run, and must fit", async (device) => {
  const graph = trace({ x: f32("tokens", 3), w: f32(2, 3), s: f32(1) }, ({ x, w, s }) => ({
    y: scaleBy(matmul(add(x, x), w, { transB: true }), s),
    x,
  }));
  const program = compileWebGPU(graph, device);
  const w = device.upload(new Float32Array([1, 0, 0, 0, 1, 1]), [2, 3], "f32");
  const s = device.upload(new Float32Array([0.5]), [1], "f32");
  for (const tokens of [2, 70, 2, 1]) {
    const x = device.upload(ramp(3 * tokens), [tokens, 3], "f32");
    const outputs = program.run({ x, w, s });
    const [y, copy] = await device.read(outputs.y, outputs.x);
    assert.deepEqual(outputs.y.shape, [tokens, 2]);
    assert.deepEqual(
      y,
      Float32Array.from({ length: 2 * tokens }, (_, i) => i % 2 ? 3 * i + 0 : 1.5 * i),
      `${tokens} tokens`,
    );
    assert.deepEqual(copy, ramp(3 * tokens));
    device.free(x, outputs.y, outputs.x);
  }
  const wrong = device.zeros([4, 2], "f32");
  assert.throws(
    () => program.run({ x: wrong, w, s }),
    /input x is f32\[4, 2\], the program wants f32\[tokens, 3\]/,
  );
  assert.throws(
    () => program.run({ x: wrong, w } as Record<string, Tensor>),
    /input x is|input s is missing/,
  );
});

gpuTest("more sizes than plans are kept", async (device) => {
  const program = compileWebGPU(trace({ x: f32("n") }, ({ x }) => ({ y: add(x, x) })), device);
  for (const n of [...Array.from({ length: 70 }, (_, i) => i + 1), 1, 2]) {
    const x = device.upload(ramp(n), [n], "f32");
    const { y } = program.run({ x });
    if (n % 7 < 2) assert.deepEqual((await device.read(y))[0], ramp(n, 2));
    device.free(x, y);
  }
  program.close();
  assert.equal(device.memory().live, 0);
});

gpuTest("live buffers stay constant over 100 runs", async (device) => {
  const graph = trace({ x: f32("tokens", 8), w: f32(8, 8) }, ({ x, w }) => {
    let y = x;
    for (let layer = 0; layer < 6; layer++) y = add(y, matmul(y, w));
    return { y };
  });
  const program = compileWebGPU(graph, device);
  const w = device.zeros([8, 8], "f32");
  const seen = new Set<string>();
  for (let step = 0; step < 100; step++) {
    const tokens = step % 2 ? 24 : 40;
    const x = device.upload(ramp(8 * tokens), [tokens, 8], "f32");
    const { y } = program.run({ x, w });
    if (step % 10 === 9) await device.read(y);
    device.free(x, y);
    device.flush();
    if (step >= 20) seen.add(JSON.stringify(device.memory()));
  }
  assert.equal(seen.size, 1, [...seen].join(" "));
  const { live, peak, buffers } = device.memory();
  assert.deepEqual({ live, buffers }, { live: 256, buffers: 1 });
  // x, y, w, and one or two in between, for the larger of the two sizes.
  assert(peak <= 256 + 5 * 40 * 8 * 4, `${peak}`);
});

gpuTest("commands and writes keep their order", async (device) => {
  const program = compileWebGPU(trace({ a: f32(4), b: f32(4) }, ({ a, b }) => ({ y: add(a, b) })), device);
  const a = device.upload(ramp(4), [4], "f32"), b = device.upload(ramp(4, 10), [4], "f32");
  const first = program.run({ a, b }).y;
  device.update(a, new Float32Array(4));
  const second = program.run({ a, b }).y;
  device.free(b);
  // Takes b's buffer while the commands that read it may not have run.
  const c = device.upload(new Float32Array(4).fill(99), [4], "f32");
  const third = program.run({ a: second, b: c }).y;
  const [y1, y2, y3] = await device.read(first, second, third);
  assert.deepEqual([...y1], [0, 11, 22, 33]);
  assert.deepEqual([...y2], [0, 10, 20, 30]);
  assert.deepEqual([...y3], [99, 109, 119, 129]);
});

gpuTest("ops in place write the caller's tensor", async (device) => {
  const graph = trace({ x: f32(5), y: f32(5) }, ({ x, y }) => ({
    x: increment(increment(x)),
    sum: increment(add(y, y)),
  }));
  const x = device.upload(ramp(5), [5], "f32"), y = device.upload(ramp(5), [5], "f32");
  const outputs = compileWebGPU(graph, device).run({ x, y });
  assert.equal(outputs.x, x);
  const [updated, sum, kept] = await device.read(x, outputs.sum, y);
  assert.deepEqual([...updated], [2, 3, 4, 5, 6]);
  assert.deepEqual([...sum], [1, 3, 5, 7, 9]);
  assert.deepEqual([...kept], [0, 1, 2, 3, 4]);
});

gpuTest("in place is refused where the old value is still needed", (device) => {
  const later = trace({ x: f32(5) }, ({ x }) => {
    const next = increment(x);
    return { y: add(next, x) };
  });
  const x = device.zeros([5], "f32");
  assert.throws(
    () => compileWebGPU(later, device).run({ x }),
    /custom overwrites its input 0 \(x\), which is read later/,
  );
  const twice = trace({ x: f32(5), z: f32(5) }, ({ x, z }) => ({
    y: apply(custom("y[i] += other1[i];", true), [x, z], {})[0],
  }));
  assert.throws(
    () => compileWebGPU(twice, device).run({ x, z: x }),
    /custom would write a tensor that is bound to it twice/,
  );
  return Promise.resolve();
});

gpuTest("tables longer than one binding are bound in slices", async (device) => {
  // At most 64 rows of 300 numbers at once: the same device, with a lower limit told to the planner.
  const most = 64 * 300 * 4;
  const limits = new Proxy(device.limits, {
    get: (of, name) => name === "maxStorageBufferBindingSize" ? most : of[name as keyof GPUSupportedLimits],
  });
  const types = { h: f32(300, 96), w: f32(300, 96), x: f32(5, 300), z: f32(300, 20), labels: i32(300) };
  const graph = trace(types, ({ h, w, x, z, labels }) => {
    const [loss, dh, dw] = apply(linearCrossEntropyOp, [h, w, labels], {});
    const few = matmul(x, w);
    return {
      loss,
      dh,
      dw,
      logits: matmul(few, w, { transB: true, c: x }),
      rows: matmul(h, w, { transB: true }),
      ofWeight: matmul(h, z, { transA: true }),
      sum: add(w, dw),
    };
  });
  const wave = (length: number, step: number) => Float32Array.from({ length }, (_, i) => Math.sin(step * i));
  const inputs = {
    h: device.upload(wave(300 * 96, 0.7), [300, 96], "f32"),
    w: device.upload(wave(300 * 96, 1.3), [300, 96], "f32"),
    x: device.upload(wave(5 * 300, 0.3), [5, 300], "f32"),
    z: device.upload(wave(300 * 20, 0.9), [300, 20], "f32"),
    labels: device.upload(Int32Array.from({ length: 300 }, (_, i) => (i * 37) % 300), [300], "i32"),
  };
  const whole = compileWebGPU(graph, device).run(inputs);
  const sliced = compileWebGPU(graph, { ...device, limits }).run(inputs);
  for (const name of Object.keys(whole)) {
    const [expected, actual] = await device.read(whole[name], sliced[name]) as Float32Array[];
    expected.forEach((value, i) =>
      assert(Math.abs(value - actual[i]) < 1e-4, `${name}[${i}]: ${value}, ${actual[i]}`)
    );
  }
});

gpuTest("without shader-f16 the same graph runs on f32", async (device) => {
  const graph = trace(
    { x: f32("tokens", 4), w: f16(2, 4) },
    ({ x, w }) => ({ y: matmul(x, w, { transB: true }) }),
  );
  const x = device.upload(ramp(4), [1, 4], "f32");
  const half = new Uint16Array(new Float16Array([1, 1, 1, 1, 0, 0, 0, 2]).buffer);
  const w = device.upload(half, [2, 4], "f16");
  const [y] = await device.read(compileWebGPU(graph, device).run({ x, w }).y);
  assert.deepEqual([...y], [6, 6]);
  const plain = { ...device, features: { ...device.features, f16: false } };
  const w32 = device.upload(new Float32Array([1, 1, 1, 1, 0, 0, 0, 2]), [2, 4], "f32");
  const [y32] = await device.read(compileWebGPU(graph, plain).run({ x, w: w32 }).y);
  assert.deepEqual([...y32], [6, 6]);
});

gpuTest("an error names the kernel", async (device) => {
  const broken = custom("y[i] = nonsense;", true);
  const graph = trace({ x: f32(5) }, ({ x }) => ({ y: apply(broken, [x], {})[0] }));
  const x = device.zeros([5], "f32");
  compileWebGPU(graph, device).run({ x });
  await assert.rejects(device.read(x), /kernel custom does not compile[^]*nonsense/);
  assert.throws(() => device.flush(), /kernel custom/);
});

gpuTest("a lost device is reported by the next call", async (device) => {
  const x = device.zeros([5], "f32");
  device.gpu.destroy();
  await device.gpu.lost;
  await assert.rejects(device.read(x), /was lost/);
  assert.throws(() => device.zeros([5], "f32"), UserError);
});

Deno.test("webgpu: an adapter that cannot run the kernels, or only emulates a GPU, is refused by name", async () => {
  const limits = { maxStorageBuffersPerShaderStage: 4, maxStorageBufferBindingSize: 2 ** 30 };
  const gpuWith = (description: string) => ({
    requestAdapter: () =>
      Promise.resolve({
        info: { vendor: "", architecture: "", device: "", description },
        limits,
        features: new Set(),
      }),
  } as unknown as GPU);
  await assert.rejects(openWebGPU({ gpu: gpuWith("Tiny GPU") }), (error: Error) => {
    assert(error instanceof UserError);
    return /Tiny GPU cannot run.*maxStorageBuffersPerShaderStage is 4, they need 8/.test(error.message);
  });
  await assert.rejects(openWebGPU({ gpu: gpuWith("SwiftShader") }), /SwiftShader only emulates a GPU/);
  const none = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
  await assert.rejects(openWebGPU({ gpu: none }), /No WebGPU adapter/);
});

gpuTest("the profile counts every dispatch", async ({ features }) => {
  if (!features.timestamps) return;
  const device = await openWebGPU({ allowSoftware: true, profile: true });
  const program = compileWebGPU(trace({ x: f32(64) }, ({ x }) => ({ y: add(add(x, x), x) })), device);
  const x = device.zeros([64], "f32");
  for (let run = 0; run < 3; run++) program.run({ x });
  const times = await device.profile();
  assert.deepEqual(times.map(({ name, calls }) => ({ name, calls })), [{ name: "add", calls: 6 }]);
  device.close();
});
