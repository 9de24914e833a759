// Weight files: what Python's safetensors wrote is read, ours equals its bytes, and lying headers are refused.

import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { writeFileAtomic } from "../lib/formats/atomic.ts";
import { openCheckpoint } from "../lib/formats/checkpoint.ts";
import {
  openSafetensors,
  type TensorData,
  toBfloat16,
  toFloat16,
  toFloat32,
  writeSafetensors,
} from "../lib/formats/safetensors.ts";
import { UserError } from "../lib/errors.ts";

const reference = fromFileUrl(new URL("./reference/formats", import.meta.url));
const dtypes = join(reference, "dtypes.safetensors");
const expected = JSON.parse(await Deno.readTextFile(join(reference, "dtypes.json")));

const userError = (pattern: RegExp) => (error: unknown) =>
  error instanceof UserError && pattern.test(error.message);

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("reads every float dtype that Python wrote", async () => {
  const file = await openSafetensors(dtypes);
  assert.deepEqual(file.metadata, { format: "pt" });
  assert.equal(file.tensors.size, 10);
  assert.deepEqual(file.tensors.get("f32")?.shape, [47, 1]);
  assert.deepEqual(file.tensors.get("scalar")?.shape, []);
  for (const name of ["f64", "f32", "f16", "bf16", "scalar", "empty", "größe"]) {
    const floats = toFloat32(await file.read(name), file.tensors.get(name)!.dtype);
    assert.deepEqual([...floats], expected[name], name);
  }
  assert.deepEqual([...new BigInt64Array((await file.read("i64")).buffer)], [0n, 1n, 2n, 3n, 4n, 5n]);
  assert.throws(() => toFloat32(new Uint8Array(8), "I64"), userError(/dtype I64/));
  file.close();
});

Deno.test("reads a tensor in pieces, and several at once", async () => {
  const file = await openSafetensors(dtypes);
  const piece = new Uint8Array(8);
  await file.readInto("f32", piece, 12);
  assert.deepEqual([...toFloat32(piece, "F32")], expected.f32.slice(3, 5));
  const [a, b] = await Promise.all([file.read("bf16"), file.read("f16")]);
  assert.deepEqual([...toFloat32(a, "BF16")], expected.bf16);
  assert.deepEqual([...toFloat32(b, "F16")], expected.f16);
  await assert.rejects(file.readInto("f32", piece, 184), RangeError);
  await assert.rejects(file.read("gone"), userError(/no tensor "gone"/));
  file.close();
});

Deno.test("rounds float32 to float16 and bfloat16 as PyTorch does", () => {
  const data = Float32Array.from(expected.rounding.f32);
  assert.deepEqual([...new Int16Array(toFloat16(data).buffer)], expected.rounding.f16);
  assert.deepEqual([...new Int16Array(toBfloat16(data).buffer)], expected.rounding.bf16);
  const odd = toFloat32(toBfloat16(Float32Array.of(NaN, Infinity, 3.4e38, -0)), "BF16");
  assert.deepEqual([...odd], [NaN, Infinity, Infinity, -0]);
  assert.deepEqual(
    [...toFloat32(new Uint8Array([9, 0, 0, 128, 63]).subarray(1), "F32")],
    [1],
    "unaligned bytes",
  );
});

Deno.test("writes the same bytes as Python", async () => {
  await inFolder(async (folder) => {
    const file = await openSafetensors(dtypes);
    const copy = new Map<string, TensorData>();
    for (const [name, { dtype, shape }] of [...file.tensors].reverse()) {
      copy.set(name, { dtype, shape, data: () => file.read(name) });
    }
    const path = join(folder, "copy.safetensors");
    await writeSafetensors(path, copy, file.metadata);
    file.close();
    assert.deepEqual(await Deno.readFile(path), await Deno.readFile(dtypes));
    const short = new Map([["x", { dtype: "F32" as const, shape: [2], data: new Uint8Array(4) }]]);
    await assert.rejects(
      writeSafetensors(path, short),
      userError(/"x": F32 of shape \[2\] needs 8 bytes, got 4/),
    );
    assert.deepEqual(
      await Deno.readFile(path),
      await Deno.readFile(dtypes),
      "a failed write leaves the old file",
    );
    await assert.rejects(writeSafetensors(path, copy, {}, { overwrite: false }), userError(/exists already/));
    assert.deepEqual((await Array.fromAsync(Deno.readDir(folder))).map((entry) => entry.name), [
      "copy.safetensors",
    ]);
    await assert.rejects(
      writeFileAtomic(join(folder, "no", "file"), "x"),
      userError(/folder does not exist/),
    );
  });
});

/** A file with this header (an object, or any text) and this many zero bytes of data. */
function withHeader(header: unknown, dataBytes: number, headerBytes?: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes ?? json.length), true);
  bytes.set(json, 8);
  return bytes;
}

Deno.test("refuses lying headers with one sentence each", async () => {
  const entry = (
    begin: number,
    end: number,
    shape: unknown = [(end - begin) / 4],
    dtype: unknown = "F32",
  ) => ({
    dtype,
    shape,
    data_offsets: [begin, end],
  });
  const cases: [string, Uint8Array, RegExp][] = [
    ["short", new Uint8Array(5), /only 5 bytes/],
    ["long header", withHeader({}, 0, 1000), /truncated.*1000 bytes.*10\./],
    ["huge header", withHeader({}, 0, 2 ** 62), /truncated/],
    ["no JSON", withHeader("{nonsense", 0), /not valid JSON/],
    ["an array", withHeader([], 0), /not a JSON object/],
    ["entry", withHeader({ a: 3 }, 0), /"a": its header entry/],
    ["metadata", withHeader({ __metadata__: { a: 1 } }, 0), /metadata/],
    ["outside", withHeader({ a: entry(0, 16) }, 8), /"a": its data ends at byte.*truncated/],
    ["overlap", withHeader({ a: entry(0, 8), b: entry(4, 12) }, 12), /"b": its data overlaps/],
    ["gap", withHeader({ a: entry(0, 4), b: entry(8, 12) }, 12), /"b": bytes before/],
    ["tail", withHeader({ a: entry(0, 4) }, 12), /8 bytes at its end/],
    ["size", withHeader({ a: entry(0, 8, [3]) }, 8), /F32 of shape \[3\] needs 12 bytes, the header gives 8/],
    ["dtype", withHeader({ a: entry(0, 8, [2], "F31") }, 8), /unknown dtype "F31"/],
    ["inherited dtype", withHeader({ a: entry(0, 8, [2], "constructor") }, 8), /unknown dtype/],
    ["negative", withHeader({ a: entry(0, 8, [-2]) }, 8), /impossible shape \[-2\]/],
    ["fraction", withHeader({ a: entry(0, 8, [2.5]) }, 8), /impossible shape/],
    ["absurd", withHeader({ a: entry(0, 8, [2 ** 40, 2 ** 40]) }, 8), /impossible shape/],
    ["reversed", withHeader({ a: entry(8, 0, [2]) }, 8), /impossible data offsets/],
    [
      "offset text",
      withHeader({ a: { dtype: "F32", shape: [1], data_offsets: "0,4" } }, 8),
      /impossible data offsets/,
    ],
  ];
  await inFolder(async (folder) => {
    for (const [name, bytes, pattern] of cases) {
      const path = join(folder, `${name}.safetensors`);
      await Deno.writeFile(path, bytes);
      await assert.rejects(openSafetensors(path), userError(pattern), name);
    }
    await assert.rejects(openSafetensors(join(folder, "none.safetensors")), userError(/does not exist/));
    await assert.rejects(openSafetensors(folder), userError(/folder/));
  });
});

Deno.test("opens a folder with shards, and names the one that is missing", async () => {
  const checkpoint = await openCheckpoint(join(reference, "sharded"));
  assert.deepEqual([...checkpoint.tensors.keys()], ["a", "b"]);
  assert.deepEqual([...toFloat32(await checkpoint.read("b"), "F32")], [3, 4]);
  await assert.rejects(checkpoint.read("c"), userError(/no tensor "c"/));
  checkpoint.close();

  await inFolder(async (folder) => {
    await assert.rejects(openCheckpoint(folder), userError(/has no weights/));
    const index = join(folder, "model.safetensors.index.json");
    const shard = "model-00001-of-00002.safetensors";
    await Deno.copyFile(join(reference, "sharded", shard), join(folder, shard));
    const write = (map: unknown) => Deno.writeTextFile(index, JSON.stringify({ weight_map: map }));
    await write({ a: shard, b: "model-00002-of-00002.safetensors" });
    await assert.rejects(openCheckpoint(folder), userError(/model-00002-of-00002.*missing/));
    await write({ a: shard, b: shard });
    await assert.rejects(openCheckpoint(folder), userError(/model-00001.*lacks the tensor "b"/));
    await write({ a: "../a.safetensors" });
    await assert.rejects(openCheckpoint(folder), userError(/"a" is said to lie in/));
    await write(3);
    await assert.rejects(openCheckpoint(folder), userError(/weight_map/));
    await Deno.copyFile(dtypes, join(folder, "model.safetensors"));
    const single = await openCheckpoint(folder);
    assert.equal(single.tensors.size, 10);
    single.close();
  });
});

Deno.test("a missing permission names its flag", { permissions: { read: false } }, async () => {
  await assert.rejects(openSafetensors(dtypes), userError(/--allow-read/));
});
