// NF4's 16 levels, and codes back to numbers in plain JavaScript.

/** The 16 levels, ascending: quantiles of the normal distribution scaled to [-1, 1], with an exact zero. */
export const NF4_LEVELS: Float32Array = Float32Array.of(
  -1.0,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0.0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1.0,
);

/** The plain way from codes and scales to weights, filling `out`; `dequantizeInto` is the fast one. */
export function dequantizeNF4Into(
  codes: Uint8Array,
  absmax: Float32Array,
  out: Float32Array,
  blockSize: number,
): void {
  for (let begin = 0; begin < out.length; begin += blockSize) {
    const scale = absmax[begin / blockSize];
    const end = Math.min(begin + blockSize, out.length);
    for (let i = begin; i < end; i++) {
      const pair = codes[i >> 1];
      out[i] = NF4_LEVELS[i & 1 ? pair & 15 : pair >> 4] * scale;
    }
  }
}
