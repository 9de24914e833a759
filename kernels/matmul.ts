// matmul and matmulNF4 on WebGPU: operands longer than one binding are bound in ranges of rows.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { cut, type Slice } from "./dispatch.ts";
import { product } from "./product.ts";

/** y = alpha * op(a) op(b) (+ c) */
export function matmul(
  context: GpuContext,
  { alpha = 1, transA = false, transB = false }: { alpha?: number; transA?: boolean; transB?: boolean },
): void {
  const { inputs: [a, b, c], outputs: [y] } = context;
  const [rows, columns] = y.shape;
  const depth = transA ? a.shape[0] : a.shape[1], widthB = b.shape[1];
  const most = context.limits.maxStorageBufferBindingSize;
  // The rows of b as stored run along K unless it is transposed; so do those of a where that one is.
  const together = transA && !transB;
  const slices = rowRanges(most, b.shape[0], together ? [widthB, rows] : [widthB], 128);
  for (const part of rowRanges(most, rows, transA ? [columns] : [columns, depth], 64)) {
    for (const slice of slices) {
      const alongK = { columns, depth: slice.rows, accumulate: slice.first > 0 };
      const alongN = { columns: slice.rows, depth, ldy: columns, yOffset: slice.first };
      product(context, {
        ...(transB ? alongN : alongK),
        rows: part.rows,
        a: together ? cut(a, slice, rows) : transA ? a : cut(a, part, depth),
        lda: transA ? rows : depth,
        aOffset: transA ? part.first : transB ? 0 : slice.first,
        b: cut(b, slice, widthB),
        // The addend comes with the first range of K.
        c: c && (transB || slice.first === 0) ? cut(c, part, columns) : undefined,
        y: cut(y, part, columns),
        alpha,
        transA,
        transB,
      });
    }
  }
}

/** y = x W^T, or x W, for W in NF4. */
export function matmulNF4(context: GpuContext, shape: { out: number; in: number; transB: boolean }): void {
  const { inputs: [x, codes, absmax], outputs: [y] } = context;
  const [columns, depth] = shape.transB ? [shape.out, shape.in] : [shape.in, shape.out];
  for (
    const part of rowRanges(context.limits.maxStorageBufferBindingSize, y.shape[0], [columns, depth], 64)
  ) {
    product(context, {
      rows: part.rows,
      columns,
      depth,
      a: cut(x, part, depth),
      b: codes,
      absmax,
      y: cut(y, part, columns),
      transB: shape.transB,
    });
  }
}

/**
 * Ranges of rows that fit one binding for each f32 value of so many elements a row. They start at multiples of `unit`
 * rows, so that bindings are aligned: 64 for f32, 128 where a value may be f16.
 */
export function rowRanges(
  mostBytes: number,
  rows: number,
  widths: readonly number[],
  unit: 64 | 128,
): Slice[] {
  const fitting = Math.floor(mostBytes / (4 * Math.max(...widths)));
  if (rows <= fitting) return [{ first: 0, rows }];
  const step = Math.max(unit, fitting - fitting % unit);
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => {
    return { first: i * step, rows: Math.min(step, rows - i * step) };
  });
}
