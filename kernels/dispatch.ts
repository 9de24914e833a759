// What the lowerings share: workgroups over two dimensions, values cut to the largest binding, zeroed outputs.
import { bytesPerElement, elementCount } from "../lib/engine/dtype.ts";
import type { GpuContext, GpuValue } from "../lib/engine/webgpu/context.ts";
import fill from "./fill.wgsl" with { type: "text" };

/** WebGPU allows 65535 workgroups a dimension; kernels put x and y together again. */
export function spread(groups: number): [number, number] {
  const rows = Math.max(1, Math.ceil(groups / 65535));
  return [Math.ceil(groups / rows), rows];
}

export const groupsOf = (threads: number, elements: number): [number, number] =>
  spread(Math.ceil(elements / threads));

export interface Slice {
  readonly first: number;
  readonly rows: number;
}

/** Cuts a value of `width` elements a row into runs of rows that each fit one binding, aligned as bindings must be. */
export function slices(context: GpuContext, value: GpuValue, width = 1): Slice[] {
  const rowBytes = width * bytesPerElement[value.dtype];
  const alignment = 256; // the largest that any adapter asks for
  const unit = alignment / gcd(alignment, rowBytes);
  const most = Math.floor(context.limits.maxStorageBufferBindingSize / (rowBytes * unit)) * unit;
  if (most === 0) {
    throw new Error(`webgpu: ${rowBytes} bytes a row are more than this adapter binds at once.`);
  }
  const total = elementCount(value.shape) / width;
  return Array.from({ length: Math.ceil(total / most) }, (_, i) => {
    return { first: i * most, rows: Math.min(most, total - i * most) };
  });
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** The slice of a value, for a binding. */
export const cut = (value: GpuValue, { first, rows }: Slice, width = 1) => ({
  value,
  offset: first * width,
  length: rows * width,
});

/** Fills a value of 32-bit elements with zeros. */
export function zero(context: GpuContext, value: GpuValue): void {
  for (const slice of slices(context, value)) {
    const bindings = [cut(value, slice)];
    context.dispatch({ name: "fill", code: fill }, bindings, [0], [slice.rows], groupsOf(256, slice.rows));
  }
}
