// attention(q, k, v, ranges, bias?): softmax(scale q k^T + bias) v over the keys that each query sees, per head, with grouped
// keys. bias [2 * reach + 1, heads] is by distance, key minus query (indices into the batch: inside a packed row these are the
// row's own distances), held within +-reach (T5's relative positions).
// A query sees one contiguous range of keys, which makes causal, packed, sliding-window and bidirectional attention one
// op: ranges[t] = [first, end), both of which never fall from one query to the next. Neither backend ever holds [tokens, tokens]: WebGPU goes in tiles (Dao et al. 2022), ONNX
// in a Loop over chunks of queries that reads only the keys which the chunk can see.
import { attention as attentionOnGpu } from "../../../kernels/attention.ts";
import {
  attentionBiasGrad as attentionBiasGradOnGpu,
  attentionGrad as attentionGradOnGpu,
} from "../../../kernels/attention_grad.ts";
import { apply, type NodeView, type OpDefinition, type Type, type Value } from "../graph.ts";
import type { OnnxContext } from "../onnx/context.ts";
import { expectDim, expectSame, expectType } from "../shape.ts";
import {
  attendOnnx,
  type AttentionAttributes,
  chunkedQueries,
  keysFirst,
  type OnnxShape,
  relativeOf,
} from "./attention_onnx.ts";
import { causalRanges, integers, normal } from "./sample.ts";

function checkInputs(
  op: string,
  [q, k, v, ranges]: readonly Type[],
  { heads, kvHeads }: AttentionAttributes,
  bias?: Type,
) {
  if (bias) expectDim(op, "bias' columns", expectType(op, "bias", bias, "f32", 2)[1], heads);
  const [tokens, width] = expectType(op, "q", q, "f32", 2) as [string, number];
  const [keys, kvWidth] = expectType(op, "k", k, "f32", 2) as [string, number];
  expectSame(op, "k and v", k, v);
  expectDim(op, "the remainder of heads by kvHeads", heads % kvHeads, 0);
  expectDim(op, "the width of k", kvWidth * heads, width * kvHeads);
  const [rows, two] = expectType(op, "ranges", ranges, "i32", 2);
  expectDim(op, "ranges' rows", rows, tokens);
  expectDim(op, "ranges' columns", two, 2);
  return { tokens, keys };
}

export const attentionOp: OpDefinition<AttentionAttributes> = {
  name: "attention",
  infer(inputs, attributes) {
    const { tokens } = checkInputs("attention", inputs, attributes, inputs[4]);
    return [inputs[0], { dtype: "f32", shape: [tokens, attributes.heads] }];
  },
  gradient({ inputs: [q, k, v, ranges, ...bias], outputs: [o, lse], attributes }, [dy, dLse], needed) {
    if (dLse) throw new Error("attention: lse is not differentiable.");
    const inputs = [q, k, v, ranges, o, lse, dy!, ...bias];
    const of = (op: OpDefinition<AttentionAttributes>) =>
      apply(op, inputs, attributes as AttentionAttributes);
    return [
      ...needed.slice(0, 3).includes(true) ? of(attentionGradOp) : [undefined, undefined, undefined],
      undefined,
      needed[4] ? of(attentionBiasGradOp)[0] : undefined,
    ];
  },
  onnx(context, [q, k, v, ranges, bias], { inputs, outputs, attributes }) {
    const shape = { ...attributes as AttentionAttributes, width: inputs[0].shape[1] as number };
    const [keys, values] = [k, v].map((x) => keysFirst(context, x, shape));
    const relative = relativeOf(bias, inputs[4]);
    return attendOnnx(context, [q, keys, values, ranges], { ...shape, relative }, context.used(outputs[1]));
  },
  webgpu: attentionOnGpu,
  samples: attentionSamples(),
};

function checkGradInputs(op: string, inputs: readonly Type[], attributes: AttentionAttributes): void {
  checkInputs(op, inputs, attributes, inputs[7]);
  expectSame(op, "q and o", inputs[0], inputs[4]);
  expectSame(op, "q and do", inputs[0], inputs[6]);
}

export const attentionGradOp: OpDefinition<AttentionAttributes> = {
  name: "attentionGrad",
  infer(inputs, attributes) {
    checkGradInputs("attentionGrad", inputs, attributes);
    return [inputs[0], inputs[1], inputs[2]];
  },
  gradient: "none",
  // P = softmax(S); dV = P^T dO; dS as in scoreGradient; dQ = scale dS K; dK = scale dS^T Q
  onnx(context, inputs, node) {
    const { scale } = node.attributes as AttentionAttributes;
    const { loop, p, dO, dS } = scoreGradient(context, inputs, node);
    const { body, chunk } = loop, { node: add } = body.context;
    const dV = add("ms.FusedMatMul", [p, dO], { transA: 1 });
    const dQ = add("ms.FusedMatMul", [dS, chunk.k], { alpha: { float: scale } });
    const dK = add("ms.FusedMatMul", [dS, chunk.q], { transA: 1, alpha: { float: scale } });
    const [sumK, sumV, stackedQ] = loop.run([dK, dV], [dQ]);
    return [loop.join(stackedQ), loop.headsLast(sumK), loop.headsLast(sumV)];
  },
  onnxIgnores: [5],
  webgpu: attentionGradOnGpu,
  samples: gradSamples(),
};

/** The gradient of the bias, [2 * reach + 1, heads]: the scores' gradients summed by distance. Inputs as attentionGrad's. */
export const attentionBiasGradOp: OpDefinition<AttentionAttributes> = {
  name: "attentionBiasGrad",
  infer(inputs, attributes) {
    checkGradInputs("attentionBiasGrad", inputs, attributes);
    return [inputs[7]];
  },
  gradient: "none",
  onnx(context, inputs, node) {
    const { heads } = node.attributes as AttentionAttributes, rows = node.inputs[7].shape[0] as number;
    const { loop, dS } = scoreGradient(context, inputs, node);
    const { node: add, i64, f32 } = loop.body.context;
    const flat = add("Reshape", [dS, i64([heads, -1])]);
    const distances = add("Reshape", [loop.chunk.distanceRows(), i64([1, -1])]);
    const index = add("Expand", [distances, add("Shape", [flat])]);
    const zeros = add("Expand", [f32(0), i64([heads, rows])]);
    const [stacked] = loop.run([], [
      add("ScatterElements", [zeros, index, flat], { axis: 1, reduction: "add" }),
    ]);
    const sum = context.node("ReduceSum", [stacked, context.i64([0])], { keepdims: 0 });
    return [context.node("Transpose", [sum], { perm: { ints: [1, 0] } })];
  },
  onnxIgnores: [5],
  webgpu: attentionBiasGradOnGpu,
  samples: gradSamples().filter(({ inputs }) => inputs.length > 7),
};

/** A loop over chunks of queries, with P = softmax(S), dP = dO V^T and dS = P (dP - rowsum(dO O)). */
function scoreGradient(context: OnnxContext, inputs: readonly string[], node: NodeView) {
  const shape: OnnxShape = {
    ...node.attributes as AttentionAttributes,
    width: node.inputs[0].shape[1] as number,
    relative: relativeOf(inputs[7], node.inputs[7]),
  };
  const [keys, values] = [inputs[1], inputs[2]].map((x) => keysFirst(context, x, shape));
  const loop = chunkedQueries(context, [inputs[0], keys, values, inputs[3]], shape);
  const { body, chunk } = loop, { node: add, i64 } = body.context;
  const o = chunk.perQuery(inputs[4]), dO = chunk.perQuery(inputs[6]);
  const p = add("Softmax", [chunk.scores()], { axis: -1 });
  const dP = add("ms.FusedMatMul", [dO, chunk.v], { transB: 1 });
  const rowSum = add("ReduceSum", [add("Mul", [dO, o]), i64([-1])], { keepdims: 1 });
  return { loop, p, dO, dS: add("Mul", [p, add("Sub", [dP, rowSum])]) };
}

export function attention(
  q: Value,
  k: Value,
  v: Value,
  ranges: Value,
  { bias, ...attributes }: AttentionAttributes & { bias?: Value },
): Value {
  return apply(attentionOp, bias ? [q, k, v, ranges, bias] : [q, k, v, ranges], attributes)[0];
}

/** o and lse must be those of the inputs; the loop over the table compares these ops through attention's gradient. */
function gradSamples() {
  return attentionSamples().map(({ inputs: [q, k, v, ranges, ...bias], attributes }) => {
    const [tokens, width] = q.shape;
    const outputs = reference([q, k, v, ranges, ...bias] as never, attributes as AttentionAttributes);
    return { inputs: [q, k, v, ranges, ...outputs, normal(9, tokens, width), ...bias], attributes };
  });
}

function attentionSamples() {
  const sample = (
    heads: number,
    kvHeads: number,
    size: number,
    ranges: ReturnType<typeof integers>,
    keys: number,
    differentiate?: number[],
    biasRows?: number,
  ) => ({
    inputs: [
      normal(1, ranges.shape[0], heads * size),
      normal(2, keys, kvHeads * size),
      normal(3, keys, kvHeads * size),
      ranges,
      ...(biasRows ? [normal(4, biasRows, heads)] : []),
    ],
    attributes: { heads, kvHeads, scale: 1 / Math.sqrt(size) },
    differentiate,
  });
  const window = integers(
    Array.from({ length: 40 }, (_, i) => i % 2 ? (i >> 1) + 1 : Math.max(0, (i >> 1) - 6)),
    20,
    2,
  );
  const everything = integers(Array.from({ length: 18 }, (_, i) => i % 2 ? 11 : 0), 9, 2);
  const twoRows = integers(Array.from({ length: 20 }, (_, t) => t < 9 ? [0, 9] : [9, 20]).flat(), 20, 2);
  return [
    sample(4, 2, 16, causalRanges(3, 5), 8, [0, 1, 2]),
    sample(2, 2, 16, window, 20, [0, 1, 2]),
    sample(2, 1, 16, everything, 11, [0, 1, 2]),
    sample(4, 2, 64, causalRanges(130, 7, 64), 201),
    sample(3, 1, 32, causalRanges(1), 1),
    sample(2, 2, 16, twoRows, 20, [0, 1, 2, 4], 7),
    sample(2, 1, 16, causalRanges(140, 61), 201, undefined, 33),
  ];
}

/** Attention in plain JavaScript, for the samples of the gradient. */
function reference(
  inputs: { data: Float32Array | Int32Array; shape: number[] }[],
  { heads, kvHeads, scale }: AttentionAttributes,
) {
  const [q, k, v, ranges, bias] = inputs;
  const reach = bias ? (bias.shape[0] - 1) / 2 : 0;
  const biasOf = (distance: number, head: number) =>
    bias ? bias.data[(Math.max(-reach, Math.min(reach, distance)) + reach) * heads + head] : 0;
  const [tokens, width] = q.shape, size = width / heads, kvWidth = size * kvHeads;
  const o = new Float32Array(tokens * width), lse = new Float32Array(tokens * heads);
  for (let t = 0; t < tokens; t++) {
    for (let h = 0; h < heads; h++) {
      const shared = Math.floor(h * kvHeads / heads) * size;
      const scores: number[] = [];
      for (let j = ranges.data[2 * t]; j < ranges.data[2 * t + 1]; j++) {
        let dot = 0;
        for (let d = 0; d < size; d++) {
          dot += q.data[t * width + h * size + d] * k.data[j * kvWidth + shared + d];
        }
        scores.push(dot * scale + biasOf(j - t, h));
      }
      const max = Math.max(...scores), sum = scores.reduce((total, s) => total + Math.exp(s - max), 0);
      lse[t * heads + h] = max + Math.log(sum);
      scores.forEach((s, i) => {
        const j = ranges.data[2 * t] + i, p = Math.exp(s - max) / sum;
        for (let d = 0; d < size; d++) o[t * width + h * size + d] += p * v.data[j * kvWidth + shared + d];
      });
    }
  }
  return [
    { dtype: "f32" as const, shape: [tokens, width], data: o },
    { dtype: "f32" as const, shape: [tokens, heads], data: lse },
  ];
}
