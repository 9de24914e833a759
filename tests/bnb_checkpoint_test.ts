// Checkpoints that bitsandbytes quantised give the parts that quantising the original model here gives, too.

import assert from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { type Checkpoint, openCheckpoint } from "../lib/formats/checkpoint.ts";
import { toFloat32 } from "../lib/formats/safetensors.ts";
import { bnbParts, isBnbPart } from "../lib/quantize/bnb_checkpoint.ts";
import { nestAbsmax } from "../lib/quantize/nested.ts";
import { quantizeNF4Data } from "../lib/quantize/nf4.ts";
import { UserError } from "../lib/errors.ts";

const open = (folder: string) =>
  openCheckpoint(fromFileUrl(new URL(`./reference/${folder}/model`, import.meta.url)));
const userError = (pattern: RegExp) => (error: unknown) =>
  error instanceof UserError && pattern.test(error.message);
const WEIGHT = "model.layers.0.mlp.down_proj.weight", SHAPE = [64, 128];

for (const folder of ["llama_nf4", "llama_nf4_double"]) {
  Deno.test(`every quantised weight equals ours: ${folder}`, async () => {
    const original = await open("llama_tied"), quantised = await open(folder);
    let found = 0;
    for (const [name, { shape, dtype }] of original.tensors) {
      const parts = await bnbParts(quantised, name, shape);
      assert.equal(parts !== undefined, name.includes("proj"), name);
      if (!parts) continue;
      const ours = quantizeNF4Data(toFloat32(await original.read(name), dtype));
      assert.deepEqual(parts.codes, ours.codes, name);
      assert.equal(parts.nested !== undefined, folder === "llama_nf4_double");
      if (parts.nested) assert.deepEqual(parts.nested, nestAbsmax(ours.absmax!, parts.nested.offset), name);
      else assert.deepEqual(parts.absmax, ours.absmax, name);
      found++;
    }
    assert.equal(found, 14);
    const parts = [...quantised.tensors.keys()].filter(isBnbPart).length;
    assert.equal(parts, quantised.tensors.size - original.tensors.size);
    original.close();
    quantised.close();
  });
}

/** The checkpoint with one tensor replaced, or taken out. */
async function changed(suffix: string, bytes?: Uint8Array<ArrayBuffer>): Promise<Checkpoint> {
  const checkpoint = await open("llama_nf4_double");
  const tensors = new Map(checkpoint.tensors);
  if (bytes) {
    tensors.set(WEIGHT + suffix, { dtype: "U8", shape: [bytes.length], begin: 0, end: bytes.length });
  } else tensors.delete(WEIGHT + suffix);
  const read = async (name: string) =>
    bytes && name === WEIGHT + suffix ? bytes : await checkpoint.read(name);
  return { ...checkpoint, tensors, read };
}

Deno.test("parts that do not fit are refused", async () => {
  const state = (fields: Record<string, unknown>) =>
    new TextEncoder().encode(JSON.stringify({ blocksize: 64, shape: SHAPE, ...fields }));
  const key = ".quant_state.bitsandbytes__nf4";
  const deep = JSON.parse("[".repeat(50_000) + "]".repeat(50_000)); // as text in a message it would overflow the stack
  const cases: [string, Uint8Array<ArrayBuffer> | undefined, RegExp][] = [
    [".quant_state.bitsandbytes__fp4", new Uint8Array(2), /fp4, which is not supported/],
    [key, new TextEncoder().encode("{"), /not valid JSON/],
    [key, state({ shape: [8, 8] }), /is \[8,8\] in its quantisation state, but \[64,128\]/],
    [key, state({ shape: undefined }), /does not tell the weight's shape/],
    [key, state({ blocksize: 128 }), /blocks of 128: only 64/],
    [key, state({ shape: [deep] }), /does not tell the weight's shape/],
    [key, state({ nested_blocksize: deep }), /blocks of 64 and \[\[\[/],
    [key, state({ nested_blocksize: 256 }), /lacks nested_offset/],
    [".absmax", undefined, /lack .*absmax/],
    [".nested_absmax", new Uint8Array(1), /nested_absmax is U8 of shape \[1\], expected 1 of F32/],
    ["", new Uint8Array(7), /7 bytes of codes where 4096/],
  ];
  for (const [suffix, bytes, pattern] of cases) {
    const checkpoint = await changed(suffix, bytes);
    await assert.rejects(bnbParts(checkpoint, WEIGHT, SHAPE), userError(pattern));
    checkpoint.close();
  }
});
