// What an adapter can do at most, by two kernels that do nothing else: f32 multiply-adds in registers, and a copy.
import { slope } from "../kernel_cases.ts";

const perRound = 16, rounds = 8, threads = 256, groups = 512;

/** Independent chains of multiply-adds: hardware wants many at once, an adapter that emulates one has few registers. */
const multiplyAdd = (chains: number) => `
@group(0) @binding(0) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(${threads}) fn main(@builtin(global_invocation_id) id: vec3u) {
  let a = y[id.x];
  ${each(chains, (c) => `var s${c} = a + vec4f(${c});`)}
  for (var round = 0u; round < ${rounds}u; round++) {
    ${each(perRound, () => each(chains, (c) => `s${c} = fma(s${c}, a, a);`))}
  }
  y[id.x] = ${each(chains, (c) => `s${c}`, " + ")};
}`;

const copy = `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(${threads}) fn main(@builtin(global_invocation_id) id: vec3u,
    @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < arrayLength(&x); i += groups.x * ${threads}u) { y[i] = x[i]; }
}`;

function each(count: number, line: (i: number) => string, between = "\n"): string {
  return Array.from({ length: count }, (_, i) => line(i)).join(between);
}

export async function adapterRoof(gpu: GPUDevice): Promise<{ gflops: number; gbps: number }> {
  const buffer = (size: number) => gpu.createBuffer({ size, usage: GPUBufferUsage.STORAGE });
  const bytes = 2 ** 26;
  const [x, y] = [buffer(bytes), buffer(bytes)];
  let gflops = 0;
  for (const chains of [1, 2, 4, 8]) {
    const operations = 2 * 4 * chains * perRound * rounds * threads * groups;
    gflops = Math.max(gflops, operations / await slope(repeat(gpu, multiplyAdd(chains), [x], groups)) / 1e6);
  }
  const copying = await slope(repeat(gpu, copy, [x, y], 2048));
  x.destroy();
  y.destroy();
  return { gflops, gbps: 2 * bytes / copying / 1e6 };
}

/** Runs a kernel so many times and waits for the last. */
function repeat(gpu: GPUDevice, code: string, buffers: GPUBuffer[], groups: number) {
  const pipeline = gpu.createComputePipeline({
    layout: "auto",
    compute: { module: gpu.createShaderModule({ code }), entryPoint: "main" },
  });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const group = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  return async (count: number) => {
    const encoder = gpu.createCommandEncoder();
    for (let i = 0; i < count; i++) {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(groups);
      pass.end();
    }
    gpu.queue.submit([encoder.finish()]);
    await gpu.queue.onSubmittedWorkDone();
  };
}
