// pickToken; the mathematics stands in pick_token.wgsl.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import code from "./pick_token.wgsl" with { type: "text" };

interface PickOptions {
  temperature: number;
  topK: number;
  topP: number;
  repetitionPenalty: number;
  noRepeatNgramSize: number;
}

export function pickToken(context: GpuContext, options: PickOptions): void {
  const [logits, history] = context.inputs;
  const [streams, vocabulary] = logits.shape;
  const keys = context.temporary("i32", [streams, vocabulary]);
  const { temperature, topP, repetitionPenalty } = options;
  const topK = options.topK < vocabulary ? options.topK : 0;
  const counts = [vocabulary, history.shape[1], topK, options.noRepeatNgramSize];
  context.dispatch(
    { name: "pickToken", code },
    [...context.inputs, keys, context.outputs[0]],
    [4, 5],
    [...counts, { f32: temperature }, { f32: topP }, { f32: repetitionPenalty }],
    [streams],
  );
}
