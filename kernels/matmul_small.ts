// The text of the product for few rows: y[M,N] = alpha * A[M,K] W[N,K]^T (+ c) (+ y), M <= 8, as in decoding.
//
// It is bound by reading W once. A workgroup of 64 invocations is two teams of 32; a team makes 4 columns for all rows:
// its invocations go through K side by side (4 elements each, 8 with NF4), so that W is read coalesced, and each vector
// of A serves 4 rows of W. The partial sums meet in workgroup memory, where one invocation adds up 32 of them for 4 columns.
// Layout: A [M, lda], W [N, ldb] as f32, f16 or NF4 (see matmul_tiled.ts), y and c [M, ldy], f32.
// Limits: K a multiple of 4 (8 with NF4); 8 KB of workgroup memory.
import type { Kernel } from "../lib/engine/webgpu/context.ts";
import { productParameters } from "./matmul_tiled.ts";
import { levelsNF4 } from "./nf4.ts";

export interface SmallForm {
  readonly rows: 1 | 2 | 4 | 8;
  readonly b: "f32" | "f16" | "nf4";
  readonly addend: boolean;
}

/** Columns that one workgroup makes. */
export const smallColumns = 8;

export function smallKernel({ rows, b, addend }: SmallForm): Kernel {
  const nf4 = b === "nf4";
  const bindings = [
    "var<storage, read> a: array<vec4f>",
    `var<storage, read> b: array<${nf4 ? "u32" : `vec4<${b}>`}>`,
    ...(nf4 ? ["var<storage, read> absmax: array<f32>"] : []),
    ...(addend ? ["var<storage, read> c: array<f32>"] : []),
    "var<storage, read_write> y: array<f32>",
    "var<uniform> p: Params",
  ];
  return {
    name: `matmul small ${[b, addend ? "c" : "", rows].filter(Boolean).join(" ")}`,
    code: `${b === "f16" ? "enable f16;" : ""}${productParameters}
${bindings.map((binding, i) => `@group(0) @binding(${i}) ${binding};`).join("\n")}

var<workgroup> partial: array<vec4f, ${64 * rows}>;
${nf4 ? levelsNF4 : ""}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let lane = local % 32u;
  let team = local / 32u;
  let first = ((group.y * groups.x + group.x) * 2u + team) * 4u;
  ${nf4 ? "if (local < 16u) { fillLevel(local); }\n  workgroupBarrier();" : ""}
  ${range(rows).map((m) => `var s${m} = vec4f();`).join(" ")}
  ${range(4).map((n) => `let row${n} = min(first + ${n}u, p.columns - 1u) * p.ldb;`).join("\n  ")}
  ${range(rows).map((m) => `let at${m} = p.aOffset + min(${m}u, p.rows - 1u) * p.lda;`).join("\n  ")}
  for (var k = ${nf4 ? 8 : 4}u * lane; k < p.depth; k += ${nf4 ? 256 : 128}u) {
    ${nf4 ? depthNF4(rows) : depthDense(rows)}
  }
  ${range(rows).map((m) => `partial[${64 * m}u + local] = s${m};`).join("\n  ")}
  workgroupBarrier();
  let row = local / 2u;
  let column = ((group.y * groups.x + group.x) * 2u + local % 2u) * 4u;
  if (row >= min(p.rows, ${rows}u) || column >= p.columns) { return; }
  var sum = vec4f();
  for (var i = 0u; i < 32u; i++) { sum += partial[32u * local + i]; }
  for (var i = 0u; i < min(4u, p.columns - column); i++) {
    let at = p.yOffset + row * p.ldy + column + i;
    var result = p.alpha * sum[i];
    ${addend ? "result += c[at];" : ""}
    if (p.accumulate != 0u) { result += y[at]; }
    y[at] = result;
  }
}`,
  };
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

const depthDense = (rows: number) =>
  `${range(4).map((n) => `let w${n} = vec4f(b[(row${n} + k) / 4u]);`).join("\n    ")}
    ${
    range(rows).map((m) =>
      `{ let x = a[(at${m} + k) / 4u]; s${m} += vec4f(dot(x, w0), dot(x, w1), dot(x, w2), dot(x, w3)); }`
    ).join("\n    ")
  }`;

/** A word holds eight codes of one block: their absmax is multiplied in once. */
const depthNF4 = (rows: number) =>
  `${
    range(4).map((n) =>
      `let word${n} = b[(row${n} + k) / 8u]; let low${n} = levelsOf(word${n}); let high${n} = levelsOf(word${n} >> 16u);`
    ).join("\n    ")
  }
    let scale = vec4f(${range(4).map((n) => `absmax[(row${n} + k) / 64u]`).join(", ")});
    ${
    range(rows).map((m) =>
      `{ let x = a[(at${m} + k) / 4u]; let z = a[(at${m} + k) / 4u + 1u];
      s${m} += scale * vec4f(${range(4).map((n) => `dot(x, low${n}) + dot(z, high${n})`).join(", ")}); }`
    ).join("\n    ")
  }`;
