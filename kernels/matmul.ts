// matmul and matmulNF4 on WebGPU: operands longer than one binding are bound in ranges of rows.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { cut, type Slice, slices } from "./dispatch.ts";
import { product } from "./product.ts";

/** y = alpha * op(a) op(b) (+ c) */
export function matmul(
  context: GpuContext,
  { alpha = 1, transA = false, transB = false }: { alpha?: number; transA?: boolean; transB?: boolean },
): void {
  const { inputs: [a, b, c], outputs: [y] } = context;
  const [rows, columns] = y.shape;
  const depth = transA ? a.shape[0] : a.shape[1];
  const form = { alpha, transA, transB };
  // Of A^T no rows can be cut out: it is bound whole.
  const ofY = transA
    ? [{ first: 0, rows }]
    : rowRanges(context.limits.maxStorageBufferBindingSize, rows, [columns, depth]);
  const ofB = slices(context, b, b.shape[1]);
  for (const part of ofY) {
    const operands = {
      ...form,
      rows: part.rows,
      a: transA ? a : cut(a, part, depth),
      c: c && cut(c, part, columns),
      y: cut(y, part, columns),
    };
    for (const [i, slice] of ofB.entries()) {
      const bound = { ...operands, b: cut(b, slice, b.shape[1]) };
      if (transB) {
        product(context, { ...bound, columns: slice.rows, depth, ldy: columns, yOffset: slice.first });
      } // Ranges of K add up in y; the addend comes with the first.
      else {
        product(context, {
          ...bound,
          c: i === 0 ? operands.c : undefined,
          columns,
          depth: slice.rows,
          lda: transA ? rows : depth,
          aOffset: transA ? slice.first * rows : slice.first,
          accumulate: i > 0,
        });
      }
    }
  }
}

/** y = x W^T, or x W, for W in NF4. */
export function matmulNF4(context: GpuContext, shape: { out: number; in: number; transB: boolean }): void {
  const { inputs: [x, codes, absmax], outputs: [y] } = context;
  const [columns, depth] = shape.transB ? [shape.out, shape.in] : [shape.in, shape.out];
  for (const part of rowRanges(context.limits.maxStorageBufferBindingSize, y.shape[0], [columns, depth])) {
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

/** Ranges of rows that fit one binding for each value of so many elements a row; 64 rows of f32 are always aligned. */
export function rowRanges(mostBytes: number, rows: number, widths: readonly number[]): Slice[] {
  const fitting = Math.floor(mostBytes / (4 * Math.max(...widths)));
  if (rows <= fitting) return [{ first: 0, rows }];
  const step = Math.max(64, fitting - fitting % 64);
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => {
    return { first: i * step, rows: Math.min(step, rows - i * step) };
  });
}
