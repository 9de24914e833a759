// How ops look in a file, where that is not how the CPU engine runs them: standard operators in place of onnxruntime's own, and
// products with weights in half precision, eight or four bits.
import type { OnnxContext } from "../engine/onnx/context.ts";
import type { Lowerings } from "../engine/onnx/lower.ts";
import { embeddingOp } from "../engine/ops/embedding.ts";
import { matmulOp } from "../engine/ops/matmul.ts";
import { rmsNormOp } from "../engine/ops/rms_norm.ts";
import { ropeOp } from "../engine/ops/rope.ts";
import { BLOCK } from "../engine/onnx/blocks.ts";
import { BITS, type FileWeights } from "./weights.ts";

type Lowering = Lowerings extends ReadonlyMap<unknown, infer L> ? L : never;

/** x / sqrt(mean(x^2) + eps) * w in the steps that onnxruntime finds and fuses; the engine's own operator is in no standard. */
const rmsNormSteps: Lowering = ({ node, f32, i64 }, [x, weight], { inputs, attributes }) => {
  const [width] = inputs[0].shape.slice(1) as number[], [length] = inputs[1].shape as number[];
  const parts = width === length ? x : node("Reshape", [x, i64([-1, length])]);
  const square = node("ReduceMean", [node("Pow", [parts, f32(2)]), i64([-1])], { keepdims: 1 });
  const root = node("Sqrt", [node("Add", [square, f32(attributes.eps as number)])]);
  const { offset = 0 } = attributes as { offset?: number };
  const scale = offset === 0 ? weight : node("Add", [weight, f32(offset)]);
  const normed = node("Mul", [node("Div", [parts, root]), scale]);
  return [width === length ? normed : node("Reshape", [normed, i64([-1, width])])];
};

/**
 * The angles' tables hold a row for every token already: once for all layers. The operator wants a batch, of one, which is left
 * around the result: attention splits it into heads in any case.
 */
const rotated: Lowering = ({ node, i64 }, [x, , cos, sin], { attributes }) => {
  const settings = { num_heads: attributes.heads as number };
  return [node("ms.RotaryEmbedding", [node("Unsqueeze", [x, i64([0])]), i64([0]), cos, sin], settings)];
};

const half = ({ node }: OnnxContext, x: string) => node("Cast", [x], { to: "f16" });
const full = ({ node }: OnnxContext, x: string) => node("Cast", [x], { to: "f32" });

/**
 * Layers whose outputs leave half precision's range (above 65504): T5's wo, which Transformers keeps in full precision too, and
 * what Gemma adds to its residual stream.
 */
const wide = { t5: /\.wo\.weight$/, gemma: /\.(o|down)_proj\.weight$/ };

/** Products in half precision; everything between them stays in full precision. */
const halfProduct = (keep: RegExp | undefined): Lowering => (context, [x, weight]) => {
  if (keep?.test(weight)) return [context.node("Gemm", [x, full(context, weight)], { transB: 1 })];
  return [full(context, context.node("Gemm", [half(context, x), weight], { transB: 1 }))];
};

const halfRows: Lowering = (context, [ids, table], { attributes }) => {
  const rows = full(context, context.node("Gather", [table, ids]));
  const { scale = 1 } = attributes as { scale?: number };
  return [scale === 1 ? rows : context.node("Mul", [rows, context.f32(scale)])];
};

const blockProduct =
  ({ blocks, form }: FileWeights, bits: number): Lowering => (context, [x, weight], { inputs }) => {
    const [N, K] = inputs[1].shape as number[];
    const settings = { K, N, bits, block_size: BLOCK, accuracy_level: form.accuracyLevel };
    return [context.node("ms.MatMulNBits", [x, ...blocks(weight)], settings)];
  };

/** Every product is y = x W^T with a weight of the model: the file's forms of it count on that. */
const plainProduct = (lowering: Lowering): Lowering => (context, names, node) => {
  const { transA, transB, alpha = 1 } = node.attributes;
  if (transA || !transB || alpha !== 1 || names.length > 2) {
    throw new Error("This product has no form in a file.");
  }
  return lowering(context, names, node);
};

export function loweringsOf(weights: FileWeights): Lowerings {
  const { config: { modelType }, form: { type } } = weights, bits = BITS[type];
  const forms = new Map<Parameters<Lowerings["get"]>[0], Lowering>();
  forms.set(rmsNormOp, rmsNormSteps).set(ropeOp, rotated);
  if (type === "f16") {
    forms.set(matmulOp, plainProduct(halfProduct(wide[modelType as keyof typeof wide])));
    forms.set(embeddingOp, halfRows);
  } else if (bits) {
    forms.set(matmulOp, plainProduct(blockProduct(weights, bits)));
  }
  return forms;
}
