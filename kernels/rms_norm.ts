// rmsNorm and its gradients; the mathematics stands in the .wgsl files. Rows are as long as the weight: parts of longer ones.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { spread } from "./dispatch.ts";
import normCode from "./rms_norm.wgsl" with { type: "text" };
import gradCode from "./rms_norm_grad.wgsl" with { type: "text" };
import weightCode from "./rms_norm_weight_grad.wgsl" with { type: "text" };
import sumCode from "./sum_rows.wgsl" with { type: "text" };

interface NormShape {
  eps: number;
  offset?: number;
}

export function rmsNorm(context: GpuContext, { eps, offset = 0 }: NormShape): void {
  const [x, weight] = context.inputs;
  const [width] = weight.shape, tokens = x.shape[0] * x.shape[1] / width;
  context.dispatch(
    { name: "rmsNorm", code: normCode },
    [x, weight, context.outputs[0]],
    [2],
    [tokens, width, { f32: eps }, { f32: offset }],
    spread(tokens),
  );
}

export function rmsNormGrad(context: GpuContext, { eps, offset = 0 }: NormShape): void {
  const [x, weight, dy] = context.inputs;
  const [width] = weight.shape, tokens = x.shape[0] * x.shape[1] / width;
  const inverses = context.temporary("f32", [tokens]);
  context.dispatch(
    { name: "rmsNormGrad", code: gradCode },
    [x, weight, dy, context.outputs[0], inverses],
    [3, 4],
    [tokens, width, { f32: eps }, { f32: offset }],
    spread(tokens),
  );
  if (!context.used(1)) return;
  const slab = Math.max(16, Math.ceil(tokens / 64));
  const slabs = Math.ceil(tokens / slab), columns = Math.ceil(width / 64);
  const partial = context.temporary("f32", [slabs, width]);
  context.dispatch(
    { name: "rmsNormWeightGrad", code: weightCode },
    [x, dy, inverses, partial],
    [3],
    [tokens, width, slab],
    [columns, slabs],
  );
  context.dispatch(
    { name: "sumRows", code: sumCode },
    [partial, context.outputs[1]],
    [1],
    [slabs, width],
    [columns],
  );
}
