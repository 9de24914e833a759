// Products with 8- or 4-bit copies of constant weights (onnxruntime's MatMulNBits): decoding is bound by reading the weights, and
// these are a quarter or an eighth. Weights that meet the same x go through one product.
import type { NodeView } from "../graph.ts";
import type { OnnxContext } from "../onnx/context.ts";

/** A weight [out, in] in blocks along the input that share a scale; the middle code is zero. */
export interface FewBitWeight {
  /** Of a code. */
  readonly bits: 4 | 8;
  /** Weights of a block. */
  readonly block: number;
  /** u8[out, blocks, block * bits / 8]; of four bits two codes a byte, the first in the low half. */
  readonly codes: Uint8Array;
  /** f32[out, blocks] */
  readonly scales: Float32Array;
}

/**
 * x W^T, where `copyOf` has a copy of the node's weight in few bits; in one with it all other such nodes of the same x: queries,
 * keys and values, gate and up. The activations too are rounded to 8 bits, block by block (accuracy level 4).
 */
export function fewBitProduct(
  context: OnnxContext,
  x: string,
  { op, inputs, outputs, attributes }: NodeView,
  copyOf: (node: NodeView) => FewBitWeight | undefined,
): string | undefined {
  const found = context.graph.flatMap((node) => {
    if (node.op !== op || node.inputs[0] !== inputs[0] || node.attributes.bits !== attributes.bits) return [];
    const copy = copyOf(node);
    return copy ? [{ output: node.outputs[0], copy }] : [];
  });
  if (!found.some(({ output }) => output === outputs[0])) return undefined;
  const products = productsOf(context, x, found.map(({ copy }) => copy), inputs[0].shape[1] as number);
  found.forEach(({ output }, i) => context.provide(output, products[i]));
  return context.named(outputs[0]);
}

function productsOf(
  { initializer, node, nodes, i64 }: OnnxContext,
  x: string,
  copies: readonly FewBitWeight[],
  width: number,
): string[] {
  const [{ bits, block }] = copies, blocks = Math.ceil(width / block);
  const sizes = copies.map(({ scales }) => scales.length / blocks);
  const out = sizes.reduce((sum, size) => sum + size);
  const codes = new Uint8Array(out * blocks * block * bits / 8), scales = new Float32Array(out * blocks);
  let row = 0;
  for (const [i, copy] of copies.entries()) {
    codes.set(copy.codes, row * blocks * block * bits / 8);
    scales.set(copy.scales, row * blocks);
    row += sizes[i];
  }
  const weight = [
    initializer("codes", "u8", [out, blocks, block * bits / 8], codes),
    initializer("scales", "f32", [scales.length], scales),
  ];
  const settings = { K: width, N: out, bits, block_size: block, accuracy_level: 4 };
  const product = node("ms.MatMulNBits", [x, ...weight], settings);
  return sizes.length === 1 ? [product] : nodes("Split", [product, i64(sizes)], sizes.length, { axis: 1 });
}
