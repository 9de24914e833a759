// Attention as ONNX files have it: texts of a batch filled up to one length, keys and values of what was read before as inputs
// and outputs. Standard operators only, which every runtime has; onnxruntime fuses them. These ops exist for files alone.
import { apply, type OpDefinition, type Value } from "../engine/graph.ts";
import { expectDim, expectType } from "../engine/shape.ts";
import type { OnnxContext } from "../engine/onnx/context.ts";

/** The name of the batch's size, which every cache begins with. */
export const BATCH = "batch_size";

const onlyInFiles = (): never => {
  throw new Error("This op is only lowered to ONNX files.");
};

/** x [tokens, heads * D] -> [batch, heads, tokens of a text, D] */
export function splitHeads(
  { node, i64 }: OnnxContext,
  x: string,
  batch: string,
  heads: number,
  size: number,
): string {
  const shape = node("Concat", [batch, i64([-1, heads, size])], { axis: 0 });
  return node("Transpose", [node("Reshape", [x, shape])], { perm: { ints: [0, 2, 1, 3] } });
}

const splitOp: OpDefinition<{ heads: number }> = {
  name: "splitHeads",
  infer([x, mask], { heads }) {
    const [, width] = expectType("splitHeads", "x", x, "f32", 2);
    const shape = expectType("splitHeads", "mask", mask, "f32", 5);
    return [{ dtype: "f32", shape: [shape[0], heads, shape[4], (width as number) / heads] }];
  },
  gradient: "none",
  onnx(context, [x], { inputs, attributes }) {
    const heads = attributes.heads as number, size = (inputs[0].shape[1] as number) / heads;
    return [splitHeads(context, x, context.size(inputs[1].shape[0]), heads, size)];
  },
  webgpu: onlyInFiles,
  samples: [],
};

/** Keys or values [tokens, heads * D] as [batch, heads, keys, D]; the sizes are those of the mask that they are seen under. */
export const splitKeys = (x: Value, mask: Value, heads: number): Value =>
  apply(splitOp, [x, mask], { heads })[0];

const appendOp: OpDefinition<{ total: string; name: string }> = {
  name: "appendKeys",
  infer([past, x], { total }) {
    const [batch, heads, , size] = expectType("appendKeys", "past", past, "f32", 4);
    const [, width] = expectType("appendKeys", "x", x, "f32", 2);
    expectDim("appendKeys", "the width of x", width, (heads as number) * (size as number));
    return [{ dtype: "f32", shape: [batch, heads, total, size] }];
  },
  gradient: "none",
  onnx(context, [past, x], { inputs: [{ shape: [batch, heads, , size] }], attributes }) {
    const own = splitHeads(context, x, context.size(batch), heads as number, size as number);
    return [context.node("Concat", [past, own], { axis: 2 }, attributes.name as string)];
  },
  webgpu: onlyInFiles,
  samples: [],
};

/**
 * past [batch, heads, past, D] with x [tokens, heads * D] behind it: [batch, heads, total, D], as an output of the model of that
 * name (through another node it would be copied).
 */
export const appendKeys = (past: Value, x: Value, total: string, name: string): Value =>
  apply(appendOp, [past, x], { total, name })[0];

type AttendAttributes = { heads: number; kvHeads: number; scale: number };

const attendOp: OpDefinition<AttendAttributes> = {
  name: "attendPadded",
  infer([q, k, v, mask], { heads, kvHeads }) {
    const op = "attendPadded";
    const [, width] = expectType(op, "q", q, "f32", 2);
    const cache = expectType(op, "k", k, "f32", 4);
    expectType(op, "v", v, "f32", 4).forEach((size, axis) => expectDim(op, "v", size, cache[axis]));
    expectDim(op, "heads of k", cache[1], kvHeads);
    expectDim(op, "the width of k", (cache[3] as number) * heads, width);
    expectDim(op, "keys of the mask", expectType(op, "mask", mask, "f32", 5)[4], cache[2]);
    return [q];
  },
  gradient: "none",
  onnx(context, [q, k, v, mask], { inputs, attributes }) {
    const { node, i64, f32 } = context, { heads, kvHeads, scale } = attributes as AttendAttributes;
    const size = inputs[1].shape[3] as number, group = heads / kvHeads;
    // Sizes are read off the graph's inputs, so that all layers share them.
    const batch = context.size(inputs[1].shape[0]), keys = context.size(inputs[3].shape[4]);
    const sizes = (...parts: string[]) => node("Concat", parts, { axis: 0 });
    // The heads that share keys go through one product: [batch, kvHeads, group * tokens, D].
    const split = node("Reshape", [q, sizes(batch, i64([-1, kvHeads, group, size]))]);
    const byHead = node("Transpose", [split], { perm: { ints: [0, 2, 3, 1, 4] } });
    const rows = node("Reshape", [byHead, i64([0, 0, -1, size])]);
    const scaled = scale === 1 ? rows : node("Mul", [rows, f32(scale)]);
    const scores = node("MatMul", [scaled, node("Transpose", [k], { perm: { ints: [0, 1, 3, 2] } })]);
    const perHead = node("Reshape", [scores, sizes(batch, i64([kvHeads, group, -1]), keys)]);
    const p = node("Softmax", [node("Add", [perHead, mask])], { axis: -1 });
    const products = node("MatMul", [node("Reshape", [p, sizes(batch, i64([kvHeads, -1]), keys)]), v]);
    const o = node("Reshape", [products, sizes(batch, i64([kvHeads, group, -1, size]))]);
    return [
      node("Reshape", [node("Transpose", [o], { perm: { ints: [0, 3, 1, 2, 4] } }), i64([-1, heads * size])]),
    ];
  },
  webgpu: onlyInFiles,
  samples: [],
};

/**
 * softmax(scale q k^T + mask) v: q [tokens, heads * D], k and v [batch, kvHeads, keys, D], mask [batch, kvHeads, group, tokens
 * of a text, keys], in which the first four may be 1.
 */
export const attendPadded = (
  q: Value,
  k: Value,
  v: Value,
  mask: Value,
  attributes: AttendAttributes,
): Value => apply(attendOp, [q, k, v, mask], attributes)[0];
