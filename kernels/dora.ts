// What DoRA adds to LoRA: columns scaled, their gradient, and the lengths of the changed rows; the mathematics stands in the
// .wgsl files.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { cut, groupsOf, slices } from "./dispatch.ts";
import dotsCode from "./column_dots.wgsl" with { type: "text" };
import doraCode from "./dora_scale.wgsl" with { type: "text" };
import scaleCode from "./scale_columns.wgsl" with { type: "text" };

export function scaleColumns(context: GpuContext, { offset }: { offset: number }): void {
  const { inputs: [x, scale], outputs: [y] } = context, width = x.shape[1];
  for (const slice of slices(context, y, width)) {
    const elements = slice.rows * width;
    context.dispatch(
      { name: "scaleColumns", code: scaleCode },
      [cut(x, slice, width), scale, cut(y, slice, width)],
      [2],
      [elements, width, { f32: offset }],
      groupsOf(256, elements),
    );
  }
}

export function columnDots(context: GpuContext): void {
  const { inputs: [a, b], outputs: [y] } = context, [rows, width] = a.shape;
  const kernel = { name: "columnDots", code: dotsCode };
  context.dispatch(kernel, [a, b, y], [2], [rows, width], [Math.ceil(width / 64)]);
}

export function doraScale(context: GpuContext, { scale }: { scale: number }): void {
  const { inputs, outputs: [y] } = context, [out, r] = inputs[2].shape;
  const kernel = { name: "doraScale", code: doraCode };
  context.dispatch(kernel, [...inputs, y], [5], [out, r, { f32: scale }], [Math.ceil(out / 64)]);
}
