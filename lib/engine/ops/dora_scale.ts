// doraScale(m, squares, b, p, g) = m / |W + s B A|, row by row: what DoRA (Liu et al. 2024, arXiv:2402.09353) multiplies the
// outputs of a linear layer with. The changed weight is never made: a row's squared length is
//   squares[i] + sum over k of b[i, k] * (2 s p[k, i] + s^2 (b g)[i, k]),   p = A W^T,  g = A A^T,  squares[i] = |W[i]|^2.
// As in the paper (section 4.3) and in PEFT the length counts as a constant: only m has a gradient.
import { doraScale as doraScaleOnGpu } from "../../../kernels/dora.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectType } from "../shape.ts";
import { floats, normal } from "./sample.ts";

type DoraAttributes = { scale: number };

export interface DoraInputs {
  /** Magnitudes, f32[out]. */
  readonly m: Value;
  /** Squared lengths of W's rows, f32[out]. */
  readonly squares: Value;
  /** f32[out, r] */
  readonly b: Value;
  /** A W^T, f32[r, out] */
  readonly p: Value;
  /** A A^T, f32[r, r] */
  readonly g: Value;
}

export const doraScaleOp: OpDefinition<DoraAttributes> = {
  name: "doraScale",
  infer([m, squares, b, p, g]) {
    const [out, r] = expectType("doraScale", "b", b, "f32", 2);
    expectDim("doraScale", "m's length", expectType("doraScale", "m", m, "f32", 1)[0], out);
    expectDim("doraScale", "squares' length", expectType("doraScale", "squares", squares, "f32", 1)[0], out);
    expectDim("doraScale", "p's rows", expectType("doraScale", "p", p, "f32", 2)[0], r);
    expectDim("doraScale", "g's rows", expectType("doraScale", "g", g, "f32", 2)[0], r);
    return [m];
  },
  // Linear in m: the gradient is the same function of dy.
  gradient({ inputs: [, ...rest], attributes }, [dy]) {
    const dm = apply(doraScaleOp, [dy!, ...rest], attributes as DoraAttributes)[0];
    return [dm, undefined, undefined, undefined, undefined];
  },
  onnx({ node, f32, i64 }, [m, squares, b, p, g], { attributes }) {
    const { scale } = attributes as DoraAttributes;
    const crossed = node("Mul", [node("Transpose", [p], { perm: { ints: [1, 0] } }), f32(2 * scale)]);
    const own = node("Mul", [node("MatMul", [b, g]), f32(scale * scale)]);
    const change = node("ReduceSum", [node("Mul", [b, node("Add", [crossed, own])]), i64([1])], {
      keepdims: 0,
    });
    return [node("Div", [m, node("Sqrt", [node("Add", [squares, change])])])];
  },
  webgpu: doraScaleOnGpu,
  samples: [{
    inputs: [normal(1, 70), floats(Array(70).fill(50)), normal(2, 70, 3), normal(3, 3, 70), normal(4, 3, 3)],
    attributes: { scale: 0.5 },
    differentiate: [0],
  }],
};

export function doraScale({ m, squares, b, p, g }: DoraInputs, attributes: DoraAttributes): Value {
  return apply(doraScaleOp, [m, squares, b, p, g], attributes)[0];
}
