// Double quantisation: NF4's scales, less their mean, in blocks of 256 as 8-bit dynamic numbers (bitsandbytes'
// quantize_blockwise with create_dynamic_map; Dettmers 2015, arXiv:1511.04561).

/** Scales in 8 bits: `codebook[codes[i]] * absmax[i / blockSize] + offset`. */
export interface NestedAbsmax {
  /** One byte a scale. */
  codes: Uint8Array;
  /** One scale for every block of scales. */
  absmax: Float32Array;
  /** The scales' mean, a float32 number. */
  offset: number;
  /** The 256 values that codes stand for, ascending. */
  codebook: Float32Array;
  /** Scales that share an absmax: 256. */
  blockSize: number;
}

const BLOCK = 256;
const TINY = Math.fround(1e-38);

/**
 * The 256 values of the signed 8-bit dynamic type, ascending: 7 decades with 1, 2, 4, ... 64 steps each on both sides,
 * 0 and 1. Made by bitsandbytes' formula in the same float32 steps.
 */
export function dynamicCodebook(): Float32Array {
  const values = [0, 1];
  for (let decade = 0; decade < 7; decade++) {
    const edges = linspace(2 ** decade + 1);
    const scale = Math.fround(10 ** (decade - 6));
    for (let i = 0; i + 1 < edges.length; i++) {
      const mean = Math.fround(Math.fround(edges[i] + edges[i + 1]) / 2);
      values.push(Math.fround(scale * mean), -Math.fround(scale * mean));
    }
  }
  return Float32Array.from(values).sort();
}

/** torch.linspace(0.1, 1, count) in float32: the upper half is counted down from 1. */
function linspace(count: number): number[] {
  const start = Math.fround(0.1);
  const step = Math.fround(Math.fround(1 - start) / (count - 1));
  return Array.from(
    { length: count },
    (_, i) => Math.fround(i < count >> 1 ? start + step * i : 1 - step * (count - 1 - i)),
  );
}

/**
 * Quantises NF4 scales to 8 bits, bit for bit as bitsandbytes does with PyTorch.
 *
 * @param absmax the scales; left as they are
 * @param offset subtracted first (default: their mean, summed in float64; bitsandbytes sums in float32, so that its
 * offset may differ in the last place)
 */
export function nestAbsmax(absmax: Float32Array, offset: number = mean(absmax)): NestedAbsmax {
  const codebook = dynamicCodebook();
  const bounds = codebook.subarray(0, 255).map((value, i) => Math.fround(value + codebook[i + 1]) / 2);
  const centred = absmax.map((value) => value - offset);
  const codes = new Uint8Array(absmax.length), scales = new Float32Array(Math.ceil(absmax.length / BLOCK));
  for (let begin = 0; begin < absmax.length; begin += BLOCK) {
    const block = centred.subarray(begin, begin + BLOCK);
    const scale = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const isFull = block.length === BLOCK;
    scales[begin / BLOCK] = isFull ? scale : Math.max(scale, TINY);
    // As with the weights, a last block that is not full is divided, the others are multiplied by the reciprocal.
    const inverse = Math.fround(1 / Math.max(scale, TINY));
    block.forEach((value, i) => {
      codes[begin + i] = search(
        bounds,
        Math.fround(isFull ? value * inverse : value / scales[begin / BLOCK]),
      );
    });
  }
  return { codes, absmax: scales, offset, codebook, blockSize: BLOCK };
}

/** How many bounds lie below the value: a value on a bound belongs to the lower code. */
function search(bounds: Float32Array, value: number): number {
  let low = 0, high = bounds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value > bounds[middle]) low = middle + 1;
    else high = middle;
  }
  return low;
}

function mean(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return Math.fround(values.length > 0 ? sum / values.length : 0);
}
