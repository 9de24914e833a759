// linearCrossEntropy on WebGPU: loss = sum over rows of (log sum_v exp z_v - z_label) with z = h W^T, and at once
// dh = dz W and dW = dz^T h. Logits exist for one chunk of rows only, in at most 64 MB of scratch, where dz takes their
// place; three matrix products and one pass over the logits a chunk (as in Liger kernels, Hsu et al. 2024).
// Layout: h [M, D] f32, w [V, D] f32 or f16, labels [M] i32, dh and dw f32.
// Limits: the table and its gradient are bound in ranges of its rows where one binding cannot hold them.
import type { GpuContext, GpuValue } from "../lib/engine/webgpu/context.ts";
import rowsCode from "./cross_entropy_rows.wgsl" with { type: "text" };
import sumCode from "./cross_entropy_sum.wgsl" with { type: "text" };
import { cut, type Slice, spread } from "./dispatch.ts";
import { rowRanges } from "./matmul.ts";
import { product } from "./product.ts";

const scratchBytes = 2 ** 26;

export function linearCrossEntropy(context: GpuContext): void {
  const { inputs: [h, table], outputs: [loss] } = context;
  const [rows, width] = h.shape, vocabulary = table.shape[0];
  const most = context.limits.maxStorageBufferBindingSize;
  const chunks = rowRanges(Math.min(scratchBytes, most), rows, [vocabulary, width], 64);
  const parts = rowRanges(most, vocabulary, [width], 128);
  const logits = context.temporary("f32", [chunks[0].rows, vocabulary]);
  const losses = context.temporary("f32", [rows]);
  for (const chunk of chunks) {
    for (const part of parts) forward(context, logits, chunk, part);
    rowLosses(context, logits, losses, chunk);
    for (const part of parts) {
      if (context.used(1)) gradientOfH(context, logits, chunk, part);
      if (context.used(2)) gradientOfTable(context, logits, chunk, part);
    }
  }
  context.dispatch({ name: "crossEntropySum", code: sumCode }, [losses, loss], [1], [rows], [1]);
}

/** logits[chunk, part] = h[chunk] w[part]^T */
function forward(context: GpuContext, logits: GpuValue, chunk: Slice, part: Slice): void {
  const { inputs: [h, table] } = context;
  const [vocabulary, width] = table.shape;
  product(context, {
    rows: chunk.rows,
    columns: part.rows,
    depth: width,
    a: cut(h, chunk, width),
    b: cut(table, part, width),
    transB: true,
    y: logits,
    ldy: vocabulary,
    yOffset: part.first,
  });
}

function rowLosses(context: GpuContext, logits: GpuValue, losses: GpuValue, chunk: Slice): void {
  const gradient = Number(context.used(1) || context.used(2));
  context.dispatch(
    { name: "crossEntropyRows", code: rowsCode },
    [logits, cut(context.inputs[2], chunk), cut(losses, chunk)],
    [0, 2],
    [chunk.rows, logits.shape[1], gradient],
    spread(chunk.rows),
  );
}

/** dh[chunk] += dlogits[chunk, part] w[part] */
function gradientOfH(context: GpuContext, dlogits: GpuValue, chunk: Slice, part: Slice): void {
  const [vocabulary, width] = context.inputs[1].shape;
  product(context, {
    rows: chunk.rows,
    columns: width,
    depth: part.rows,
    a: dlogits,
    lda: vocabulary,
    aOffset: part.first,
    b: cut(context.inputs[1], part, width),
    y: cut(context.outputs[1], chunk, width),
    accumulate: part.first > 0,
  });
}

/** dw[part] += dlogits[chunk, part]^T h[chunk] */
function gradientOfTable(context: GpuContext, dlogits: GpuValue, chunk: Slice, part: Slice): void {
  const [vocabulary, width] = context.inputs[1].shape;
  product(context, {
    rows: part.rows,
    columns: width,
    depth: chunk.rows,
    a: dlogits,
    transA: true,
    lda: vocabulary,
    aOffset: part.first,
    b: cut(context.inputs[0], chunk, width),
    y: cut(context.outputs[2], part, width),
    accumulate: chunk.first > 0,
  });
}
