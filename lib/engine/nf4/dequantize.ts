// NF4 codes back to float32 at about the memory's speed: chunks go through a WebAssembly kernel with 128-bit instructions.

import { dequantizeNF4Into } from "./levels.ts";
import { dequantizeKernel } from "./kernel.ts";
import { assemble } from "./wasm.ts";

/** Weights in one go: the 128 KB they fill stay in a core's second-level cache until they are copied out. */
const CHUNK = 32768;
/** Where codes, scales and weights of a chunk lie in the module's memory. */
const CODES = 0, SCALES = CODES + CHUNK / 2, WEIGHTS = SCALES + CHUNK / 32 * 4, END = WEIGHTS + 4 * CHUNK;

interface Kernel {
  codes: Uint8Array;
  scales: Float32Array;
  weights: Float32Array;
  run(codes: number, scales: number, weights: number, blocks: number, blockBytes: number): void;
}

let kernel: Kernel | undefined;

/**
 * Dequantises NF4 codes into `out`, bit for bit as {@linkcode dequantizeNF4Into}, several times faster. Reusing `out`
 * matters: touching fresh memory costs as much as the work.
 *
 * @param codes two codes a byte, at least ceil(out.length / 2) bytes
 * @param absmax one scale a block
 * @param out receives the weights
 * @param blockSize weights that share a scale, a multiple of 32 (default 64)
 */
export function dequantizeInto(
  codes: Uint8Array,
  absmax: Float32Array,
  out: Float32Array,
  blockSize = 64,
): void {
  if (codes.length < out.length / 2 || absmax.length < out.length / blockSize) {
    throw new RangeError(
      `${codes.length} bytes of codes and ${absmax.length} scales do not fill ${out.length} weights`,
    );
  }
  kernel ??= makeKernel();
  const full = out.length - out.length % blockSize;
  for (let begin = 0; begin < full; begin += CHUNK) {
    const count = Math.min(CHUNK, full - begin);
    kernel.codes.set(codes.subarray(begin / 2, (begin + count) / 2));
    kernel.scales.set(absmax.subarray(begin / blockSize, (begin + count) / blockSize));
    kernel.run(CODES, SCALES, WEIGHTS, count / blockSize, blockSize / 2);
    out.set(count === CHUNK ? kernel.weights : kernel.weights.subarray(0, count), begin);
  }
  // What is left is less than a block.
  dequantizeNF4Into(
    codes.subarray(full / 2),
    absmax.subarray(full / blockSize),
    out.subarray(full),
    blockSize,
  );
}

function makeKernel(): Kernel {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(END / 65536) });
  const module = new WebAssembly.Module(assemble(dequantizeKernel()));
  const { exports } = new WebAssembly.Instance(module, { js: { memory } });
  return {
    codes: new Uint8Array(memory.buffer, CODES, CHUNK / 2),
    scales: new Float32Array(memory.buffer, SCALES, CHUNK / 32),
    weights: new Float32Array(memory.buffer, WEIGHTS, CHUNK),
    run: exports.run as Kernel["run"],
  };
}
