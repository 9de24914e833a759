// NF4 in WGSL: the 16 levels in workgroup memory (a dynamic index into a constant would go to slow private memory), and
// four codes to four numbers.
// Layout (bitsandbytes'): element 2i is the high nibble of byte i, 2i + 1 the low one; 64 elements share an absmax.
import { NF4_LEVELS } from "../lib/engine/nf4/levels.ts";

const levels = [...NF4_LEVELS];

/** `levels[16]`, filled by 16 invocations; a barrier must follow. `levelsOf` takes four codes from the low 16 bits. */
export const levelsNF4 = `
var<workgroup> levels: array<f32, 16>;
fn fillLevel(i: u32) {
  var values = array<f32, 16>(${
  levels.map((level) => level === Math.trunc(level) ? `${level}.0` : level).join(", ")
});
  levels[i] = values[i];
}
fn levelsOf(codes: u32) -> vec4f {
  return vec4f(
    levels[(codes >> 4u) & 15u], levels[codes & 15u], levels[(codes >> 12u) & 15u], levels[(codes >> 8u) & 15u],
  );
}`;

export const expandNF4 = `fn expandB(raw: vec2u) -> vec4f { return levelsOf(raw.x) * bitcast<f32>(raw.y); }`;
