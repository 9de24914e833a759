// The rival for kernels: onnxruntime-node's own WebGPU provider (Dawn inside) on the adapter that it finds.
//   deno run -A bench/rivals/onnxruntime_kernels.ts --cases CASES.json
// Each case is a chain of one op in one graph, whose length is varied so that transfers fall out. f16: its activations are f16
// too. nf4: it has no NF4; its int4 (MatMulNBits, blocks of 32) reads as many bytes. Gradients of int4 weights and of attention
// it does not have: null, as is what it refuses (and says why).
import { parseArgs } from "@std/cli";
import type { InferenceSession } from "onnxruntime-node";
import * as ort from "onnxruntime-node";
import { processMemory } from "../../mod.ts";
import type { OnnxDType } from "../../lib/engine/onnx/context.ts";
import {
  elementType,
  externalTensorProto,
  graphProto,
  modelProto,
  nodeProto,
  type ProtoAttribute,
  tensorProto,
} from "../../lib/engine/onnx/proto.ts";
import { type KernelCase, nameOf, slope } from "../kernel_cases.ts";

const options = parseArgs(Deno.args, { string: ["cases"] });
const cases: KernelCase[] = JSON.parse(Deno.readTextFileSync(options.cases));

type Product = Extract<KernelCase, { rows: number }>;
type Attention = Exclude<KernelCase, Product>;

interface Constant {
  name: string;
  dtype: OnnxDType;
  shape: number[];
  data: Uint8Array;
}

/** A graph of `count` links; a link turns the name of the last value into that of the next. */
interface Chain {
  constants: Constant[];
  /** What every value of the chain is. */
  value: { dtype: "f32" | "f16"; shape: number[] };
  /** Nodes of link number i. */
  link(i: number, from: string, to: string): ReturnType<typeof nodeProto>[];
}

const bytesOf = (data: Float32Array | Uint16Array | Int32Array) => new Uint8Array(data.buffer as ArrayBuffer);
const node = (
  type: string,
  inputs: string[],
  output: string,
  attributes: Record<string, ProtoAttribute> = {},
) => nodeProto({ type, inputs, outputs: [output], attributes });

function floats(name: string, dtype: "f32" | "f16", shape: number[]): Constant {
  const count = shape.reduce((a, b) => a * b, 1);
  const data = dtype === "f32"
    ? bytesOf(new Float32Array(count).fill(0.01))
    : bytesOf(new Uint16Array(count).fill(0x211f));
  return { name, dtype, shape, data };
}

/** y + x W: what is added makes every product of the chain a new one. Two forms, of which the faster counts. */
function productChain({ kind, weights, rows, width, out, copies }: Product, form: "Gemm" | "MatMul"): Chain {
  const [inner, outer] = kind === "forward" ? [width, out] : [out, width];
  const dtype = weights === "f16" ? "f16" : "f32";
  const constants = [floats("x", dtype, [rows, inner])];
  // As exported: Gemm keeps [out, in], MatMul has it turned.
  const stored = form === "Gemm" ? [out, width] : [inner, outer];
  for (let i = 0; i < copies; i++) {
    if (weights === "nf4") {
      const blocks = width / 32;
      const codes = new Uint8Array(out * width / 2).fill(0x5a);
      constants.push({ name: `w${i}`, dtype: "u8", shape: [out, blocks, 16], data: codes });
      constants.push(floats(`scales${i}`, "f32", [out * blocks]));
    } else constants.push(floats(`w${i}`, dtype, stored));
  }
  return {
    constants,
    value: { dtype, shape: [rows, outer] },
    link(i, from, to) {
      const w = i % copies;
      if (weights === "nf4") {
        const attributes = { K: width, N: out, bits: 4, block_size: 32 };
        return [
          node("ms.MatMulNBits", ["x", `w${w}`, `scales${w}`], `${to} product`, attributes),
          node("Add", [from, `${to} product`], to),
        ];
      }
      if (form === "Gemm") {
        return [node("Gemm", ["x", `w${w}`, from], to, { transB: Number(kind === "forward") })];
      }
      return [node("MatMul", ["x", `w${w}`], `${to} product`), node("Add", [from, `${to} product`], to)];
    },
  };
}

/** The queries of a link are the answers of the one before. */
function attentionChain({ tokens, heads, kvHeads, headDim }: Attention): Chain {
  const number = (name: string, value: number, shape: number[]): Constant => {
    return { name, dtype: "i32", shape, data: bytesOf(Int32Array.of(value)) };
  };
  const attributes = { num_heads: heads, kv_num_heads: kvHeads, scale: { float: 1 / Math.sqrt(headDim) } };
  const keys = [1, tokens, kvHeads * headDim];
  return {
    constants: [
      floats("k", "f32", keys),
      floats("v", "f32", keys),
      number("last", tokens - 1, [1]),
      number("total", tokens, []),
    ],
    value: { dtype: "f32", shape: [1, tokens, heads * headDim] },
    link: (_, from, to) => [
      nodeProto({
        type: "ms.GroupQueryAttention",
        inputs: [from, "k", "v", "", "", "last", "total"],
        outputs: [to, `${to} keys`, `${to} values`],
        attributes,
      }),
    ],
  };
}

/** Between casts from and to f32, as Deno hands no f16 to native code. */
async function openSession({ constants, value, link }: Chain, count: number) {
  const { shape, dtype } = value;
  // Shapes are inferred from i32 constants, which must lie in the model itself.
  const isInside = ({ dtype }: Constant) => dtype === "i32";
  const proto = graphProto({
    name: "chain",
    nodes: [
      node("Cast", ["in"], "value0", { to: elementType[dtype] }),
      ...Array.from({ length: count }, (_, i) => link(i, `value${i}`, `value${i + 1}`)).flat(),
      node("Cast", [`value${count}`], "out", { to: elementType.f32 }),
    ],
    initializers: constants.map((constant) => {
      const { name, dtype, shape, data } = constant;
      return isInside(constant)
        ? tensorProto(name, dtype, shape, data)
        : externalTensorProto(name, dtype, shape, data.length);
    }),
    inputs: [{ name: "in", dtype: "f32", shape }],
    outputs: [{ name: "out", dtype: "f32", shape }],
  });
  return await ort.InferenceSession.create(modelProto(proto), {
    executionProviders: ["webgpu"],
    // Otherwise products with the same weight would be computed once for the whole chain.
    graphOptimizationLevel: "disabled",
    logSeverityLevel: 3,
    // What its WebGPU provider lacks would otherwise run on the CPU, in silence.
    extra: { session: { disable_cpu_ep_fallback: "1" } },
    externalData: constants.filter((constant) => !isInside(constant))
      .map(({ name, data }) => ({ path: name, data })),
  } as InferenceSession.SessionOptions);
}

async function timeChain(chain: Chain, copies: number): Promise<number> {
  const { shape } = chain.value;
  const start = new ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  let session: InferenceSession | undefined, length = 0;
  const milliseconds = await slope(async (count) => {
    if (count !== length) {
      await session?.release();
      session = await openSession(chain, count * copies);
      length = count;
    }
    await session!.run({ in: start });
  });
  await session?.release();
  return milliseconds / copies;
}

async function time(task: KernelCase): Promise<number | null> {
  if ("rows" in task) {
    if (task.weights === "nf4" && task.kind === "inputGradient") return null;
    const forms = task.weights === "nf4" ? ["Gemm"] as const : ["Gemm", "MatMul"] as const;
    const times: number[] = [];
    for (const form of forms) times.push(await timeChain(productChain(task, form), task.copies));
    return Math.min(...times);
  }
  return task.kind === "attention" ? await timeChain(attentionChain(task as Attention), 1) : null;
}

const milliseconds: (number | null)[] = [];
for (const task of cases) {
  try {
    milliseconds.push(await time(task));
  } catch (error) {
    if (milliseconds.length === 0) throw error; // no adapter, rather than no such op
    console.log(`onnxruntime cannot run ${nameOf(task)}: ${(error as Error).message.slice(0, 300)}`);
    milliseconds.push(null);
  }
}
console.log(JSON.stringify({ milliseconds, peakBytes: processMemory().peak }));
