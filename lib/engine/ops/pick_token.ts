// pickToken(logits, history, lengths, random): the next token of every stream, by Transformers' processors in their order:
// repetition penalty, banned n-grams, temperature, top-k, top-p; then by inverse CDF in vocabulary order at random[b].
import { pickToken as pickTokenOnGpu } from "../../../kernels/pick_token.ts";
import { apply, type OpDefinition, type Value } from "../graph.ts";
import type { OnnxContext } from "../onnx/context.ts";
import { expectDim, expectType } from "../shape.ts";
import { floats, integers, normal } from "./sample.ts";

/** temperature 0: greedy; topK 0, topP 1, repetitionPenalty 1, noRepeatNgramSize 0: off. */
export type PickAttributes = {
  temperature: number;
  topK: number;
  topP: number;
  repetitionPenalty: number;
  noRepeatNgramSize: number;
};

const lowest = -3.4e38;

export const pickTokenOp: OpDefinition<PickAttributes> = {
  name: "pickToken",
  infer([logits, history, lengths, random], { topK, topP, temperature, repetitionPenalty }) {
    const [streams] = expectType("pickToken", "logits", logits, "f32", 2);
    expectDim(
      "pickToken",
      "history's rows",
      expectType("pickToken", "history", history, "i32", 2)[0],
      streams,
    );
    expectDim(
      "pickToken",
      "lengths' length",
      expectType("pickToken", "lengths", lengths, "i32", 1)[0],
      streams,
    );
    expectDim(
      "pickToken",
      "random's length",
      expectType("pickToken", "random", random, "f32", 1)[0],
      streams,
    );
    if (!(topK >= 0 && topP > 0 && topP <= 1 && temperature >= 0 && repetitionPenalty > 0)) {
      throw new Error(
        "pickToken: needs topK >= 0, 0 < topP <= 1, temperature >= 0 and repetitionPenalty > 0.",
      );
    }
    return [{ dtype: "i32", shape: [streams] }];
  },
  gradient: "none",
  onnx(context, [logits, history, lengths, random], { inputs, attributes }) {
    const { temperature, topK, topP, repetitionPenalty, noRepeatNgramSize } = attributes as PickAttributes;
    const { node, f32, i64 } = context;
    const vocabulary = inputs[0].shape[1] as number;
    const past = pastTokens(context, history, lengths);
    let scores = logits;
    if (repetitionPenalty !== 1) {
      const seen = occurs(context, past.known(), vocabulary, logits);
      const penalty = f32(repetitionPenalty);
      const punished = node("Where", [
        node("Less", [scores, f32(0)]),
        node("Mul", [scores, penalty]),
        node("Div", [scores, penalty]),
      ]);
      scores = node("Where", [seen, punished, scores]);
    }
    if (noRepeatNgramSize > 0) {
      const banned = occurs(context, past.completing(noRepeatNgramSize), vocabulary, logits);
      scores = node("Where", [banned, f32(lowest), scores]);
    }
    const toInt = (x: string) => node("Cast", [x], { to: "i32" });
    if (temperature === 0) return [toInt(node("ArgMax", [scores], { axis: 1, keepdims: 0 }))];

    scores = node("Div", [scores, f32(temperature)]);
    if (topK > 0 && topK < vocabulary) {
      const [best] = context.nodes("TopK", [scores, i64([topK])], 2, { axis: 1 });
      const kth = node("Slice", [best, i64([topK - 1]), i64([topK]), i64([1])]);
      scores = node("Where", [node("Less", [scores, kth]), f32(lowest), scores]);
    }
    let p = node("Softmax", [scores], { axis: 1 });
    if (topP < 1) {
      const [falling] = context.nodes("TopK", [p, i64([vocabulary])], 2, { axis: 1 });
      const before = node("CumSum", [falling, i64(1)], { exclusive: 1 });
      const kept = node("Where", [node("Less", [before, f32(topP)]), falling, f32(2)]);
      const threshold = node("ReduceMin", [kept, i64([1])], { keepdims: 1 });
      p = node("Where", [node("Less", [p, threshold]), f32(0), p]);
    }
    const cumulative = node("CumSum", [p, i64(1)]);
    const mass = node("ReduceMax", [cumulative, i64([1])], { keepdims: 1 });
    const target = node("Mul", [node("Unsqueeze", [random, i64([1])]), mass]);
    const reached = node("Cast", [node("Greater", [cumulative, target])], { to: "i32" });
    return [toInt(node("ArgMax", [reached], { axis: 1, keepdims: 0 }))];
  },
  webgpu: pickTokenOnGpu,
  samples: pickSamples(),
};

/** Token ids of the history as [streams, n] i64, with -1 where a place holds nothing that matters. */
function pastTokens({ node, i64 }: OnnxContext, history: string, lengths: string) {
  const tokens = node("Cast", [history], { to: "i64" });
  const length = node("Unsqueeze", [node("Cast", [lengths], { to: "i64" }), i64([1])]);
  const width = node("Shape", [tokens], { start: 1, end: 2 });
  const places = (count: string) => node("Range", [i64(0), node("Squeeze", [count]), i64(1)]);
  const only = (condition: string, ids: string) => node("Where", [condition, ids, i64(-1)]);
  const slice = (from: number, to: string) => node("Slice", [tokens, i64([from]), to, i64([1])]);
  return {
    known: () => only(node("Less", [places(width), length]), tokens),
    /** Tokens that would complete an n-gram which has occurred. */
    completing(n: number) {
      const starts = node("Max", [node("Sub", [width, i64([n - 1])]), i64([0])]);
      const at = places(starts);
      let matches = node("Less", [at, node("Sub", [length, i64([n - 1])])]);
      for (let i = 0; i < n - 1; i++) {
        // Token i of the last n - 1; a history shorter than that matches nowhere, so any place will do.
        const place = node("Max", [node("Add", [length, i64([i - n + 1])]), i64([0])]);
        const last = node("GatherElements", [tokens, node("Min", [place, node("Sub", [width, i64([1])])])], {
          axis: 1,
        });
        matches = node("And", [matches, node("Equal", [slice(i, node("Add", [starts, i64([i])])), last])]);
      }
      return only(matches, slice(n - 1, node("Add", [starts, i64([n - 1])])));
    },
  };
}

/** [streams, vocabulary] of bool: whether a token occurs in ids [streams, n]; -1 falls into a column that is cut off. */
function occurs({ node, f32, i64 }: OnnxContext, ids: string, vocabulary: number, logits: string): string {
  const streams = node("Shape", [logits], { start: 0, end: 1 });
  const zeros = node("Expand", [f32(0), node("Concat", [streams, i64([vocabulary + 1])], { axis: 0 })]);
  const column = node("Where", [node("Less", [ids, i64(0)]), i64(vocabulary), ids]);
  const ones = node("Expand", [f32(1), node("Shape", [column])]);
  const marked = node("ScatterElements", [zeros, column, ones], { axis: 1 });
  return node("Greater", [node("Slice", [marked, i64([0]), i64([vocabulary]), i64([1])]), f32(0)]);
}

function pickSamples() {
  const off = { temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1, noRepeatNgramSize: 0 };
  const history = integers([1, 2, 263, 1, 2, 0, 0, 92, 92, 92, 92, 92, 92, 92, 255, 0, 0, 0, 0, 0, 0], 3, 7);
  const lengths = integers([5, 7, 1]);
  return [
    { ...off, temperature: 0 },
    { ...off, temperature: 0, repetitionPenalty: 1.5, noRepeatNgramSize: 3 },
    { ...off, temperature: 0, noRepeatNgramSize: 1 },
    off,
    { ...off, temperature: 0.7, topK: 5 },
    { ...off, temperature: 0.7, topP: 0.6 },
    { ...off, temperature: 0.5, topK: 40, topP: 0.9, repetitionPenalty: 1.3, noRepeatNgramSize: 2 },
  ].map((attributes) => ({
    inputs: [normal(7, 3, 300), history, lengths, floats([0.13, 0.52, 0.97])],
    attributes,
  }));
}

export function pickToken(
  inputs: { logits: Value; history: Value; lengths: Value; random: Value },
  attributes: PickAttributes,
): Value {
  return apply(pickTokenOp, [inputs.logits, inputs.history, inputs.lengths, inputs.random], attributes)[0];
}
