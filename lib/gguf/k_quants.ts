// Q4_K and Q6_K, bit for bit as llama.cpp's reference quantisers (ggml-quants.c, without an importance matrix): 256 numbers
// with scales of their own for every 32 or 16, which are themselves quantised. Each step is rounded to float32 as it is there.
import type { Target } from "./quantize.ts";

const f = Math.fround;

/** To the nearest whole number, halves to even: by float32's own rounding at 1.5 * 2^23. */
const nearest = (value: number): number => f(value + 12582912) - 12582912;

const codes = new Uint8Array(256), tried = new Uint8Array(32), weights = new Float32Array(32);
const scales = new Float32Array(16), mins = new Float32Array(8);

/** 256 numbers as 144 bytes: scale and step of the minima in float16, twelve bytes of 6-bit scales and minima, codes of 4 bits. */
export function quantizeQ4K(x: Float32Array, from: number, { bytes, half }: Target, at: number): void {
  let mostScale = 0, mostMin = 0;
  for (let j = 0; j < 8; j++) {
    fitScaleAndMin(x, from + 32 * j, j);
    mostScale = Math.max(mostScale, scales[j]);
    mostMin = Math.max(mostMin, mins[j]);
  }
  half[at / 2] = f(mostScale / 63);
  half[at / 2 + 1] = f(mostMin / 63);
  packScales(bytes, at + 4, mostScale > 0 ? f(63 / mostScale) : 0, mostMin > 0 ? f(63 / mostMin) : 0);
  for (let j = 0; j < 8; j++) {
    const [scale, min] = scaleAndMin(bytes, at + 4, j);
    const step = f(half[at / 2] * scale), low = f(half[at / 2 + 1] * min);
    if (step === 0) continue;
    for (let i = 32 * j; i < 32 * j + 32; i++) codes[i] = clamp(nearest(f(f(x[from + i] + low) / step)), 15);
  }
  for (let j = 0; j < 4; j++) {
    for (let i = 0; i < 32; i++) {
      bytes[at + 16 + 32 * j + i] = codes[64 * j + i] | codes[64 * j + 32 + i] << 4;
    }
  }
}

const clamp = (code: number, most: number): number => code < 0 ? 0 : code > most ? most : code;

/** The eight scales and minima, rounded to 6 bits: the first four lie plainly, the upper bits of the last four above them. */
function packScales(bytes: Uint8Array, at: number, inverseScale: number, inverseMin: number): void {
  for (let j = 0; j < 8; j++) {
    const scale = Math.min(63, nearest(f(inverseScale * scales[j])) & 255);
    const min = Math.min(63, nearest(f(inverseMin * mins[j])) & 255);
    if (j < 4) {
      bytes[at + j] = scale;
      bytes[at + 4 + j] = min;
    } else {
      bytes[at + 4 + j] = scale & 15 | (min & 15) << 4;
      bytes[at + j - 4] |= scale >> 4 << 6;
      bytes[at + j] |= min >> 4 << 6;
    }
  }
}

/** The 6-bit scale and minimum of one of the eight parts of a Q4_K or Q5_K block. */
export function scaleAndMin(bytes: Uint8Array, at: number, j: number): [scale: number, min: number] {
  if (j < 4) return [bytes[at + j] & 63, bytes[at + 4 + j] & 63];
  return [
    bytes[at + 4 + j] & 15 | bytes[at + j - 4] >> 6 << 4,
    bytes[at + 4 + j] >> 4 | bytes[at + j] >> 6 << 4,
  ];
}

/**
 * Scale and minimum of 32 numbers for codes of 4 bits (llama.cpp's make_qkx2_quants): of 22 ways to round, each fitted by
 * weighted least squares, the one with the smallest error. Larger numbers weigh more.
 */
function fitScaleAndMin(x: Float32Array, from: number, j: number): void {
  weigh(x, from);
  let low = x[from], high = x[from], sumW = weights[0], sumX = f(sumW * x[from]);
  for (let i = 1; i < 32; i++) {
    const value = x[from + i], w = weights[i];
    if (value < low) low = value;
    if (value > high) high = value;
    sumW = f(sumW + w);
    sumX = f(sumX + f(w * value));
  }
  if (low > 0) low = 0;
  if (high === low) {
    codes.fill(0, 32 * j, 32 * j + 32);
    scales[j] = 0;
    mins[j] = -low;
    return;
  }
  const inverse = f(15 / f(high - low));
  let scale = f(1 / inverse), min = low;
  tryCodes(x, from, inverse, min);
  codes.set(tried, 32 * j);
  let best = error(x, from, scale, min);
  for (let step = 0; step <= 20; step++) {
    tryCodes(x, from, f(f(f(-1 + f(f(0.1) * step)) + 15) / f(high - min)), min); // the best minimum so far
    let sumL = 0, sumL2 = 0, sumXL = 0;
    for (let i = 0; i < 32; i++) {
      const code = tried[i], wl = f(weights[i] * code);
      sumL = f(sumL + wl);
      sumL2 = f(sumL2 + f(wl * code));
      sumXL = f(sumXL + f(wl * x[from + i]));
    }
    const determinant = f(f(sumW * sumL2) - f(sumL * sumL));
    if (!(determinant > 0)) continue;
    let thisScale = f(f(f(sumW * sumXL) - f(sumX * sumL)) / determinant);
    let thisMin = f(f(f(sumL2 * sumX) - f(sumL * sumXL)) / determinant);
    if (thisMin > 0) {
      thisMin = 0;
      thisScale = f(sumXL / sumL2);
    }
    const thisError = error(x, from, thisScale, thisMin);
    if (!(thisError < best)) continue;
    codes.set(tried, 32 * j);
    [best, scale, min] = [thisError, thisScale, thisMin];
  }
  scales[j] = scale;
  mins[j] = -min;
}

/** A number's weight is its size, and the block's root mean square. */
function weigh(x: Float32Array, from: number): void {
  let squares = 0;
  for (let i = 0; i < 32; i++) squares = f(squares + f(x[from + i] * x[from + i]));
  const mean = f(Math.sqrt(f(squares / 32)));
  for (let i = 0; i < 32; i++) weights[i] = f(mean + Math.abs(x[from + i]));
}

function tryCodes(x: Float32Array, from: number, inverse: number, min: number): void {
  for (let i = 0; i < 32; i++) tried[i] = clamp(nearest(f(inverse * f(x[from + i] - min))), 15);
}

/** The weighted squares of what the tried codes lose. */
function error(x: Float32Array, from: number, scale: number, min: number): number {
  let sum = 0;
  for (let i = 0; i < 32; i++) {
    const difference = f(f(f(scale * tried[i]) + min) - x[from + i]);
    sum = f(sum + f(weights[i] * f(difference * difference)));
  }
  return sum;
}

/** 256 numbers as 210 bytes: lower 4 bits of the codes, their upper 2, sixteen scales of 8 bits, their scale in float16. */
export function quantizeQ6K(x: Float32Array, from: number, { bytes, half }: Target, at: number): void {
  let most = 0;
  for (let j = 0; j < 16; j++) {
    scales[j] = fitScale(x, from + 16 * j, 16 * j);
    if (Math.abs(scales[j]) > Math.abs(most)) most = scales[j];
  }
  if (Math.abs(most) < SMALLEST) return void bytes.fill(0, at, at + 210);
  const inverse = f(-128 / most), scaleAt = at + 208;
  half[scaleAt / 2] = f(1 / inverse);
  for (let j = 0; j < 16; j++) {
    const scale = Math.min(127, nearest(f(inverse * scales[j])));
    bytes[at + 192 + j] = scale;
    const step = f(half[scaleAt / 2] * scale);
    if (step === 0) continue;
    for (let i = 16 * j; i < 16 * j + 16; i++) {
      codes[i] = clamp(nearest(f(x[from + i] / step)) + 32, 63);
    }
  }
  for (let part = 0; part < 2; part++) {
    for (let i = 0; i < 32; i++) {
      const from = 128 * part + i, a = codes[from], b = codes[from + 32];
      const c = codes[from + 64], d = codes[from + 96];
      bytes[at + 64 * part + i] = a & 15 | (c & 15) << 4;
      bytes[at + 64 * part + 32 + i] = b & 15 | (d & 15) << 4;
      bytes[at + 128 + 32 * part + i] = a >> 4 | b >> 4 << 2 | c >> 4 << 4 | d >> 4 << 6;
    }
  }
}

/** llama.cpp's GROUP_MAX_EPS: blocks below it are zeros. */
const SMALLEST = f(1e-15);

/**
 * The scale of 16 numbers for codes from -32 to 31 (llama.cpp's make_qx_quants): of 19 ways to round, each fitted by least
 * squares weighted by the numbers' squares, the best. Leaves the codes plus 32 behind.
 */
function fitScale(x: Float32Array, from: number, to: number): number {
  let most = 0, furthest = 0;
  for (let i = from; i < from + 16; i++) {
    if (Math.abs(x[i]) > most) {
      most = Math.abs(x[i]);
      furthest = x[i];
    }
  }
  if (most < SMALLEST) {
    codes.fill(0, to, to + 16);
    return 0;
  }
  let sumXL = 0, sumL2 = 0;
  const fit = (inverse: number) => {
    sumXL = sumL2 = 0;
    for (let i = 0; i < 16; i++) {
      const value = x[from + i], code = clamp(nearest(f(inverse * value)) + 32, 63) - 32;
      tried[i] = code + 32;
      const w = f(value * value);
      sumXL = f(sumXL + f(f(w * value) * code));
      sumL2 = f(sumL2 + f(f(w * code) * code));
    }
  };
  fit(f(-32 / furthest));
  codes.set(tried.subarray(0, 16), to);
  let scale = sumL2 === 0 ? 0 : f(sumXL / sumL2), best = f(scale * sumXL);
  for (let step = -9; step <= 9; step++) {
    if (step === 0) continue;
    fit(f(-f(32 + f(f(0.1) * step)) / furthest));
    if (!(sumL2 > 0 && f(sumXL * sumXL) > f(best * sumL2))) continue;
    codes.set(tried.subarray(0, 16), to);
    scale = f(sumXL / sumL2);
    best = f(scale * sumXL);
  }
  return scale;
}
