// matmul(a, b, c?) = alpha * op(a) op(b) + c, where op transposes on request. A linear layer's weight is [out, in]:
// y = matmul(x, w, { transB: true }). Accumulation in f32; b may be stored as f16.
import { matmul as matmulOnGpu } from "../../../kernels/matmul.ts";
import { type Bits, BLOCK, quantizeBlocks } from "../onnx/blocks.ts";
import { apply, type Dim, type NodeView, type OpDefinition, type Type, type Value } from "../graph.ts";
import type { OnnxContext } from "../onnx/context.ts";
import { expectDim, expectType } from "../shape.ts";
import { fewBitProduct, type FewBitWeight } from "./few_bits_onnx.ts";
import { half, normal } from "./sample.ts";

type MatmulAttributes = {
  alpha?: number;
  transA?: boolean;
  transB?: boolean;
  /** On the CPU, and where b is a constant of the program: multiply by a copy of it in so few bits (few_bits_onnx.ts). */
  bits?: Bits;
};

function resultShape([a, b]: readonly Type[], { transA, transB }: MatmulAttributes): [Dim, Dim] {
  const left = expectType("matmul", "a", a, "f32", 2),
    right = expectType("matmul", "b", b, ["f32", "f16"], 2);
  const [m, k] = transA ? [left[1], left[0]] : left;
  const [kOfB, n] = transB ? [right[1], right[0]] : right;
  expectDim("matmul", "the inner size of b", kOfB, k);
  return [m, n];
}

/** A constant weight [out, in] in few bits. */
function copyOf(context: OnnxContext, { inputs, attributes }: NodeView): FewBitWeight | undefined {
  const { bits, alpha = 1, transA = false, transB = false } = attributes as MatmulAttributes;
  const data = context.constant(inputs[1]) as Float32Array | undefined;
  if (!bits || !data || inputs[2] || transA || !transB || alpha !== 1) return undefined;
  return { bits, block: BLOCK, ...quantizeBlocks(data, inputs[1].shape as number[], bits) };
}

export const matmulOp: OpDefinition<MatmulAttributes> = {
  name: "matmul",
  infer(inputs, attributes) {
    const shape = resultShape(inputs, attributes);
    if (inputs[2]) {
      const addend = expectType("matmul", "c", inputs[2], "f32", 2);
      addend.forEach((size, axis) => expectDim("matmul", `axis ${axis} of c`, size, shape[axis]));
    }
    return [{ dtype: "f32", shape }];
  },
  gradient({ inputs: [a, b, c], attributes }, [dy], needed) {
    const { alpha = 1, transA = false, transB = false } = attributes as MatmulAttributes;
    if (needed[1] && b.dtype !== "f32") throw new Error("matmul: f16 weights are not trained.");
    const times = (x: Value, y: Value, transA: boolean, transB: boolean) =>
      matmul(x, y, { alpha, transA, transB });
    return [
      needed[0] ? (transA ? times(b, dy!, transB, true) : times(dy!, b, false, !transB)) : undefined,
      needed[1] ? (transB ? times(dy!, a, true, transA) : times(a, dy!, !transA, false)) : undefined,
      c ? dy : undefined,
    ];
  },
  onnx(context, [a, b, ...c], node) {
    const product = fewBitProduct(context, a, node, (other) => copyOf(context, other));
    if (product) return [product];
    const { inputs, attributes } = node;
    const { alpha = 1, transA = false, transB = false } = attributes as MatmulAttributes;
    // A constant is laid out for the product once, by onnxruntime; an input is in every run (eight rows take twice as long).
    const constant = context.constant(inputs[1]) as Float32Array | undefined;
    const weight = constant ? context.initializer("weight", "f32", inputs[1].shape as number[], constant) : b;
    return [
      context.node("Gemm", [a, weight, ...c], {
        alpha: { float: alpha },
        transA: Number(transA),
        transB: Number(transB),
      }),
    ];
  },
  webgpu: matmulOnGpu,
  samples: [
    { inputs: [normal(1, 5, 8), normal(2, 8, 6)], attributes: {}, differentiate: [0, 1] },
    { inputs: [normal(1, 5, 8), normal(2, 6, 8)], attributes: { transB: true }, differentiate: [0, 1] },
    { inputs: [normal(1, 8, 5), normal(2, 8, 6)], attributes: { transA: true }, differentiate: [0, 1] },
    {
      inputs: [normal(1, 8, 5), normal(2, 6, 8)],
      attributes: { transA: true, transB: true },
      differentiate: [0, 1],
    },
    { inputs: [normal(1, 1, 96), normal(2, 130, 96)], attributes: { transB: true } },
    {
      inputs: [normal(1, 5, 16), normal(2, 6, 16), normal(3, 5, 6)],
      attributes: { transB: true, alpha: 0.5 },
      differentiate: [0, 1, 2],
    },
    { inputs: [normal(1, 3, 96), half(2, 130, 96)], attributes: { transB: true } },
    { inputs: [normal(1, 70, 96), half(2, 67, 96)], attributes: { transB: true } },
    { inputs: [normal(1, 70, 67), half(2, 67, 96)], attributes: {} },
    { inputs: [normal(4, 70, 130), normal(5, 67, 130)], attributes: { transB: true } },
    { inputs: [normal(4, 70, 67), normal(5, 67, 130)], attributes: {} },
    { inputs: [normal(4, 150, 16), normal(5, 150, 68)], attributes: { transA: true } },
  ],
};

/** alpha * op(a) op(b) + c; a, c: f32, b: f32 or f16. */
export function matmul(
  a: Value,
  b: Value,
  { c, ...attributes }: MatmulAttributes & { c?: Value } = {},
): Value {
  return apply(matmulOp, c ? [a, b, c] : [a, b], attributes)[0];
}
