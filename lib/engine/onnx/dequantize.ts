// NF4 to f32 on the host, for the products that onnxruntime cannot do from 4-bit codes.

export const nf4Levels = new Float32Array([
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
]);

/** codes: two weights a byte, the first in the high half; absmax: one scale for 64 weights in a row. */
export function dequantizeBlocks(codes: Uint8Array, absmax: Float32Array, into: Float32Array): void {
  for (let block = 0; block < absmax.length; block++) {
    const scale = absmax[block];
    for (let i = block * 32; i < block * 32 + 32; i++) {
      into[2 * i] = nf4Levels[codes[i] >> 4] * scale;
      into[2 * i + 1] = nf4Levels[codes[i] & 15] * scale;
    }
  }
}
