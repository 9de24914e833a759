// linearCrossEntropy(h, w, labels): the sum of -log softmax(h w^T)[label] over the rows of h, and its gradients at once,
// since the logits are at hand only then: [rows, vocabulary] never exists whole (as in Liger kernels, Hsu et al. 2024).
import { linearCrossEntropy as linearCrossEntropyOnGpu } from "../../../kernels/cross_entropy.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectType } from "../shape.ts";
import { half, integers, normal } from "./sample.ts";
import { scaleBy } from "./scale_by.ts";

/** Rows whose logits exist at the same time on the CPU. */
const chunkLength = 256;

export const linearCrossEntropyOp: OpDefinition<Record<string, never>> = {
  name: "linearCrossEntropy",
  infer([h, weight, labels]) {
    const [rows, width] = expectType("linearCrossEntropy", "h", h, "f32", 2);
    expectDim(
      "linearCrossEntropy",
      "the weight's width",
      expectType("linearCrossEntropy", "w", weight, ["f32", "f16"], 2)[1],
      width,
    );
    expectDim(
      "linearCrossEntropy",
      "labels' length",
      expectType("linearCrossEntropy", "labels", labels, "i32", 1)[0],
      rows,
    );
    return [{ dtype: "f32", shape: [1] }, { dtype: "f32", shape: h.shape }, {
      dtype: "f32",
      shape: weight.shape,
    }];
  },
  gradient({ outputs: [, dh, dw] }, [dLoss, ...others], needed) {
    if (others.some((value) => value)) {
      throw new Error("linearCrossEntropy: its gradients are not differentiable.");
    }
    return [
      needed[0] ? scaleBy(dh, dLoss!) : undefined,
      needed[1] ? scaleBy(dw, dLoss!) : undefined,
      undefined,
    ];
  },
  // p = softmax(logits): dh = p w - w[labels], dw = p^T h - (h added up by label)
  onnx(context, [h, weight, labels], { inputs, outputs }) {
    const { node: add, i64 } = context;
    const rows = add("Shape", [h], { start: 0, end: 1 });
    const count = add("Div", [add("Add", [rows, i64([chunkLength - 1])]), i64([chunkLength])]);
    const length = add("Div", [add("Sub", [add("Add", [rows, count]), i64([1])]), count]);
    const missing = add("Sub", [add("Mul", [length, count]), rows]);
    const paddedH = add("Pad", [h, add("Concat", [i64([0, 0]), missing, i64([0])], { axis: 0 })]);
    const labels64 = add("Cast", [labels], { to: "i64" });
    const paddedLabels = add("Pad", [labels64, add("Concat", [i64([0]), missing], { axis: 0 })]);

    const body = context.body();
    const { node, fresh } = body.context;
    const step = fresh("step"), go = fresh("go"), dwBefore = fresh("dw");
    const start = node("Mul", [node("Reshape", [step, i64([1])]), length]);
    const slice = (x: string) => node("Slice", [x, start, node("Add", [start, length]), i64([0])]);
    const chunk = slice(paddedH), label = slice(paddedLabels);
    const logP = node("LogSoftmax", [node("Gemm", [chunk, weight], { transB: 1 })], { axis: -1 });
    const loss = node("Neg", [
      node("GatherElements", [logP, node("Unsqueeze", [label, i64([-1])])], { axis: 1 }),
    ]);
    body.inputs.push({ name: step, dtype: "i64", shape: [] }, { name: go, dtype: "bool", shape: [] });
    body.outputs.push({ name: node("Identity", [go]), dtype: "bool", shape: [] });
    const [wantH, wantW] = [context.used(outputs[1]), context.used(outputs[2])];
    const p = wantH || wantW ? node("Exp", [logP]) : "";
    if (wantW) {
      body.inputs.push({ name: dwBefore, dtype: "f32" });
      body.outputs.push({ name: node("Gemm", [p, chunk, dwBefore], { transA: 1 }), dtype: "f32" });
    }
    body.outputs.push({ name: loss, dtype: "f32" });
    if (wantH) {
      const dh = node("Sub", [node("Gemm", [p, weight]), node("Gather", [weight, label])]);
      body.outputs.push({ name: dh, dtype: "f32" });
    }
    const zeros = wantW ? [add("Expand", [context.f32(0), i64(inputs[1].shape as number[])])] : [];
    const results = context.nodes(
      "Loop",
      [add("Squeeze", [count]), "", ...zeros],
      1 + Number(wantH) + Number(wantW),
      { body },
    );
    const dw = wantW ? results.shift()! : undefined;
    const join = (x: string) =>
      add("Slice", [
        add("Reshape", [x, add("Concat", [add("Mul", [count, length]), i64([-1])], { axis: 0 })]),
        i64([0]),
        rows,
        i64([0]),
      ]);
    const sum = add("Reshape", [add("ReduceSum", [join(results[0])], { keepdims: 0 }), i64([1])]);
    const byLabel = () => {
      const at = add("Unsqueeze", [labels64, i64([-1])]);
      return add("ScatterND", [dw!, at, add("Neg", [h])], { reduction: "add" });
    };
    // The filling rows are zeros, so that p^T h takes nothing from them.
    return [sum, wantH ? join(results[1]) : undefined, wantW ? byLabel() : undefined];
  },
  webgpu: linearCrossEntropyOnGpu,
  samples: [
    { inputs: [normal(1, 5, 8), half(2, 11, 8), integers([3, 0, 10, 3, 7])], attributes: {} },
    {
      inputs: [normal(1, 5, 8), normal(2, 11, 8), integers([3, 0, 10, 3, 7])],
      attributes: {},
      differentiate: [0, 1],
    },
    {
      inputs: [
        normal(1, 300, 16),
        normal(2, 70, 16),
        integers(Array.from({ length: 300 }, (_, i) => i % 70)),
      ],
      attributes: {},
    },
  ],
};

/** h f32[M, D], w [V, D], labels i32[M] -> the summed loss, f32[1]. Gradients of h and w come with it. */
export function linearCrossEntropy(h: Value, weight: Value, labels: Value): Value {
  return apply(linearCrossEntropyOp, [h, weight, labels], {})[0];
}
