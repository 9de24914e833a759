// Four or eight bits a weight as MatMulNBits has them: blocks of 32 along the input, the middle code for zero, one f32 scale a
// block. As onnxruntime's own quantiser (symmetric) computes it: the largest number of a block, with its sign, becomes code 0.

/** Weights that share a scale. */
export const BLOCK = 32;

/** Of a code. */
export type Bits = 4 | 8;

export interface BlockWeight {
  /** u8[out, blocks, 4 * bits]: of four bits two codes a byte, the first in the low half. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** f32[out, blocks] */
  readonly scales: Float32Array<ArrayBuffer>;
}

/** The bytes of a block's codes. */
export const blockBytes = (bits: Bits): number => BLOCK * bits / 8;

/** A weight [out, width], row by row; what is missing in a row's last block counts as zero. */
export function quantizeBlocks(
  data: Float32Array,
  [out, width]: readonly number[],
  bits: Bits,
): BlockWeight {
  const blocks = Math.ceil(width / BLOCK), size = blockBytes(bits);
  const codes = new Uint8Array(out * blocks * size).fill(bits === 4 ? 0x88 : 0x80);
  const scales = new Float32Array(out * blocks);
  for (let row = 0; row < out; row++) {
    for (let block = 0; block < blocks; block++) {
      const begin = row * width + block * BLOCK, end = Math.min(begin + BLOCK, (row + 1) * width);
      const at = row * blocks + block;
      scales[at] = furthest(data, begin, end) / -(1 << (bits - 1));
      writeCodes(data.subarray(begin, end), scales[at], codes.subarray(at * size, (at + 1) * size), bits);
    }
  }
  return { codes, scales };
}

/** The number that is furthest from zero, with its sign. */
function furthest(data: Float32Array, begin: number, end: number): number {
  let low = 0, high = 0;
  for (let i = begin; i < end; i++) {
    if (data[i] < low) low = data[i];
    else if (data[i] > high) high = data[i];
  }
  return high > -low ? high : low;
}

function writeCodes(block: Float32Array, scale: number, codes: Uint8Array, bits: Bits): void {
  // In float32, and halves up: a code on a border must be the same one.
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale), zero = 1 << (bits - 1);
  for (const [i, value] of block.entries()) {
    const steps = Math.fround(Math.fround(value * inverse) + zero);
    const code = Math.min(2 * zero - 1, Math.max(0, Math.floor(steps + 0.5)));
    if (bits === 8) codes[i] = code;
    else codes[i >> 1] = i % 2 === 0 ? codes[i >> 1] & 0xf0 | code : codes[i >> 1] & 0x0f | code << 4;
  }
}

/** The numbers that the codes stand for. */
export function dequantizeBlocks(
  { codes, scales }: BlockWeight,
  [out, width]: readonly number[],
  bits: Bits,
): Float32Array {
  const blocks = Math.ceil(width / BLOCK);
  return Float32Array.from({ length: out * width }, (_, i) => {
    const row = Math.floor(i / width), place = row * blocks * BLOCK + i % width;
    const scale = scales[Math.floor(place / BLOCK)];
    if (bits === 8) return (codes[place] - 128) * scale;
    const byte = codes[place >> 1];
    return ((place % 2 === 0 ? byte & 15 : byte >> 4) - 8) * scale;
  });
}
