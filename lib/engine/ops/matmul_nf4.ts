// matmulNF4(x, codes, absmax): the product with a weight [out, in] in bitsandbytes' NF4, which stays 4-bit in memory.
// transB: y = x W^T (forward); else y = x W (gradient of the input). The weight itself is never trained.
// On the CPU the forward product is onnxruntime's MatMulBnb4; its other form is broken there, so the gradient's weight is
// dequantised in JavaScript before the run, and where a graph needs both, the forward product uses that copy too.
import { matmulNF4 as matmulNF4OnGpu } from "../../../kernels/matmul.ts";
import { type Bits, BLOCK, quantizeBlocks } from "../onnx/blocks.ts";
import { apply, type NodeView, type OpDefinition, type Value } from "../graph.ts";
import type { OnnxContext } from "../onnx/context.ts";
import { dequantizeInto } from "../nf4/dequantize.ts";
import { NF4_LEVELS } from "../nf4/levels.ts";
import { expectDim, expectType } from "../shape.ts";
import { fewBitProduct, type FewBitWeight } from "./few_bits_onnx.ts";
import { nestedAbsmaxOp, unnest } from "./nested_absmax.ts";
import { bytes, normal, positive } from "./sample.ts";

type MatmulNF4Attributes = {
  out: number;
  in: number;
  transB: boolean;
  /** On the CPU, and where the weight is a constant of the program: multiply by a copy of it in so few bits (see below). */
  bits?: Bits;
};

/**
 * For a few rows onnxruntime's product with NF4 is slow, and decoding is bound by it. That with plain 8-bit numbers is 50 times
 * faster, and NF4's levels times 127 are nearly whole numbers: round(127 level) in blocks of 64 with scale absmax / 127 is off
 * by about 0.8 % of a weight. In 4 bits, NF4's levels have to be rounded to equal steps. lib/generate says what that changes in
 * the logits.
 */
function copyOf(
  context: OnnxContext,
  { inputs: [, from, scales], attributes }: NodeView,
): FewBitWeight | undefined {
  const { bits, out, in: width, transB } = attributes as MatmulNF4Attributes;
  const codes = bits && transB ? context.constant(from) as Uint8Array | undefined : undefined;
  const absmax = codes && constantScales(context, scales);
  if (!codes || !absmax) return undefined;
  if (bits === 8) return { bits, block: 64, ...eightBits(codes, absmax) };
  const weight = new Float32Array(out * width);
  dequantizeInto(codes, absmax, weight);
  return { bits: 4, block: BLOCK, ...quantizeBlocks(weight, [out, width], 4) };
}

function eightBits(codes: Uint8Array, absmax: Float32Array) {
  const byLevel = Uint8Array.from(NF4_LEVELS, (level) => Math.round(level * 127) + 128);
  const bytes = new Uint8Array(codes.length * 2);
  for (let i = 0; i < codes.length; i++) {
    bytes[2 * i] = byLevel[codes[i] >> 4];
    bytes[2 * i + 1] = byLevel[codes[i] & 15];
  }
  return { codes: bytes, scales: absmax.map((scale) => scale / 127) };
}

/** The node that undoes double quantisation, where the scales come from one. */
const nestedSource = (context: OnnxContext, absmax: Value) =>
  context.graph.find(({ op, outputs }) => op === nestedAbsmaxOp && outputs[0] === absmax);

/** The block scales of a constant weight. */
function constantScales(context: OnnxContext, absmax: Value): Float32Array | undefined {
  const nested = nestedSource(context, absmax);
  if (!nested) return context.constant(absmax) as Float32Array | undefined;
  const parts = nested.inputs.map((input) => context.constant(input));
  return parts.includes(undefined) ? undefined : unnest(parts as Parameters<typeof unnest>[0]);
}

/** The weight as f32 [out, in], filled by JavaScript before each run. */
function dequantized(context: OnnxContext, codes: Value, absmax: Value, shape: [number, number]): string {
  const nested = nestedSource(context, absmax);
  const from = nested ? [codes, ...nested.inputs] : [codes, absmax];
  return context.host(
    `dequantize ${codes.id}`,
    { dtype: "f32", shape },
    from,
    ([codes, ...scales], into) =>
      dequantizeInto(
        codes as Uint8Array,
        nested ? unnest(scales as Parameters<typeof unnest>[0]) : scales[0] as Float32Array,
        into as Float32Array,
      ),
  );
}

const readsTransposed = (node: NodeView, codes: Value) =>
  node.op === matmulNF4Op && node.inputs[1] === codes && !node.attributes.transB;

export const matmulNF4Op: OpDefinition<MatmulNF4Attributes> = {
  name: "matmulNF4",
  infer([x, codes, absmax], attributes) {
    const { out, in: width, transB } = attributes;
    const [tokens, inner] = expectType("matmulNF4", "x", x, "f32", 2);
    expectDim("matmulNF4", "the width of x", inner, transB ? width : out);
    expectDim(
      "matmulNF4",
      "codes' length",
      expectType("matmulNF4", "codes", codes, "u8", 1)[0],
      out * width / 2,
    );
    expectDim(
      "matmulNF4",
      "absmax's length",
      expectType("matmulNF4", "absmax", absmax, "f32", 1)[0],
      out * width / 64,
    );
    return [{ dtype: "f32", shape: [tokens, transB ? out : width] }];
  },
  gradient({ inputs: [, codes, absmax], attributes }, [dy]) {
    const { out, in: width, transB } = attributes as MatmulNF4Attributes;
    return [matmulNF4(dy!, codes, absmax, { out, in: width, transB: !transB }), undefined, undefined];
  },
  onnx(context, [x, codes, absmax], node) {
    const attributes = node.attributes as MatmulNF4Attributes;
    const { out, in: width, transB } = attributes;
    const product = fewBitProduct(context, x, node, (other) => copyOf(context, other));
    if (product) return [product];
    if (transB && !context.graph.some((other) => readsTransposed(other, node.inputs[1]))) {
      const attributes = { K: width, N: out, block_size: 64, quant_type: 1 };
      return [context.node("ms.MatMulBnb4", [x, codes, absmax], attributes)];
    }
    const weight = dequantized(context, node.inputs[1], node.inputs[2], [out, width]);
    return [context.node("Gemm", [x, weight], { transB: Number(transB) })];
  },
  webgpu: matmulNF4OnGpu,
  samples: [
    {
      inputs: [normal(1, 3, 128), bytes(2, 96 * 64), positive(3, 96 * 2)],
      attributes: { out: 96, in: 128, transB: true },
      differentiate: [0],
    },
    {
      inputs: [normal(1, 70, 64), bytes(2, 40 * 32), positive(3, 40)],
      attributes: { out: 40, in: 64, transB: true },
    },
    {
      inputs: [normal(1, 70, 40), bytes(2, 40 * 32), positive(3, 40)],
      attributes: { out: 40, in: 64, transB: false },
    },
    {
      inputs: [normal(1, 1, 64), bytes(2, 136 * 32), positive(3, 136)],
      attributes: { out: 136, in: 64, transB: true },
    },
  ],
};

export function matmulNF4(x: Value, codes: Value, absmax: Value, attributes: MatmulNF4Attributes): Value {
  return apply(matmulNF4Op, [x, codes, absmax], attributes)[0];
}
