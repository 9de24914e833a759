// cachedAttention for a prompt's part: cached and own keys are laid behind one another (cached_keys.wgsl), then attention.ts
// does the rest.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { attention } from "./attention.ts";
import type { AttentionShape } from "./attention_tiles.ts";
import cachedKeys from "./cached_keys.wgsl" with { type: "text" };
import { groupsOf } from "./dispatch.ts";
import untilSelf from "./until_self.wgsl" with { type: "text" };

export function attentionOfPart(context: GpuContext, shape: AttentionShape): void {
  const [q, k, v, cacheK, cacheV, ranges] = context.inputs;
  const [tokens, width] = k.shape, [, , positions, headSize] = cacheK.shape;
  const whole = [[cacheK, k], [cacheV, v]].map(([cache, own]) => {
    const all = context.temporary("f32", [positions + tokens, width]);
    const count = (positions + tokens) * width;
    context.dispatch(
      { name: "cachedKeys", code: cachedKeys },
      [cache, own, ranges, all],
      [3],
      [count, width, positions, headSize, tokens],
      groupsOf(256, count),
    );
    return all;
  });
  const seen = context.temporary("i32", [tokens, 2]);
  context.dispatch(
    { name: "untilSelf", code: untilSelf },
    [ranges, seen],
    [1],
    [tokens],
    groupsOf(64, tokens),
  );
  const lse = context.temporary("f32", [tokens, shape.heads]);
  attention({ ...context, inputs: [q, ...whole, seen], outputs: [context.outputs[0], lse] }, shape);
}
