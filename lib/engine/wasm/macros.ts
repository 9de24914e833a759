// What several kernels are made of.
import {
  type Code,
  f32,
  f32x4,
  float,
  get,
  i32,
  i32x4,
  i8x16,
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

/** Of four vectors the sums of their lanes, in one; `spare` are two more. */
export function sumsOfLanes([a, b, c, d]: readonly number[], [x, y]: readonly number[]): Code {
  const words = (first: number, second: number, lanes: number[]) =>
    i8x16.shuffle(get(first), get(second), lanes.flatMap((lane) => [0, 1, 2, 3].map((i) => 4 * lane + i)));
  const halves = (to: number, first: number, second: number) =>
    set(to, f32x4.add(words(first, second, [0, 1, 4, 5]), words(first, second, [2, 3, 6, 7])));
  return [
    [halves(x, a, b), halves(y, c, d)],
    f32x4.add(words(x, y, [0, 2, 4, 6]), words(x, y, [1, 3, 5, 7])),
  ];
}

/** 1.5 * 2^23: a number below 2^22 that is added to it is rounded to a whole one, which stands in the sum's last bits. */
export const ROUNDER = 12582912, ROUNDER_BITS = 0x4b400000;

/** e^x of the four numbers in `x`, which is overwritten; off by at most 2 in the last place (Cephes' expf). */
export function exp(x: number, [whole, power]: readonly number[]): Code {
  const step = (coefficient: number) => set(power, f32x4.madd(get(power), get(x), splat(coefficient)));
  const less = (part: number) => set(x, f32x4.sub(get(x), f32x4.mul(get(whole), splat(part))));
  const bits = f32x4.add(get(whole), splat(ROUNDER));
  const times2 = i32x4.shl(i32x4.add(bits, i32x4.splat(int(127))), int(23));
  return [
    set(x, f32x4.pmin(f32x4.pmax(get(x), splat(-87)), splat(88))),
    set(whole, f32x4.add(f32x4.mul(get(x), splat(Math.LOG2E)), splat(ROUNDER))),
    set(whole, f32x4.sub(get(whole), splat(ROUNDER))),
    [less(0.693359375), less(-2.12194440e-4)],
    set(power, splat(1.9875691500e-4)),
    [1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1].map(step),
    set(power, f32x4.madd(f32x4.mul(get(power), get(x)), get(x), f32x4.add(get(x), splat(1)))),
    set(x, f32x4.mul(get(power), times2)),
  ];
}
