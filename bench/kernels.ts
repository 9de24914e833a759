// The matrix kernels on whatever WebGPU adapter is there, as a share of what it can do at most (measured in the same run by
// a multiply-add and a copy kernel), beside onnxruntime-node's own WebGPU provider on the same adapter.
//   deno run -A bench/kernels.ts [--gpu deno|dawn] [--rows 512,2048] [--width 2048] [--out 5632] [--tokens 2048] [--heads 32]
//     [--kvHeads 4]
// DENO_WEBGPU_BACKEND and VK_DRIVER_FILES choose among adapters; onnxruntime takes the first that Vulkan lists.
import { join } from "@std/path";
import { markdownTable } from "../mod.ts";
import { findAdapter } from "../lib/engine/webgpu/adapter.ts";
import {
  casesOf,
  type KernelCase,
  large,
  nameOf,
  operationsOf,
  small,
  weightBytesOf,
} from "./kernel_cases.ts";
import { gpuNamed } from "./ours/gpu.ts";
import { gigabytes, machine, type Memory, ours, parseArgs, rival } from "./sides.ts";

interface Kernels extends Memory {
  milliseconds: (number | null)[];
}
interface OurKernels extends Kernels {
  adapter: string;
  roof: { gflops: number; gbps: number };
}

const options = parseArgs(Deno.args, { string: ["gpu", "rows"] });
const found = await findAdapter({ gpu: await gpuNamed(options.gpu) });
if (!found) {
  throw new Error(
    "There is no WebGPU adapter: install a GPU's driver, or mesa-vulkan-drivers to emulate one.",
  );
}
const shapes = { ...found.isSoftware ? small : large, ...options };
const cases = casesOf({
  ...shapes,
  rows: typeof options.rows === "string" ? options.rows.split(",").map(Number) : shapes.rows,
});

/** Speed of a case in its own unit: one row is bound by memory, everything else by arithmetic. */
const isMemoryBound = (task: KernelCase) => "rows" in task && task.rows === 1;
const speed = (task: KernelCase, milliseconds: number) =>
  (isMemoryBound(task) ? weightBytesOf(task) : operationsOf(task)) / milliseconds / 1e6;

const folder = await Deno.makeTempDir();
try {
  const file = join(folder, "cases.json");
  await Deno.writeTextFile(file, JSON.stringify(cases));
  console.log(`${machine()}\nAdapter: ${found.description}${found.isSoftware ? " (software)" : ""}`);
  const mine = await ours<OurKernels>("kernels.ts", { cases: file, gpu: options.gpu });
  const theirs = await rival<Kernels>("onnxruntime_kernels.ts", { cases: file });
  const { gflops, gbps } = mine.roof;
  const ratios: number[] = [];
  const table = cases.map((task, i) => {
    const own = mine.milliseconds[i], other = theirs?.milliseconds[i];
    const unit = isMemoryBound(task) ? "GB/s" : "GFLOP/s";
    const roof = isMemoryBound(task) ? gbps : gflops;
    if (own && other) ratios.push(other / own);
    return {
      kernel: nameOf(task),
      unit,
      fintune: own ? speed(task, own).toFixed(1) : undefined,
      "% of the roof": own ? (100 * speed(task, own) / roof).toFixed(0) : undefined,
      onnxruntime: other ? speed(task, other).toFixed(1) : undefined,
      ratio: own && other ? (other / own).toFixed(2) : undefined,
    };
  });
  console.log(markdownTable(table));
  console.log(`The roof: ${gflops.toFixed(0)} GFLOP/s of f32 multiply-adds, ${gbps.toFixed(1)} GB/s copied.`);
  if (theirs) {
    const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
    console.log(
      `Beside onnxruntime's WebGPU provider: ${
        mean.toFixed(2)
      } times as fast (geometric mean of ${ratios.length} kernels); ` +
        `peak memory of the process ${gigabytes(mine.peakBytes)} beside ${gigabytes(theirs.peakBytes)}.`,
    );
  } else {
    console.log(
      `Our peak memory is ${
        gigabytes(mine.peakBytes)
      }; onnxruntime's WebGPU provider did not run on this adapter.`,
    );
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
