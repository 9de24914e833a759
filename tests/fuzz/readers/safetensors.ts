// One safetensors file: headers that lie about offsets, dtypes, shapes, order and names.
import { join } from "@std/path";
import {
  elementBytes,
  elementCount,
  openSafetensors,
  toFloat32,
  writeSafetensors,
} from "../../../lib/formats/safetensors.ts";
import { patchBytes } from "../mutate_bytes.ts";
import { mutateSafetensors, safetensorsHeader } from "../mutate_safetensors.ts";
import { below, chance } from "../random.ts";
import type { Files, Reader } from "../reader.ts";

const FILE = "model.safetensors";

const reader: Reader = {
  name: "safetensors",
  outer: "the header's length lies within the file and the header is a JSON object",
  async seeds() {
    const path = await Deno.makeTempFile();
    const numbers = new Uint8Array(new Float32Array(64).fill(0.5).buffer);
    await writeSafetensors(
      path,
      new Map([
        ["weight", { dtype: "F32", shape: [4, 16], data: numbers }],
        ["half", { dtype: "BF16", shape: [2, 3], data: numbers.slice(0, 12) }],
        ["double", { dtype: "F64", shape: [5], data: numbers.slice(0, 40) }],
        ["scalar", { dtype: "F16", shape: [], data: numbers.slice(0, 2) }],
        ["codes", { dtype: "U8", shape: [7], data: numbers.slice(0, 7) }],
        ["none", { dtype: "I64", shape: [0, 3], data: new Uint8Array(0) }],
      ]),
      { format: "pt" },
    );
    const bytes = await Deno.readFile(path);
    await Deno.remove(path);
    return [new Map([[FILE, bytes]])];
  },
  mutate(files: Files, random) {
    const bytes = files.get(FILE)!;
    files.set(
      FILE,
      chance(random, 0.1)
        ? patchBytes(bytes, random, 0, 8 + below(random, 600))
        : mutateSafetensors(bytes, random),
    );
  },
  passesOuter: (files) => safetensorsHeader(files.get(FILE)!) !== undefined,
  async read(folder) {
    const file = await openSafetensors(join(folder, FILE));
    try {
      for (const [name, { dtype, shape }] of file.tensors) {
        const bytes = await file.read(name);
        if (bytes.length !== elementCount(shape) * elementBytes(dtype)) {
          throw new Error(`${name}: a lie got through`);
        }
        if (["F64", "F32", "F16", "BF16"].includes(dtype)) toFloat32(bytes, dtype);
      }
    } finally {
      file.close();
    }
  },
};
export default reader;
