// WGSL text shared by the three attention kernels: 64 threads hold a tile of 32 x 32 scores in registers.
//
// Threads form an 8 x 8 square (ty, tx). Of a tile, thread (ty, tx) holds rows ty, ty+8, ty+16, ty+24 and columns 4*tx..4*tx+3,
// as four vec4f. Factors are staged in workgroup memory 32 rows x 32 channels at a time: `left` in row order, `right` with
// row r in slot (r%4)*8 + r/4, so that neighbouring threads read neighbouring slots; a slot has 9 vec4f (one unused), which
// keeps the banks apart. Channels beyond the head's size are staged as zeros. Once the scores are in registers, `left` is
// free and holds the tile of probabilities.
// Workgroup memory: left, right 4608 bytes each, rows 1024 bytes (naga's GLSL zeroes it element by element, and the GL
// software driver takes 10 ms an element to compile that: no array more than needed).
// Limits: the head's size is a multiple of 4, at most 256; of all sizes only its number of chunks is in the text.

export interface AttentionShape {
  heads: number;
  kvHeads: number;
  scale: number;
}

export const BLOCK = 32;

const four = [0, 1, 2, 3];
const part = ["x", "y", "z", "w"];
export const lines = (make: (i: number) => string, count = 4): string =>
  Array.from({ length: count }, (_, i) => make(i)).join("\n");

export function checkHeadSize(headSize: number): void {
  if (headSize % 4 !== 0 || headSize < 4 || headSize > 256) {
    throw new Error(
      `attention: heads of ${headSize} channels; on WebGPU it must be a multiple of 4, at most 256.`,
    );
  }
}

/** Chunks of 32 channels in a head. */
export function chunksOf(headSize: number): number {
  checkHeadSize(headSize);
  return Math.ceil(headSize / BLOCK);
}

export const memory = /* wgsl */ `
const LOW = -1e30;
var<workgroup> left: array<vec4f, 288>;
var<workgroup> right: array<vec4f, 288>;
var<workgroup> rows: array<vec4f, 64>;
`;

/**
 * A function that stages rows first..first+31 (zeros from `end` on), channels 32*chunk..32*chunk+31 of one head of `source`,
 * an array<vec4f> of [rows, heads, vectors].
 */
export function stage(target: "left" | "right", source: string): string {
  const row = target === "left" ? "slot" : "(slot % 8u) * 4u + slot / 8u";
  return /* wgsl */ `
fn ${target}_${source}(thread: u32, first: u32, end: u32, head: u32, heads: u32, chunk: u32) {
  let channel = chunk * 8u + thread % 8u;
${
    lines((i) => `
  {
    let slot = thread / 8u + ${8 * i}u;
    let row = first + ${row};
    var value = vec4f();
    if (row < end && channel < shape.vectors) { value = ${source}[(row * heads + head) * shape.vectors + channel]; }
    ${target}[slot * 9u + thread % 8u] = value;
  }`)
  }
}`;
}

export const zeroScores = (name: string): string => lines((i) => `var ${name}${i} = vec4f();`);

/** name += left . right over the staged channels; shape.steps = min(8, vectors) of them are not zero. */
export const product = (name: string): string => /* wgsl */ `
for (var c = 0u; c < shape.steps; c++) {
  ${lines((i) => `let a${i} = left[(ty + ${8 * i}u) * 9u + c];`)}
  ${lines((i) => `let b${i} = right[(tx + ${8 * i}u) * 9u + c];`)}
  ${lines((i) => `${name}${i} += vec4f(${four.map((j) => `dot(a${i}, b${j})`).join(", ")});`)}
}`;

/** Puts the tile where `left` was, which nobody may read any more. */
export const store = (name: string): string =>
  lines((i) => `left[(ty + ${8 * i}u) * 9u + tx] = ${name}${i};`);

export const accumulators = (name: string, chunks: number): string =>
  lines((n) => lines((i) => `var ${name}${n}_${i} = vec4f();`), chunks);

/**
 * sum += tile . right, for the 32 staged channels of `right`, of which this thread holds channels 4*tx..4*tx+3. The tile has
 * `quads` times 4 columns that are not zero.
 */
export const accumulate = (sum: string): string => /* wgsl */ `
for (var s = 0u; s < quads; s++) {
  ${lines((i) => `let p${i} = left[(ty + ${8 * i}u) * 9u + s];`)}
  ${lines((j) => `let v${j} = right[(s + ${8 * j}u) * 9u + tx];`)}
  ${lines((i) => `${sum}_${i} += ${four.map((j) => `p${i}.${part[j]} * v${j}`).join(" + ")};`)}
}`;

/** Writes the accumulators to rows first+ty.. of `target`, an array<vec4f> of [rows, heads, vectors]. */
export function write(
  target: string,
  sum: string,
  chunks: number,
  names: { first: string; end: string; head: string; heads: string; chunk?: string; factor?: string },
): string {
  const { first, end, head, heads, chunk = "0u", factor } = names;
  return lines((i) => `
if (${first} + ty + ${8 * i}u < ${end}) {
  let row = ((${first} + ty + ${8 * i}u) * ${heads} + ${head}) * shape.vectors;
  ${
    lines(
      (n) =>
        `{
    let channel = (${chunk} + ${n}u) * 8u + tx;
    if (channel < shape.vectors) { ${target}[row + channel] = ${sum}${n}_${i}${
          factor ? ` * ${factor}.${part[i]}` : ""
        }; }
  }`,
      chunks,
    )
  }
}`);
}

/** A kernel's frame: bindings in order, then the parameters. */
export function frame(bindings: [name: string, type: string, access?: "read_write"][]): string {
  const stored = bindings.map(([name, type, access = "read"], i) =>
    `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${type}>;`
  );
  return `struct Shape {
  tokens: u32, keys: u32, heads: u32, kvHeads: u32, vectors: u32, steps: u32, scale: f32, reach: u32
}
${stored.join("\n")}
@group(0) @binding(${bindings.length}) var<uniform> shape: Shape;
${memory}`;
}

/** The values of the frame's parameters; `reach` is that of the bias. */
export const parameters = (
  tokens: number,
  keys: number,
  headSize: number,
  { heads, kvHeads, scale, reach }: AttentionShape & { reach: number },
) => [tokens, keys, heads, kvHeads, headSize / 4, Math.min(BLOCK, headSize) / 4, { f32: scale }, reach];

/** How far a bias [2 * reach + 1, heads] tells distances apart; 0 without one. */
export const reachOf = (bias?: { readonly shape: readonly number[] }): number =>
  bias ? (bias.shape[0] - 1) / 2 : 0;

/** A function that reads the bias for four distances; `read` gives the text of an entry. */
export const relative = (read: (index: string) => string): string => /* wgsl */ `
fn relative(distance: vec4i, head: u32) -> vec4f {
  let reach = i32(shape.reach);
  let at = vec4u(clamp(distance, vec4i(-reach), vec4i(reach)) + vec4i(reach)) * shape.heads + vec4u(head);
  return vec4f(${part.map((axis) => read(`at.${axis}`)).join(", ")});
}`;

export const entry = (body: string): string => /* wgsl */ `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tx = thread % 8u;
  let ty = thread / 8u;
  ${body}
}`;
