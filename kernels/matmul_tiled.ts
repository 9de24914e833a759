// The text of the tiled matrix product y[M,N] = alpha * op(A)[M,K] op(B)[K,N] (+ c) (+ y).
//
// Tile: a workgroup of side^2 invocations makes W x W results, W = 4 * side * halves: 32 x 32 (side 8, one half),
// 64 x 64 (8, two), 128 x 128 (16, two). An invocation makes 4 or 8 rows of 4 or 8 columns in named vec4 registers: rows
// 4*ty.. and, with two halves, W/2 + 4*ty.., columns alike. K goes in steps of 16: two tiles [16][W/4] of vec4 in
// workgroup memory, filled from registers that were loaded while the step before was computed. In memory an operand is
// contiguous either along K ("depth": 4 x 4 blocks are transposed in registers) or along its rows or columns ("width":
// copied). Vector r4 of tile row k stands at r4 ^ 2*(k/4 % 4), so that neither the transposing stores nor the loads
// meet in one memory bank.
// Layout: A [M, lda] or, transposed, [K, lda]; B [K, ldb] or [N, ldb]; y, c [M, ldy], with offsets in elements, all f32;
// B also f16, or NF4: codes[out*in/2] as u32 (8 codes a word) and absmax for 64 codes each, expanded when the registers
// are stored. group.z takes a slice of K (split-K); its results go to planes of y that splitSum adds up.
// Limits: 16 KB of workgroup memory for the largest tile (64 bytes more for NF4); operands whose contiguous size is not a
// multiple of 4 are read one by one (f32, f16) or refused (NF4). wgpu's GL backend clears workgroup memory with a text
// that names every vector: there a software adapter needs 30 s to compile the largest tile, 7 s for 64 x 64.
import type { Kernel } from "../lib/engine/webgpu/context.ts";
import { expandNF4, levelsNF4 } from "./nf4.ts";

export interface TiledForm {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly b: "f32" | "f16" | "nf4";
  /** Whether A, B and y can be read and written four elements at a time. */
  readonly vectors: { readonly a: boolean; readonly b: boolean; readonly y: boolean };
  readonly addend: boolean;
  readonly tile: Tile;
}

export interface Tile {
  readonly side: 8 | 16;
  readonly halves: 1 | 2;
}

/** Rows and columns of results. */
export const tileWidth = ({ side, halves }: Tile): number => 4 * side * halves;

/** The parameters of both products, in their order. */
export const productParameters = `
struct Params {
  rows: u32, columns: u32, depth: u32, lda: u32, ldb: u32, ldy: u32, aOffset: u32, yOffset: u32,
  splitDepth: u32, plane: u32, accumulate: u32, alpha: f32,
}`;

export function tiledKernel(form: TiledForm): Kernel {
  const { transA, transB, b, vectors, addend, tile } = form;
  const { side, halves } = tile, width = tileWidth(tile);
  const nf4 = b === "nf4";
  const bindings = [
    `var<storage, read> a: array<${vectors.a ? "vec4f" : "f32"}>`,
    nf4 ? "var<storage, read> b: array<u32>" : `var<storage, read> b: array<${vectors.b ? `vec4<${b}>` : b}>`,
    ...(nf4 ? ["var<storage, read> absmax: array<f32>"] : []),
    ...(addend ? [`var<storage, read> c: array<${vectors.y ? "vec4f" : "f32"}>`] : []),
    `var<storage, read_write> y: array<${vectors.y ? "vec4f" : "f32"}>`,
    "var<uniform> p: Params",
  ];
  const A: Operand = { name: "A", along: transA ? "width" : "depth", raw: "vec4f" };
  const B: Operand = { name: "B", along: transB ? "depth" : "width", raw: nf4 ? "vec2u" : `vec4<${b}>` };
  const flags = [transA ? "T" : "N", transB ? "T" : "N", b, addend ? "c" : "", `${width}`];
  return {
    name: `matmul ${flags.filter(Boolean).join(" ")}`,
    code: `${b === "f16" ? "enable f16;" : ""}${productParameters}
${bindings.map((binding, i) => `@group(0) @binding(${i}) ${binding};`).join("\n")}

var<workgroup> tileA: array<vec4f, ${4 * width}>;
var<workgroup> tileB: array<vec4f, ${4 * width}>;
${nf4 ? levelsNF4 : ""}

// How many elements there are from \`at\` on.
fn left(at: u32, end: u32) -> u32 { return select(0u, end - at, at < end); }

// Four elements from \`index\` on, of which the first \`valid\` exist.
${fetch("A", "a", "f32", vectors.a)}
${nf4 ? fetchNF4 : fetch("B", "b", b, vectors.b)}
fn expandA(raw: vec4f) -> vec4f { return raw; }
${nf4 ? expandNF4 : `fn expandB(raw: vec4<${b}>) -> vec4f { return vec4f(raw); }`}

fn write(row: u32, column: u32, plane: u32, sum: vec4f) {
  if (row >= p.rows || column >= p.columns) { return; }
  let i = p.yOffset + plane * p.plane + row * p.ldy + column;
  ${vectors.y ? writeVector(addend) : writeScalars(addend)}
}

@compute @workgroup_size(${side * side})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let tx = local % ${side}u;
  let ty = local / ${side}u;
  let rowBase = group.y * ${width}u;
  let columnBase = group.x * ${width}u;
  let start = group.z * p.splitDepth;
  let end = min(p.depth, start + p.splitDepth);
  ${nf4 ? "if (local < 16u) { fillLevel(local); }" : ""}
  let t = local % ${width}u;
  ${registers(A)}
  ${registers(B)}
  ${accumulators(halves)}
  ${load(A, B, tile, "start")}
  for (var k0 = start; k0 < end; k0 += 16u) {
    workgroupBarrier();
    ${keep(A, B, tile)}
    workgroupBarrier();
    ${load(A, B, tile, "k0 + 16u")}
    for (var k4 = 0u; k4 < 4u; k4++) {
      let atA = k4 * ${width}u + (ty ^ (2u * k4));
      let atB = k4 * ${width}u + (tx ^ (2u * k4));
      ${range(4).map((j) => step(j, tile)).join("")}
    }
  }
  ${writes(tile)}
}`,
  };
}

interface Operand {
  readonly name: "A" | "B";
  readonly along: "depth" | "width";
  /** The type of four elements as they come from memory. */
  readonly raw: string;
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

function fetch(name: string, array: string, dtype: string, vector: boolean): string {
  const body = vector
    ? `if (valid == 0u) { return vec4<${dtype}>(); }
  return ${array}[index / 4u];`
    : `var v = vec4<${dtype}>();
  ${range(4).map((i) => `if (valid > ${i}u) { v[${i}] = ${array}[index + ${i}u]; }`).join("\n  ")}
  return v;`;
  return `fn fetch${name}(index: u32, valid: u32) -> vec4<${dtype}> {
  ${body}
}`;
}

/** Four codes in the low 16 bits, and the bits of their absmax. */
const fetchNF4 = `fn fetchB(index: u32, valid: u32) -> vec2u {
  if (valid == 0u) { return vec2u(); }
  return vec2u(b[index / 8u] >> ((index & 4u) * 4u), bitcast<u32>(absmax[index / 64u]));
}`;

const writeVector = (addend: boolean) =>
  `var result = p.alpha * sum;
  ${addend ? "result += c[i / 4u];" : ""}
  if (p.accumulate != 0u) { result += y[i / 4u]; }
  y[i / 4u] = result;`;

const writeScalars = (addend: boolean) =>
  range(4).map((j) =>
    `if (column + ${j}u < p.columns) {
    var result = p.alpha * sum[${j}];
    ${addend ? `result += c[i + ${j}u];` : ""}
    if (p.accumulate != 0u) { result += y[i + ${j}u]; }
    y[i + ${j}u] = result;
  }`
  ).join("\n  ");

const registers = ({ name, raw }: Operand) => range(4).map((j) => `var raw${name}${j}: ${raw};`).join(" ");

/** The sums, four columns each: s<row>x<half>. */
const accumulators = (halves: number) =>
  range(4 * halves).map((i) => range(halves).map((half) => `var s${i}x${half} = vec4f();`).join(" ")).join(
    "\n  ",
  );

/** `width` invocations fill a tile: where there are twice as many, one half fills A and the other B. */
const divide = (tile: Tile, forA: string, forB: string) =>
  tile.side ** 2 === 2 * tileWidth(tile)
    ? `if (local < ${tileWidth(tile)}u) {\n${forA}\n} else {\n${forB}\n}`
    : `${forA}\n${forB}`;

const load = (A: Operand, B: Operand, tile: Tile, k0: string) =>
  divide(tile, loadOne(A, tile, k0), loadOne(B, tile, k0));

function loadOne({ name, along }: Operand, tile: Tile, k0: string): string {
  const base = name === "A" ? "rowBase" : "columnBase", size = name === "A" ? "p.rows" : "p.columns";
  const stride = name === "A" ? "p.lda" : "p.ldb", offset = name === "A" ? "p.aOffset + " : "";
  const vectors = tileWidth(tile) / 4;
  const lines = range(4).map((j) => {
    if (along === "depth") {
      return `{ let r = ${base} + 4u * (t / 4u) + ${j}u; let k = ${k0} + 4u * (t % 4u);
      raw${name}${j} = fetch${name}(${offset}r * ${stride} + k, select(0u, left(k, end), r < ${size})); }`;
    }
    return `{ let r = ${base} + 4u * (t % ${vectors}u); let k = ${k0} + ${4 * j}u + t / ${vectors}u;
      raw${name}${j} = fetch${name}(${offset}k * ${stride} + r, select(0u, left(r, ${size}), k < end)); }`;
  });
  return lines.join("\n    ");
}

const keep = (A: Operand, B: Operand, tile: Tile) => divide(tile, keepOne(A, tile), keepOne(B, tile));

function keepOne({ name, along }: Operand, tile: Tile): string {
  const vectors = tileWidth(tile) / 4;
  const expanded = range(4).map((j) => `let e${j} = expand${name}(raw${name}${j});`).join(" ");
  const stores = range(4).map((j) => {
    if (along === "depth") {
      const column = range(4).map((i) => `e${i}[${j}]`).join(", ");
      return `tile${name}[(4u * (t % 4u) + ${j}u) * ${vectors}u + ((t / 4u) ^ (2u * (t % 4u)))] = vec4f(${column});`;
    }
    const row = `(${4 * j}u + t / ${vectors}u) * ${vectors}u`;
    return `tile${name}[${row} + ((t % ${vectors}u) ^ ${2 * j}u)] = e${j};`;
  });
  return `{ ${expanded}\n    ${stores.join("\n    ")} }`;
}

/** One k: the rows of A times the columns of B. */
function step(j: number, { side, halves }: Tile): string {
  const vectors = range(halves).flatMap((half) =>
    ["A", "B"].map((name) =>
      `let v${name}${half} = tile${name}[at${name} + ${side * halves * j + side * half}u];`
    )
  );
  const sums = range(4 * halves).map((i) =>
    range(halves).map((half) => `s${i}x${half} += vA${i >> 2}[${i % 4}] * vB${half};`).join(" ")
  );
  return `{
        ${vectors.join(" ")}
        ${sums.join("\n        ")}
      }`;
}

function writes({ side, halves }: Tile): string {
  const at = (base: string, half: number, thread: string) => `${base} + ${4 * side * half}u + 4u * ${thread}`;
  return range(4 * halves).flatMap((i) =>
    range(halves).map((half) => {
      const row = `${at("rowBase", i >> 2, "ty")} + ${i % 4}u`;
      return `write(${row}, ${at("columnBase", half, "tx")}, group.z, s${i}x${half});`;
    })
  ).join("\n  ");
}
