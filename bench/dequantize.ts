// NF4 there and back, single-threaded: a matrix of TinyLlama's feed-forward layer (2048 x 5632), float32.
//   deno run bench/dequantize.ts

import { dequantizeInto } from "../lib/engine/nf4/dequantize.ts";
import { dequantizeNF4Into, quantizeNF4Data, quantizeNF4Into } from "../lib/quantize/nf4.ts";

const count = 2048 * 5632;
const weights = Float32Array.from({ length: count }, () => (Math.random() + Math.random() - 1) * 0.05);
const { codes, absmax } = quantizeNF4Data(weights);
const out = new Float32Array(count);

/** Median of the milliseconds of some runs. */
function median(run: () => void, runs = 9): number {
  const times = Array.from({ length: runs }, () => {
    const begin = performance.now();
    run();
    return performance.now() - begin;
  });
  return times.sort((a, b) => a - b)[runs >> 1];
}

function report(name: string, milliseconds: number): void {
  const perSecond = count / milliseconds / 1e3;
  console.log(
    `${name.padEnd(36)} ${milliseconds.toFixed(1).padStart(6)} ms  ${
      perSecond.toFixed(0).padStart(6)
    } M weights/s` +
      `  ${(4 * perSecond).toFixed(0).padStart(6)} MB/s of float32`,
  );
}

report("quantise", median(() => quantizeNF4Into(weights, codes, absmax!, 64)));
report("quantise, double quantisation", median(() => quantizeNF4Data(weights, { doubleQuant: true })));
report("dequantise, plain", median(() => dequantizeNF4Into(codes, absmax!, out, 64)));
report("dequantise, WebAssembly", median(() => dequantizeInto(codes, absmax!, out)));
report(
  "dequantise, WebAssembly, fresh array",
  median(() => dequantizeInto(codes, absmax!, new Float32Array(count))),
);
report("only copying the floats", median(() => out.set(weights)));
