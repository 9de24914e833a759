// embedding(ids, table): y[t, c] = scale * table[ids[t], c], and the table's gradient.
//
// Layout: ids [T], table [V, D] in f32 or f16, y [T, D]. f16 is read as pairs in a u32, so no f16 arithmetic is needed.
// One thread an element. A table larger than a binding is bound in slices of rows; each slice serves the ids in it.
// The gradient: zeros, then for each different id the sum of dy's rows with that id. embedding_links.wgsl chains the
//   positions of one id, embedding_grad.wgsl walks the chain in order: no atomics, the same bits every time.
// Limits: T * T comparisons for the chains (T is a batch's tokens); an id outside the table leaves its row of y undefined.
import type { GpuContext } from "../lib/engine/webgpu/context.ts";
import { cut, groupsOf, slices, spread, zero } from "./dispatch.ts";
import gradCode from "./embedding_grad.wgsl" with { type: "text" };
import linksCode from "./embedding_links.wgsl" with { type: "text" };

const code = (dtype: "f32" | "f16") => /* wgsl */ `
struct Shape { count: u32, width: u32, first: u32, rows: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> ids: array<i32>;
@group(0) @binding(1) var<storage, read> table: array<${dtype === "f16" ? "u32" : "f32"}>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;

fn element(i: u32) -> f32 {
  ${
  dtype === "f16"
    ? "let pair = unpack2x16float(table[i / 2u]); return select(pair.x, pair.y, i % 2u == 1u);"
    : "return table[i];"
}
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + thread;
  if (i >= shape.count) { return; }
  let row = u32(ids[i / shape.width]) - shape.first;
  if (row < shape.rows) { y[i] = shape.scale * element(row * shape.width + i % shape.width); }
}`;

export function embedding(context: GpuContext, { scale = 1 }: { scale?: number }): void {
  const [ids, table] = context.inputs;
  const [y] = context.outputs;
  const [tokens, width] = y.shape;
  const kernel = { name: `embedding ${table.dtype}`, code: code(table.dtype as "f32" | "f16") };
  for (const slice of slices(context, table, width)) {
    context.dispatch(
      kernel,
      [ids, cut(table, slice, width), y],
      [2],
      [tokens * width, width, slice.first, slice.rows, { f32: scale }],
      groupsOf(256, tokens * width),
    );
  }
}

export function embeddingGrad(context: GpuContext, { scale }: { scale: number }): void {
  const [ids, dy] = context.inputs;
  const [table] = context.outputs;
  const [tokens, width] = dy.shape;
  const links = context.temporary("i32", [tokens, 2]);
  context.dispatch(
    { name: "embeddingLinks", code: linksCode },
    [ids, links],
    [1],
    [tokens],
    groupsOf(64, tokens),
  );
  zero(context, table);
  for (const slice of slices(context, table, width)) {
    context.dispatch(
      { name: "embeddingGrad", code: gradCode },
      [ids, links, dy, cut(table, slice, width)],
      [3],
      [tokens, width, slice.first, slice.rows, { f32: scale }],
      spread(tokens),
    );
  }
}
