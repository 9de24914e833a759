// The roof on the CPU: [512, 2048] x [2048, 5632] in f32 through onnxruntime, the weight an input; the best of some runs.
import { parseArgs } from "@std/cli";
import { openDevice } from "../../mod.ts";
import { matmul } from "../../lib/engine/ops/matmul.ts";
import { f32, trace } from "../../lib/engine/trace.ts";

const { threads, runs } = parseArgs(Deno.args, {
  default: { threads: navigator.hardwareConcurrency, runs: 12 },
});
const [rows, width, out] = [512, 2048, 5632];
const device = await openDevice({ backend: "cpu", threads });
const product = await device.compile(
  trace({ x: f32(rows, width), w: f32(out, width) }, ({ x, w }) => ({ y: matmul(x, w, { transB: true }) })),
);
const x = device.upload(new Float32Array(rows * width).fill(0.5), [rows, width], "f32");
const w = device.upload(new Float32Array(width * out).fill(0.25), [out, width], "f32");
let best = Infinity;
for (let i = 0; i < runs; i++) {
  const began = performance.now();
  device.free(...Object.values(await product.run({ x, w })));
  best = Math.min(best, performance.now() - began);
}
console.log(JSON.stringify({ gflops: 2 * rows * width * out / best / 1e6 }));
