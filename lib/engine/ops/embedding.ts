// embedding(ids, table) = table[ids] * scale, and the gradient of the table for full training.
import {
  embedding as embeddingOnGpu,
  embeddingGrad as embeddingGradOnGpu,
} from "../../../kernels/embedding.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectType } from "../shape.ts";
import { half, integers, normal } from "./sample.ts";

export const embeddingOp: OpDefinition<{ scale?: number }> = {
  name: "embedding",
  infer([ids, table]) {
    const [tokens] = expectType("embedding", "ids", ids, "i32", 1);
    return [{ dtype: "f32", shape: [tokens, expectType("embedding", "table", table, ["f32", "f16"], 2)[1]] }];
  },
  gradient({ inputs: [ids, table], attributes }, [dy]) {
    const [vocabulary] = table.shape as [number];
    const scale = (attributes.scale ?? 1) as number;
    return [undefined, apply(embeddingGradOp, [ids, dy!], { vocabulary, scale })[0]];
  },
  onnx(context, [ids, table], { attributes }) {
    const rows = context.node("Gather", [table, ids]);
    const { scale = 1 } = attributes as { scale?: number };
    return [scale === 1 ? rows : context.node("Mul", [rows, context.f32(scale)])];
  },
  webgpu: embeddingOnGpu,
  samples: [
    { inputs: [integers([3, 0, 3, 1, 6]), normal(1, 7, 5)], attributes: {}, differentiate: [1] },
    { inputs: [integers([3, 0, 3]), normal(1, 7, 5)], attributes: { scale: 2.5 }, differentiate: [1] },
    { inputs: [integers([3, 0, 3]), half(1, 7, 6)], attributes: {} },
  ],
};

export const embeddingGradOp: OpDefinition<{ vocabulary: number; scale: number }> = {
  name: "embeddingGrad",
  infer([ids, dy], { vocabulary }) {
    const [tokens] = expectType("embeddingGrad", "ids", ids, "i32", 1);
    const [rows, width] = expectType("embeddingGrad", "dy", dy, "f32", 2);
    expectDim("embeddingGrad", "the rows of dy", rows, tokens);
    return [{ dtype: "f32", shape: [vocabulary, width] }];
  },
  gradient: "none",
  onnx(context, [ids, dy], { outputs, attributes }) {
    const shape = outputs[0].shape as number[];
    const zeros = context.node("Expand", [context.f32(0), context.i64(shape)]);
    const index = context.node("Unsqueeze", [context.node("Cast", [ids], { to: "i64" }), context.i64([-1])]);
    const scaled = attributes.scale === 1
      ? dy
      : context.node("Mul", [dy, context.f32(attributes.scale as number)]);
    return [context.node("ScatterND", [zeros, index, scaled], { reduction: "add" })];
  },
  webgpu: embeddingGradOnGpu,
  samples: [{
    inputs: [integers([3, 0, 3, 1, 6]), normal(1, 5, 4)],
    attributes: { vocabulary: 9, scale: 1.5 },
  }],
};

export function embedding(ids: Value, table: Value, attributes: { scale?: number } = {}): Value {
  return apply(embeddingOp, [ids, table], attributes)[0];
}
