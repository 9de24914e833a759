// NF4 against bitsandbytes' PyTorch kernels, bit for bit (tests/reference/nf4.py).

import assert from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { openSafetensors, toFloat32 } from "../lib/formats/safetensors.ts";
import { dynamicCodebook, nestAbsmax } from "../lib/quantize/nested.ts";
import { absmaxOf, dequantizeNF4Data, quantizeNF4Data, quantizeNF4Into } from "../lib/quantize/nf4.ts";
import { UserError } from "../lib/errors.ts";

const reference = new URL("./reference/nf4/", import.meta.url);
const tensors = await readAll(fromFileUrl(new URL("nf4.safetensors", reference)));
const hashedReference = JSON.parse(await Deno.readTextFile(new URL("hashed.json", reference)));

async function readAll(path: string): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const file = await openSafetensors(path);
  const all = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of file.tensors.keys()) all.set(name, await file.read(name));
  file.close();
  return all;
}

const bytesOf = (name: string) => tensors.get(name)!;
const floatsOf = (name: string) => toFloat32(bytesOf(name), "F32");
const same = (ours: Float32Array, name: string) =>
  assert.deepEqual(new Uint8Array(ours.buffer, ours.byteOffset, ours.byteLength), bytesOf(name), name);

/** Distance of two float32 numbers in units in the last place. */
function ulps(a: number, b: number): number {
  const [x, y] = new Int32Array(Float32Array.of(a, b).buffer);
  return Math.abs(x - y);
}

Deno.test("the 8-bit codebook is bitsandbytes' dynamic map", () => same(dynamicCodebook(), "dynamic_map"));

const blockSizes = {
  normal: 64,
  bfloat16: 64,
  ties: 64,
  scaled_ties: 64,
  odd: 64,
  tiny: 64,
  block32: 32,
  block256: 256,
};

for (const [name, blockSize] of Object.entries(blockSizes)) {
  Deno.test(`codes, scales and weights equal bitsandbytes' bit for bit: ${name}`, () => {
    const weights = floatsOf(`${name}.weights`);
    const parts = quantizeNF4Data(weights, { blockSize });
    assert.deepEqual(parts.codes, bytesOf(`${name}.codes`));
    same(parts.absmax!, `${name}.absmax`);

    const nested = nestAbsmax(parts.absmax!, floatsOf(`${name}.offset`)[0]);
    assert.deepEqual(nested.codes, bytesOf(`${name}.nested_codes`));
    same(nested.absmax, `${name}.nested_absmax`);
    const own = quantizeNF4Data(weights, { blockSize, doubleQuant: true });
    assert.ok(ulps(own.nested!.offset, nested.offset) <= 1);

    if (name === "normal") return;
    same(dequantizeNF4Data(parts, weights.length), `${name}.restored`);
    same(
      dequantizeNF4Data({ codes: parts.codes, blockSize, nested }, weights.length),
      `${name}.nested_restored`,
    );
  });
}

/** A million weights made of a hash, the same as in the Python script. */
function hashedWeights(count: number): Float32Array<ArrayBuffer> {
  const weights = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let h = Math.imul(i, 2654435761) >>> 0;
    h = Math.imul(h ^ (h >>> 15), 2246822519) >>> 0;
    h ^= h >>> 13;
    const total = (h & 255) + (h >>> 8 & 255) + (h >>> 16 & 255) + (h >>> 24) - 510;
    weights[i] = total * Math.fround(((i >>> 6) % 97 + 1) / 12345);
  }
  return weights;
}

async function digest(data: Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex();
}

Deno.test("a million weights have bitsandbytes' digests, whole or in pieces", async () => {
  const weights = hashedWeights(1_000_003);
  assert.equal(await digest(weights), hashedReference.weights);
  const codes = new Uint8Array(500_002), absmax = new Float32Array(15_626);
  const piece = 64 * 3_001;
  for (let begin = 0; begin < weights.length; begin += piece) {
    quantizeNF4Into(
      weights.subarray(begin, begin + piece),
      codes.subarray(begin / 2),
      absmax.subarray(begin / 64),
      64,
    );
  }
  assert.equal(await digest(codes), hashedReference.codes);
  assert.equal(await digest(absmax), hashedReference.absmax);
  const nested = nestAbsmax(absmax, hashedReference.offset);
  assert.equal(await digest(nested.codes as Uint8Array<ArrayBuffer>), hashedReference.nested_codes);
  assert.equal(await digest(nested.absmax as Float32Array<ArrayBuffer>), hashedReference.nested_absmax);
  assert.ok(ulps(nestAbsmax(absmax).offset, hashedReference.offset) <= 1);
  const whole = quantizeNF4Data(weights);
  assert.deepEqual(whole.codes, codes);
  assert.equal(await digest(dequantizeNF4Data(whole, weights.length)), hashedReference.restored);
  const restored = dequantizeNF4Data({ codes, blockSize: 64, nested }, weights.length);
  assert.equal(await digest(restored), hashedReference.nested_restored);
});

Deno.test("weights exactly on a midpoint take the lower level", () => {
  const midpoints = floatsOf("midpoints");
  const block = new Float32Array(64);
  block.set([1, ...midpoints]);
  const { codes } = quantizeNF4Data(block);
  const unpacked = Array.from({ length: 16 }, (_, i) => i & 1 ? codes[i >> 1] & 15 : codes[i >> 1] >> 4);
  assert.deepEqual(unpacked, [15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
});

Deno.test("bad input is refused", () => {
  const user = (pattern: RegExp) => (error: unknown) =>
    error instanceof UserError && pattern.test(error.message);
  assert.throws(() => quantizeNF4Data(Float32Array.of(1, NaN)), user(/not finite/));
  assert.throws(() => quantizeNF4Data(Float32Array.of(1, -Infinity)), user(/not finite/));
  assert.throws(() => quantizeNF4Data(new Float32Array(64), { blockSize: 48 }), user(/block size 48/));
  const parts = quantizeNF4Data(new Float32Array(64));
  assert.throws(() => dequantizeNF4Data(parts, 65), user(/do not hold 65/));
  assert.throws(() => absmaxOf({ codes: parts.codes, blockSize: 64 }), user(/neither/));
  assert.equal(quantizeNF4Data(new Float32Array(0), { doubleQuant: true }).codes.length, 0);
});

Deno.test("scales exactly between two 8-bit values take the lower one", async () => {
  const ties = await readAll(fromFileUrl(new URL("../nf4_ties/ties.safetensors", reference)));
  const { codes, absmax } = nestAbsmax(toFloat32(ties.get("input")!, "F32"), 0);
  assert.deepEqual(codes, ties.get("codes"));
  assert.deepEqual([...absmax], [1]);
});
