// The roof of decoding on the CPU: GB a second at which one row goes through a single weight of 512 MB, which is as fast as
// onnxruntime's threads read memory; the best of some runs.
import { parseArgs } from "@std/cli";
import { openDevice } from "../../mod.ts";
import { matmul } from "../../lib/engine/ops/matmul.ts";
import { f32, trace } from "../../lib/engine/trace.ts";

const { threads, runs } = parseArgs(Deno.args, {
  default: { threads: navigator.hardwareConcurrency, runs: 10 },
});
const [width, out] = [2048, 65536];
const device = await openDevice({ backend: "cpu", threads });
const product = await device.compile(
  trace({ x: f32(1, width), w: f32(out, width) }, ({ x, w }) => ({ y: matmul(x, w, { transB: true }) })),
);
const x = device.upload(new Float32Array(width).fill(0.5), [1, width], "f32");
const w = device.upload(new Float32Array(width * out).fill(0.25), [out, width], "f32");
let best = Infinity;
for (let i = 0; i < runs; i++) {
  const began = performance.now();
  device.free(...Object.values(await product.run({ x, w })));
  best = Math.min(best, performance.now() - began);
}
console.log(JSON.stringify({ gigabytesPerSecond: 4 * width * out / best / 1e6 }));
