// Matrix products at sizes that choose the production tiles, the split over K and the forms for few rows. The op table's
// samples are small and stay with the small tile, since a software adapter needs seconds to compile a large one.
import assert from "node:assert/strict";
import { matmul } from "../lib/engine/ops/matmul.ts";
import { matmulNF4 } from "../lib/engine/ops/matmul_nf4.ts";
import { bytes, normal, positive } from "../lib/engine/ops/sample.ts";
import { f16, f32, trace, u8 } from "../lib/engine/trace.ts";
import { openWebGPU } from "../lib/engine/webgpu/device.ts";
import { compileWebGPU } from "../lib/engine/webgpu/program.ts";
import { findAdapter } from "../lib/engine/webgpu/adapter.ts";
import type { Graph } from "../lib/engine/graph.ts";
import type { TypedArray } from "../lib/engine/dtype.ts";

const device = await findAdapter() && await openWebGPU({ allowSoftware: true });
const ignore = !device;
// There the large tile takes half a minute to compile (see kernels/matmul_tiled.ts).
const softwareGL = device?.isSoftware && !device.features.f16;

async function run(graph: Graph, inputs: Record<string, TypedArray>): Promise<Float32Array> {
  const tensors = Object.fromEntries(
    [...graph.inputs].map((
      [name, { dtype, shape }],
    ) => [name, device!.upload(inputs[name], shape as number[], dtype)]),
  );
  const program = compileWebGPU(graph, device!);
  const { y } = program.run(tensors);
  const [result] = await device!.read(y);
  device!.free(y, ...Object.values(tensors));
  program.close();
  return result as Float32Array;
}

interface Case {
  rows: number;
  columns: number;
  depth: number;
  transA?: boolean;
  transB?: boolean;
  alpha?: number;
  half?: boolean;
  addend?: boolean;
}

/** Every 37th result against the sum in double precision: at large sizes more would take JavaScript too long. */
function compare(y: Float32Array, columns: number, expected: (row: number, column: number) => number): void {
  for (let i = 0; i < y.length; i += y.length > 1e5 ? 37 : 1) {
    const value = expected(Math.floor(i / columns), i % columns);
    assert(Math.abs(y[i] - value) < 1e-4 * (1 + Math.abs(value)), `[${i}]: ${y[i]}, not ${value}`);
  }
}

async function dense({ rows, columns, depth, transA, transB, alpha = 1, half, addend }: Case): Promise<void> {
  const a = normal(1, ...(transA ? [depth, rows] : [rows, depth]));
  const b = normal(2, ...(transB ? [columns, depth] : [depth, columns]));
  const c = normal(3, rows, columns);
  const halves = new Float16Array(b.data);
  const type = half ? f16 : f32;
  const graph = trace({ a: f32(...a.shape), b: type(...b.shape), c: f32(rows, columns) }, ({ a, b, c }) => ({
    y: matmul(a, b, { transA, transB, alpha, c: addend ? c : undefined }),
  }));
  const y = await run(graph, {
    a: a.data,
    b: half ? new Uint16Array(halves.buffer) : b.data,
    c: c.data,
  });
  const right = half ? halves : b.data;
  compare(y, columns, (row, column) => {
    let sum = 0;
    for (let k = 0; k < depth; k++) {
      sum += a.data[transA ? k * rows + row : row * depth + k] *
        right[transB ? column * depth + k : k * columns + column];
    }
    return alpha * sum + (addend ? c.data[row * columns + column] : 0);
  });
}

const levels = [
  ...[-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635],
  ...[-0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725],
  ...[
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1,
  ],
];

async function nf4(tokens: number, out: number, width: number, transB: boolean): Promise<void> {
  const x = normal(1, tokens, transB ? width : out), codes = bytes(2, out * width / 2);
  const absmax = positive(3, out * width / 64);
  const types = { x: f32(...x.shape), codes: u8(...codes.shape), absmax: f32(...absmax.shape) };
  const graph = trace(types, (v) => ({
    y: matmulNF4(v.x, v.codes, v.absmax, { out, in: width, transB }),
  }));
  const weight = Float64Array.from({ length: out * width }, (_, i) => {
    const byte = codes.data[i >> 1];
    return levels[i % 2 ? byte & 15 : byte >> 4] * absmax.data[i >> 6];
  });
  const columns = transB ? out : width, depth = transB ? width : out;
  compare(await run(graph, { x: x.data, codes: codes.data, absmax: absmax.data }), columns, (row, column) => {
    let sum = 0;
    for (let k = 0; k < depth; k++) {
      sum += x.data[row * depth + k] * weight[transB ? column * width + k : k * width + column];
    }
    return sum;
  });
}

const cases: Record<string, Case> = {
  "medium tile, forward": { rows: 500, columns: 508, depth: 36, transB: true },
  "medium tile, gradient of the weight": { rows: 508, columns: 500, depth: 20, transA: true, alpha: 0.5 },
  "large tile, f32": { rows: 2000, columns: 2052, depth: 20, addend: true },
  "large tile, f16": { rows: 2048, columns: 2048, depth: 20, transB: true, half: true },
  "K split, LoRA down": { rows: 70, columns: 16, depth: 520, transB: true, alpha: -2, addend: true },
  "K split, odd sizes": { rows: 5, columns: 7, depth: 301, transA: true, transB: true },
  "8 rows": { rows: 8, columns: 37, depth: 132, transB: true, addend: true, alpha: 3 },
  "3 rows, f16": { rows: 3, columns: 37, depth: 132, transB: true, half: true },
};
for (const [name, sizes] of Object.entries(cases)) {
  const skip = ignore || softwareGL && name.startsWith("large");
  Deno.test({ name: `webgpu matmul: ${name}`, ignore: skip, fn: () => dense(sizes) });
}
Deno.test({
  name: "webgpu matmulNF4: large tile, forward",
  ignore: ignore || softwareGL,
  fn: () => nf4(2048, 2048, 64, true),
});
Deno.test({ name: "webgpu matmulNF4: medium tile, gradient", ignore, fn: () => nf4(512, 24, 512, false) });
Deno.test({ name: "webgpu matmulNF4: 8 rows", ignore, fn: () => nf4(8, 33, 320, true) });
Deno.test("webgpu matmul: the device closes", () => device?.close());
