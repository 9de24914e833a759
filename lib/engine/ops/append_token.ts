// appendToken(history, ids, lengths): history[b, lengths[b]] = ids[b], so that tokens picked on the GPU count for the
// repetition rules of the next pick without a readback. In place on WebGPU.
import appendTokenCode from "../../../kernels/append_token.wgsl" with { type: "text" };
import { apply, type OpDefinition, type Value } from "../graph.ts";
import { expectDim, expectType } from "../shape.ts";
import { integers } from "./sample.ts";

export const appendTokenOp: OpDefinition<Record<string, never>> = {
  name: "appendToken",
  infer([history, ids, lengths]) {
    const [streams] = expectType("appendToken", "history", history, "i32", 2);
    expectDim("appendToken", "ids' length", expectType("appendToken", "ids", ids, "i32", 1)[0], streams);
    expectDim(
      "appendToken",
      "lengths' length",
      expectType("appendToken", "lengths", lengths, "i32", 1)[0],
      streams,
    );
    return [history];
  },
  gradient: "none",
  onnx({ node, i64 }, [history, ids, lengths]) {
    const column = (x: string) => node("Unsqueeze", [x, i64([1])]);
    return [node("ScatterElements", [history, column(lengths), column(ids)], { axis: 1 })];
  },
  webgpu(context) {
    const [, ids, lengths] = context.inputs, [history] = context.outputs;
    const [streams, length] = history.shape;
    const kernel = { name: "appendToken", code: appendTokenCode };
    context.dispatch(kernel, [ids, lengths, history], [2], [streams, length], [Math.ceil(streams / 64)]);
  },
  inPlace: { 0: 0 },
  samples: [{
    inputs: [integers([1, 2, 3, 4, 5, 6], 2, 3), integers([8, 9]), integers([2, 0])],
    attributes: {},
  }],
};

export const appendToken = (history: Value, ids: Value, lengths: Value): Value =>
  apply(appendTokenOp, [history, ids, lengths], {})[0];
