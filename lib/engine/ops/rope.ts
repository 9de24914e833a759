// rope(x, positions, cos, sin): rotary position embedding (Su et al. 2021) in Transformers' half-split layout: in every head,
// elements i and i + D/2 are rotated by the angle of (position, i). The tables are made in JavaScript, since the sine of
// a large angle is imprecise on GPUs. The gradient is the inverse rotation.
import { rope as ropeOnGpu } from "../../../kernels/rope.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectType } from "../shape.ts";
import { integers, normal } from "./sample.ts";

type RopeAttributes = { heads: number; inverse?: boolean };

export const ropeOp: OpDefinition<RopeAttributes> = {
  name: "rope",
  infer([x, positions, cos, sin], { heads }) {
    const [tokens, width] = expectType("rope", "x", x, "f32", 2);
    expectDim("rope", "positions' length", expectType("rope", "positions", positions, "i32", 1)[0], tokens);
    const [length, half] = expectType("rope", "cos", cos, "f32", 2);
    expectDim("rope", "twice the tables' width, times heads,", 2 * (half as number) * heads, width);
    expectType("rope", "sin", sin, "f32", 2).forEach((size, axis) =>
      expectDim("rope", "sin", size, [length, half][axis])
    );
    return [x];
  },
  gradient({ inputs: [, positions, cos, sin], attributes }, [dy]) {
    const { heads, inverse = false } = attributes as RopeAttributes;
    return [rope(dy!, positions, cos, sin, { heads, inverse: !inverse }), undefined, undefined, undefined];
  },
  onnx(context, [x, positions, cos, sin], { attributes }) {
    const { heads, inverse = false } = attributes as RopeAttributes;
    const { node, i64 } = context;
    // The tables are gathered first: onnxruntime refuses a table that is shorter than the number of tokens.
    const at = (table: string) => node("Gather", [table, positions]);
    const tables = [at(cos), inverse ? node("Neg", [at(sin)]) : at(sin)];
    const batched = node("Unsqueeze", [x, i64([0])]);
    const rotated = node("ms.RotaryEmbedding", [batched, i64([0]), ...tables], { num_heads: heads });
    return [node("Squeeze", [rotated, i64([0])])];
  },
  webgpu: ropeOnGpu,
  samples: [false, true].map((inverse) => ({
    inputs: [normal(1, 5, 24), integers([0, 1, 2, 0, 1]), normal(2, 3, 4), normal(3, 3, 4)],
    attributes: { heads: 3, inverse },
    differentiate: [0],
  })),
};

export function rope(x: Value, positions: Value, cos: Value, sin: Value, attributes: RopeAttributes): Value {
  return apply(ropeOp, [x, positions, cos, sin], attributes)[0];
}
