// addBias, and sumRows for the bias's gradient; the layouts stand in the .wgsl files.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { cut, groupsOf, slices } from "./dispatch.ts";
import addCode from "./add_bias.wgsl" with { type: "text" };
import sumCode from "./sum_rows.wgsl" with { type: "text" };

export function addBias(context: GpuContext): void {
  const { inputs: [x, bias], outputs: [y] } = context, width = x.shape[1];
  for (const slice of slices(context, y, width)) {
    const elements = slice.rows * width;
    context.dispatch(
      { name: "addBias", code: addCode },
      [cut(x, slice, width), bias, cut(y, slice, width)],
      [2],
      [elements, width],
      groupsOf(256, elements),
    );
  }
}

export function sumRows(context: GpuContext): void {
  const { inputs: [x], outputs: [y] } = context, [rows, width] = x.shape;
  context.dispatch({ name: "sumRows", code: sumCode }, [x, y], [1], [rows, width], [Math.ceil(width / 64)]);
}
