// Which matrix product for which sizes, and its dispatches: the one for few rows, a small or a large tile, split-K.
import type { GpuBinding, GpuContext, GpuValue } from "../lib/engine/webgpu/context.ts";
import { groupsOf, spread } from "./dispatch.ts";
import { smallColumns, smallKernel } from "./matmul_small.ts";
import { type Tile, tiledKernel, tileWidth } from "./matmul_tiled.ts";
import splitSum from "./split_sum.wgsl" with { type: "text" };

/** y[rows, columns] = alpha * op(a) op(b) (+ c) (+ y when accumulating). */
export interface Product {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly a: GpuBinding;
  /** Dense, or the codes of an NF4 weight whose block scales are `absmax`. */
  readonly b: GpuBinding;
  readonly absmax?: GpuValue;
  readonly c?: GpuBinding;
  readonly y: GpuBinding;
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly alpha?: number;
  readonly accumulate?: boolean;
  /** Elements from one row to the next as stored, where that is not the operand's own width. */
  readonly lda?: number;
  readonly ldy?: number;
  /** Where the operand starts in its binding. */
  readonly aOffset?: number;
  readonly yOffset?: number;
}

const tiles = {
  small: { side: 8, halves: 1 },
  medium: { side: 8, halves: 2 },
  large: { side: 16, halves: 2 },
} as const satisfies Record<string, Tile>;

export function product(context: GpuContext, given: Product): void {
  const { rows, columns, depth, transA = false, transB = false } = given;
  const p = {
    ...given,
    transA,
    transB,
    dtype: given.absmax ? "nf4" as const : valueOf(given.b).dtype as "f32" | "f16",
    lda: given.lda ?? (transA ? rows : depth),
    ldb: transB ? depth : columns,
    ldy: given.ldy ?? columns,
    aOffset: given.aOffset ?? 0,
    yOffset: given.yOffset ?? 0,
  };
  if (p.dtype === "nf4" && p.ldb % 4 !== 0) {
    throw new Error(`matmulNF4: on WebGPU the weight's second size must be a multiple of 4, not ${p.ldb}.`);
  }
  const unit = p.dtype === "nf4" ? 8 : 4;
  const alignedA = p.lda % 4 === 0 && p.aOffset % 4 === 0;
  if (rows <= 8 && !transA && transB && depth % unit === 0 && alignedA) small(context, p);
  else tiled(context, p, alignedA);
}

type Chosen = Product & {
  transA: boolean;
  transB: boolean;
  dtype: "f32" | "f16" | "nf4";
  lda: number;
  ldb: number;
  ldy: number;
  aOffset: number;
  yOffset: number;
};

const valueOf = (binding: GpuBinding): GpuValue => "value" in binding ? binding.value : binding;

function small(context: GpuContext, p: Chosen): void {
  const rows = ([1, 2, 4, 8] as const).find((most) => p.rows <= most)!;
  const kernel = smallKernel({ rows, b: p.dtype, addend: p.c !== undefined });
  const bindings = operands(p, p.y);
  const workgroups = spread(Math.ceil(p.columns / smallColumns));
  context.dispatch(kernel, bindings, [bindings.length - 1], parameters(p, p.depth, 0), workgroups);
}

function tiled(context: GpuContext, p: Chosen, alignedA: boolean): void {
  const tile = tileFor(context, p);
  const width = tileWidth(tile);
  const contiguous = p.ldy === p.columns && p.yOffset === 0;
  const splits = contiguous ? splitsFor(count(p, width), p.depth) : 1;
  const splitDepth = Math.ceil(p.depth / splits / 16) * 16;
  const plane = p.rows * p.columns;
  const y = splits > 1 ? context.temporary("f32", [splits, p.rows, p.columns]) : p.y;
  const now = splits > 1 ? { ...p, c: undefined, alpha: 1, accumulate: false } : p;
  const kernel = tiledKernel({
    transA: p.transA,
    transB: p.transB,
    b: p.dtype,
    vectors: { a: alignedA, b: p.ldb % 4 === 0, y: p.ldy % 4 === 0 && p.yOffset % 4 === 0 },
    addend: now.c !== undefined,
    tile,
  });
  const bindings = operands(now, y);
  const workgroups = [Math.ceil(p.columns / width), Math.ceil(p.rows / width), splits] as const;
  context.dispatch(kernel, bindings, [bindings.length - 1], parameters(now, splitDepth, plane), workgroups);
  if (splits > 1) addSplits(context, p, y, splits, plane);
}

const count = ({ rows, columns }: Product, width: number) =>
  Math.ceil(rows / width) * Math.ceil(columns / width);

/** The larger, the less is read; but there must be enough of them to keep a GPU busy, and LoRA's products are narrow. */
function tileFor(context: GpuContext, p: Chosen): Tile {
  // The large tile of NF4 needs a little more than the 16 KB that every adapter has.
  const roomy = p.dtype !== "nf4" || context.limits.maxComputeWorkgroupStorageSize >= 16448;
  if (count(p, tileWidth(tiles.large)) >= 256 && roomy) return tiles.large;
  const narrow = Math.min(p.rows, p.columns) <= 32;
  return narrow || count(p, tileWidth(tiles.medium)) < 64 ? tiles.small : tiles.medium;
}

/** Slices of K, at least 128 long and at most 32 of them, where there would be fewer than 48 workgroups. */
function splitsFor(workgroups: number, depth: number): number {
  if (workgroups >= 48) return 1;
  const wanted = Math.min(32, Math.ceil(128 / workgroups), Math.floor(depth / 128));
  if (wanted <= 1) return 1;
  // As many as slices of whole steps of 16 really need: no slice is empty.
  return Math.ceil(depth / (Math.ceil(depth / wanted / 16) * 16));
}

function addSplits(context: GpuContext, p: Chosen, partial: GpuBinding, splits: number, plane: number): void {
  const c = p.c ?? valueOf(partial);
  const mode = Number(p.c !== undefined) + 2 * Number(p.accumulate ?? false);
  const kernel = { name: "splitSum", code: splitSum };
  const bindings = p.c ? [partial, c, p.y] : [partial, partial, p.y];
  context.dispatch(kernel, bindings, [2], [plane, splits, mode, { f32: p.alpha ?? 1 }], groupsOf(256, plane));
}

const operands = ({ a, b, absmax, c }: Chosen, y: GpuBinding): GpuBinding[] =>
  [a, b, absmax, c, y].filter((binding): binding is GpuBinding => binding !== undefined);

const parameters = (p: Chosen, splitDepth: number, plane: number) => [
  p.rows,
  p.columns,
  p.depth,
  p.lda,
  p.ldb,
  p.ldy,
  p.aOffset,
  p.yOffset,
  splitDepth,
  plane,
  Number(p.accumulate ?? false),
  { f32: p.alpha ?? 1 },
];
