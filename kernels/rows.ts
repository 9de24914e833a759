// gatherRows and scatterRows; the layouts stand in the .wgsl files.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { groupsOf, zero } from "./dispatch.ts";
import gather from "./gather_rows.wgsl" with { type: "text" };
import scatter from "./scatter_rows.wgsl" with { type: "text" };

export function gatherRows(context: GpuContext): void {
  const [y] = context.outputs;
  const [rows, width] = y.shape;
  const parameters = [rows * width, width];
  context.dispatch(
    { name: "gatherRows", code: gather },
    [...context.inputs, y],
    [2],
    parameters,
    groupsOf(256, rows * width),
  );
}

export function scatterRows(context: GpuContext): void {
  const [x, index] = context.inputs;
  const [y] = context.outputs;
  const [rows, width] = x.shape;
  zero(context, y);
  const parameters = [rows * width, width, y.shape[0]];
  context.dispatch(
    { name: "scatterRows", code: scatter },
    [x, index, y],
    [2],
    parameters,
    groupsOf(256, rows * width),
  );
}
