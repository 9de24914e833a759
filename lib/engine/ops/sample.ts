// Deterministic inputs for the samples on which every op is tested.
import type { Sample } from "../graph.ts";

type SampleInput = Sample["inputs"][number];

/** Numbers that look normal enough (sum of four uniforms), from a seed; the same on every machine. */
export function normal(seed: number, ...shape: number[]): SampleInput {
  let state = (seed * 2654435761) >>> 0;
  const uniform = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const length = shape.reduce((a, b) => a * b, 1);
  const data = Float32Array.from({ length }, () => (uniform() + uniform() + uniform() + uniform() - 2) * 1.7);
  return { dtype: "f32", shape, data };
}

/** The same as f16; a device without f16 gets f32. */
export function half(seed: number, ...shape: number[]): SampleInput {
  const bits = new Uint16Array(Float16Array.from(normal(seed, ...shape).data as Float32Array).buffer);
  return { dtype: "f16", shape, data: bits };
}

export function floats(values: number[], ...shape: number[]): SampleInput {
  return { dtype: "f32", shape: shape.length ? shape : [values.length], data: Float32Array.from(values) };
}

export function positive(seed: number, ...shape: number[]): SampleInput {
  const sample = normal(seed, ...shape);
  return { ...sample, data: (sample.data as Float32Array).map((x) => Math.abs(x) + 0.01) };
}

export function integers(values: number[], ...shape: number[]): SampleInput {
  return { dtype: "i32", shape: shape.length ? shape : [values.length], data: Int32Array.from(values) };
}

export function bytes(seed: number, length: number): SampleInput {
  const { data } = normal(seed, length);
  return { dtype: "u8", shape: [length], data: Uint8Array.from(data, (x) => Math.abs(x * 1e4) & 255) };
}

/** Visible keys of causal rows of the given lengths, behind one another. */
export function causalRanges(...lengths: number[]): SampleInput {
  const ranges: number[] = [];
  let start = 0;
  for (const length of lengths) {
    for (let t = 0; t < length; t++) ranges.push(start, start + t + 1);
    start += length;
  }
  return integers(ranges, start, 2);
}
