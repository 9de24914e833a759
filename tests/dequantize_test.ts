// The WebAssembly way from NF4 codes to weights equals the plain one bit for bit.

import assert from "node:assert/strict";
import { dequantizeInto } from "../lib/engine/nf4/dequantize.ts";
import { dequantizeNF4Into } from "../lib/quantize/nf4.ts";

const bits = (data: Float32Array) => new Int32Array(data.buffer, data.byteOffset, data.length);

for (
  const [length, blockSize] of [[32768, 64], [32768 * 3 + 64 * 5 + 7, 64], [100, 64], [63, 64], [4096, 32], [
    5000,
    4096,
  ]]
) {
  Deno.test(`WebAssembly equals the plain way: ${length} weights in blocks of ${blockSize}`, () => {
    // A first byte before the codes: they need not lie on any boundary.
    const codes = Uint8Array.from(
      { length: Math.ceil(length / 2) + 1 },
      (_, i) => Math.imul(i, 2654435761) >>> 24,
    )
      .subarray(1);
    const absmax = Float32Array.from(
      { length: Math.ceil(length / blockSize) },
      (_, i) => Math.sin(i + 1) * 0.3 ** (i % 80),
    );
    absmax[0] = 1e-44; // products round among the smallest numbers
    const plain = new Float32Array(length), fast = new Float32Array(length + 1).subarray(1);
    dequantizeNF4Into(codes, absmax, plain, blockSize);
    dequantizeInto(codes, absmax, fast, blockSize);
    assert.deepEqual(bits(fast), bits(plain));
  });
}

Deno.test("codes or scales that do not fill the weights are refused", () => {
  assert.throws(
    () => dequantizeInto(new Uint8Array(31), new Float32Array(1), new Float32Array(64)),
    RangeError,
  );
  assert.throws(
    () => dequantizeInto(new Uint8Array(64), new Float32Array(1), new Float32Array(128)),
    RangeError,
  );
});
