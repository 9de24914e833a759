// Damaged and hostile GGUF files: each is refused in one sentence, soon, and without taking the memory that it asks for.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { UserError } from "../lib/errors.ts";
import { exportGGUF } from "../lib/gguf/export.ts";
import { openGguf } from "../lib/gguf/read.ts";
import { array, byteWriter, type Metadata, string, u32 } from "../lib/gguf/values.ts";
import { MAGIC } from "../lib/gguf/write.ts";
import { seededRandom } from "../lib/data/random.ts";
import { loadModel } from "../lib/models/load.ts";
import { referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
const path = join(folder, "file.gguf");

interface Header {
  version?: number;
  magic?: number;
  tensors?: number;
  entries?: number;
  metadata?: Metadata;
  /** name, dimensions (innermost first), type, offset */
  described?: [string, number[], number, number][];
  data?: number;
  /** Only so many bytes of it. */
  cut?: number;
}

function fileOf(header: Header): Uint8Array {
  const { version = 3, magic = MAGIC, metadata = new Map(), described = [], data = 0 } = header;
  const writer = byteWriter();
  writer.u32(magic);
  writer.u32(version);
  writer.u64(header.tensors ?? described.length);
  writer.u64(header.entries ?? metadata.size);
  for (const [key, value] of metadata) {
    writer.text(key);
    writer.value(value);
  }
  for (const [name, sizes, type, offset] of described) {
    writer.text(name);
    writer.u32(sizes.length);
    for (const size of sizes) writer.u64(size);
    writer.u32(type);
    writer.u64(offset);
  }
  const bytes = writer.done(), whole = new Uint8Array(Math.ceil(bytes.length / 32) * 32 + data);
  whole.set(bytes);
  return whole;
}

const one = (sizes: number[], type: number, offset = 0): Header => ({
  described: [["a", sizes, type, offset]],
  data: 256,
});
const lies: [string, Header, RegExp][] = [
  ["another magic", { magic: 0x12345678 }, /no GGUF file/],
  ["version 1", { version: 1 }, /version 1;/],
  ["big-endian", { version: 0x03000000 }, /big-endian/],
  ["a million million tensors", { tensors: 2 ** 40 }, /1099511627776 tensors are more than any/],
  ["as many entries", { entries: 2 ** 50 }, /entries are more than any/],
  [
    "a list longer than the file",
    { metadata: new Map([["x", array("u64", [1, 2])]]), cut: 60 },
    /2 values in/,
  ],
  [
    "an end in a text",
    { metadata: new Map([["x", string("a long text")]]), cut: 50 },
    /should go on for 11 more/,
  ],
  ["no dimensions", one([], 0), /0 dimensions/],
  ["five dimensions", one([1, 1, 1, 1, 1], 0), /5 dimensions/],
  ["an empty dimension", one([0, 4], 0), /impossible shape/],
  ["sizes beyond all numbers", one([2 ** 40, 2 ** 40], 0), /impossible shape/],
  ["an unknown format", one([256], 10), /number format 10/],
  ["rows that are no blocks", one([33], 8), /no whole blocks of Q8_0/],
  ["data beyond the end", one([1024], 0), /the file is truncated/],
  ["an offset beyond the end", one([4], 0, 2 ** 45), /the file is truncated/],
  ["an offset between", one([4], 0, 8), /not aligned/],
  ["one name twice", { described: [["a", [4], 0, 0], ["a", [4], 0, 32]], data: 64 }, /occurs twice/],
  ["data over data", { described: [["a", [16], 0, 0], ["b", [4], 0, 32]], data: 64 }, /overlap/],
  ["one of several files", { metadata: new Map([["split.count", u32(3)]]) }, /one of 3 parts/],
  ["an alignment of 7", { metadata: new Map([["general.alignment", u32(7)]]) }, /general.alignment is 7/],
];
for (const [what, header, pattern] of lies) {
  Deno.test(`a GGUF file with ${what} is refused`, async () => {
    await Deno.writeFile(path, fileOf(header).subarray(0, header.cut));
    await refused(what, async () => (await openGguf(path)).close(), pattern);
  });
}

const models: [string, Metadata, RegExp][] = [
  ["no architecture", new Map(), /architecture \(missing\)/],
  ["another architecture", new Map([["general.architecture", string("mamba")]]), /"mamba" is not supported/],
  ["an architecture that is a number", new Map([["general.architecture", u32(1)]]), /must be a string/],
  ["no sizes", new Map([["general.architecture", string("llama")]]), /must be a whole number/],
];
for (const [what, metadata, pattern] of models) {
  Deno.test(`a model with ${what} is refused`, async () => {
    await Deno.writeFile(path, fileOf({ metadata, data: 32 }));
    await refused(what, () => loadModel(path), pattern);
  });
}

Deno.test("240 damaged files: refused by a sentence, or read as what they are", async () => {
  const sources = ["../../examples/finsight/model", "llama_rope3/model", "qwen3_norm/model"];
  const random = seededRandom(7);
  for (const name of sources) {
    const good = join(folder, "good.gguf");
    await exportGGUF(await loadModel(referenceFolder(name)), good, { type: "q8_0", overwrite: true });
    const bytes = await Deno.readFile(good), header = name.startsWith("..") ? 20_000 : 3_000;
    for (let i = 0; i < 80; i++) {
      const damaged = bytes.slice(0, i % 4 === 3 ? Math.floor(random() * bytes.length) : undefined);
      const places = i % 4 === 3 ? 0 : 1 + Math.floor(random() * 3);
      for (let k = 0; k < places; k++) {
        const at = Math.floor(random() * Math.min(header, damaged.length));
        const values = [0, 255, 127, 1, Math.floor(random() * 256)];
        damaged[at] = values[Math.floor(random() * values.length)];
      }
      await Deno.writeFile(path, damaged);
      try {
        await loadModel(path);
      } catch (error) {
        assert.ok(error instanceof UserError, `${name}, file ${i}: ${(error as Error).stack}`);
      }
    }
  }
});
