// Our kernels on a WebGPU adapter: milliseconds of every case of kernel_cases.ts, and what the adapter can do at most.
//   deno run -A bench/ours/kernels.ts --cases CASES.json [--gpu dawn]
import { parseArgs } from "@std/cli";
import { processMemory } from "../../mod.ts";
import type { Graph } from "../../lib/engine/graph.ts";
import { attention, attentionGradOp } from "../../lib/engine/ops/attention.ts";
import { matmul } from "../../lib/engine/ops/matmul.ts";
import { matmulNF4 } from "../../lib/engine/ops/matmul_nf4.ts";
import { apply } from "../../lib/engine/graph.ts";
import type { Tensor } from "../../lib/engine/tensor.ts";
import { f16, f32, i32, trace, u8 } from "../../lib/engine/trace.ts";
import { openWebGPU } from "../../lib/engine/webgpu/device.ts";
import { compileWebGPU } from "../../lib/engine/webgpu/program.ts";
import { type KernelCase, slope } from "../kernel_cases.ts";
import { adapterRoof } from "./adapter_roof.ts";
import { gpuNamed } from "./gpu.ts";

const options = parseArgs(Deno.args, { string: ["cases", "gpu"] });
const cases: KernelCase[] = JSON.parse(Deno.readTextFileSync(options.cases));
const device = await openWebGPU({ gpu: await gpuNamed(options.gpu), allowSoftware: true });

type Product = Extract<KernelCase, { rows: number }>;
type Attention = Exclude<KernelCase, Product>;

/** A product's graph, with the weight's parts as inputs of their own. */
function productGraph({ kind, weights, rows, width, out }: Product): Graph {
  const transB = kind === "forward";
  const x = f32(rows, transB ? width : out);
  if (weights === "nf4") {
    const types = { x, codes: u8(out * width / 2), absmax: f32(out * width / 64) };
    return trace(
      types,
      ({ x, codes, absmax }) => ({ y: matmulNF4(x, codes, absmax, { out, in: width, transB }) }),
    );
  }
  const types = { x, w: weights === "f16" ? f16(out, width) : f32(out, width) };
  return trace(types, ({ x, w }) => ({ y: matmul(x, w, { transB }) }));
}

function productWeight({ weights, width, out }: Product): Record<string, Tensor> {
  const size = out * width;
  if (weights === "f32") return { w: device.upload(new Float32Array(size).fill(0.01), [out, width], "f32") };
  if (weights === "f16") return { w: device.upload(new Uint16Array(size).fill(0x211f), [out, width], "f16") };
  return {
    codes: device.upload(new Uint8Array(size / 2).fill(0x5a), [size / 2], "u8"),
    absmax: device.upload(new Float32Array(size / 64).fill(0.02), [size / 64], "f32"),
  };
}

async function timeProduct(task: Product): Promise<number> {
  const { kind, rows, width, out, copies } = task;
  const inner = kind === "forward" ? width : out;
  const x = device.upload(new Float32Array(rows * inner).fill(0.5), [rows, inner], "f32");
  const weights = Array.from({ length: copies }, () => productWeight(task));
  const milliseconds = await timeGraph(productGraph(task), weights.map((weight) => ({ x, ...weight })));
  device.free(x, ...weights.flatMap((weight) => Object.values(weight)));
  return milliseconds;
}

/** One causal row of tokens. */
async function timeAttention({ kind, tokens, heads, kvHeads, headDim }: Attention): Promise<number> {
  const shape = { heads, kvHeads, scale: 1 / Math.sqrt(headDim) };
  const q = f32(tokens, heads * headDim), k = f32(tokens, kvHeads * headDim);
  const forward = { q, k, v: k, ranges: i32(tokens, 2) };
  const graph = kind === "attention"
    ? trace(forward, ({ q, k, v, ranges }) => ({ o: attention(q, k, v, ranges, shape) }))
    : trace({ ...forward, o: q, lse: f32(tokens, heads), dO: q }, ({ q, k, v, ranges, o, lse, dO }) => {
      const [dQ, dK, dV] = apply(attentionGradOp, [q, k, v, ranges, o, lse, dO], shape);
      return { dQ, dK, dV };
    });
  const inputs = Object.fromEntries([...graph.inputs].map(([name, { dtype, shape }]) => {
    const length = (shape as number[]).reduce((a, b) => a * b, 1);
    const data = dtype === "i32"
      ? Int32Array.from({ length }, (_, i) => i % 2 === 0 ? 0 : (i + 1) / 2)
      : Float32Array.from({ length }, (_, i) => Math.sin(i));
    return [name, device.upload(data, shape as number[], dtype)];
  }));
  const milliseconds = await timeGraph(graph, [inputs]);
  device.free(...Object.values(inputs));
  return milliseconds;
}

/** Milliseconds of one run, the inputs taking turns. */
async function timeGraph(graph: Graph, inputs: Record<string, Tensor>[]): Promise<number> {
  const program = compileWebGPU(graph, device);
  const milliseconds = await slope(async (count) => {
    for (let i = 0; i < count; i++) {
      for (const tensors of inputs) device.free(...Object.values(program.run(tensors)));
    }
    await device.finished();
  });
  program.close();
  return milliseconds / inputs.length;
}

const roof = await adapterRoof(device.gpu);
const milliseconds: (number | null)[] = [];
for (const task of cases) {
  const measurable = !("rows" in task) || task.weights !== "f16" || device.features.f16;
  milliseconds.push(
    measurable ? await ("rows" in task ? timeProduct(task) : timeAttention(task as Attention)) : null,
  );
}
console.log(
  JSON.stringify({ adapter: device.description, roof, milliseconds, peakBytes: processMemory().peak }),
);
