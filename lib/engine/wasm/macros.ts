// What several kernels are made of.
import {
  type Code,
  f32,
  f32x4,
  float,
  get,
  i32,
  i32x4,
  int,
  loop,
  set,
  tee,
  v128,
  when,
} from "./assembler.ts";

export const zero: Code = v128.bytes(new Uint8Array(16));
export const splat = (value: number): Code => f32x4.splat(float(value));
export const advance = (local: number, by: Code): Code => set(local, i32.add(get(local), by));

/** Counts a local down to 0 with a run of the body for each; none where it is 0 already. */
export const each = (count: number, body: Code): Code =>
  when(get(count), loop(body, tee(count, i32.sub(get(count), int(1)))));

export function sumOfLanes(vector: number): Code {
  const lane = (i: number) => f32x4.extract(get(vector), i);
  return f32.add(f32.add(lane(0), lane(1)), f32.add(lane(2), lane(3)));
}

/** e^x of the four numbers in `x`, which is overwritten; off by at most 2 in the last place (Cephes' expf). */
export function exp(x: number, [whole, power]: readonly number[]): Code {
  const step = (coefficient: number) =>
    set(power, f32x4.add(f32x4.mul(get(power), get(x)), splat(coefficient)));
  const less = (part: number) => set(x, f32x4.sub(get(x), f32x4.mul(get(whole), splat(part))));
  const times2 = i32x4.shl(i32x4.add(i32x4.truncF32(get(whole)), i32x4.splat(int(127))), int(23));
  return [
    set(x, f32x4.min(f32x4.max(get(x), splat(-87)), splat(88))),
    set(whole, f32x4.nearest(f32x4.mul(get(x), splat(Math.LOG2E)))),
    [less(0.693359375), less(-2.12194440e-4)],
    set(power, splat(1.9875691500e-4)),
    [1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1].map(step),
    set(power, f32x4.add(f32x4.mul(f32x4.mul(get(power), get(x)), get(x)), f32x4.add(get(x), splat(1)))),
    set(x, f32x4.mul(get(power), times2)),
  ];
}
