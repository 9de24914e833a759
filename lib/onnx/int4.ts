// Four bits a weight as MatMulNBits has them: blocks of 32 along the input, codes 0 to 15 with 8 for zero, one f32 scale a
// block. As onnxruntime's own quantiser (symmetric) computes it: the largest number of a block, with its sign, becomes code 0.

/** Weights that share a scale. */
export const BLOCK = 32;

export interface Int4Weight {
  /** u8[out, blocks, 16]: two codes a byte, the first in the low half. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** f32[out, blocks] */
  readonly scales: Float32Array<ArrayBuffer>;
}

/** A weight [out, width], row by row; what is missing in a row's last block counts as zero. */
export function quantizeInt4(data: Float32Array, [out, width]: readonly number[]): Int4Weight {
  const blocks = Math.ceil(width / BLOCK);
  const codes = new Uint8Array(out * blocks * (BLOCK / 2)).fill(0x88);
  const scales = new Float32Array(out * blocks);
  for (let row = 0; row < out; row++) {
    for (let block = 0; block < blocks; block++) {
      const begin = row * width + block * BLOCK, end = Math.min(begin + BLOCK, (row + 1) * width);
      const at = row * blocks + block;
      scales[at] = blockScale(data, begin, end);
      writeCodes(data, begin, end, scales[at], codes, at * (BLOCK / 2));
    }
  }
  return { codes, scales };
}

function blockScale(data: Float32Array, begin: number, end: number): number {
  let low = 0, high = 0;
  for (let i = begin; i < end; i++) {
    if (data[i] < low) low = data[i];
    else if (data[i] > high) high = data[i];
  }
  return (high > -low ? high : low) / -8;
}

function writeCodes(
  data: Float32Array,
  begin: number,
  end: number,
  scale: number,
  codes: Uint8Array,
  at: number,
): void {
  // In float32, and halves up: a code on a border must be the same one.
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  for (let i = begin; i < end; i++) {
    const steps = Math.fround(Math.fround(data[i] * inverse) + 8);
    const code = Math.min(15, Math.max(0, Math.floor(steps + 0.5)));
    const place = i - begin, byte = at + (place >> 1);
    codes[byte] = place % 2 === 0 ? codes[byte] & 0xf0 | code : codes[byte] & 0x0f | code << 4;
  }
}

/** The numbers that the codes stand for. */
export function dequantizeInt4({ codes, scales }: Int4Weight, [out, width]: readonly number[]): Float32Array {
  const blocks = Math.ceil(width / BLOCK);
  return Float32Array.from({ length: out * width }, (_, i) => {
    const row = Math.floor(i / width), column = i % width;
    const place = row * blocks * BLOCK + column, byte = codes[place >> 1];
    return ((place % 2 === 0 ? byte & 15 : byte >> 4) - 8) * scales[place >> 5];
  });
}
