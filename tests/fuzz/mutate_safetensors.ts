// Mutations of a safetensors file that know its header.
import { joined, mutateBytes } from "./mutate_bytes.ts";
import { mutateJson } from "./mutate_json.ts";
import { below, chance, pick, type Random } from "./random.ts";
import { encode, isJsonObject, parsed } from "./reader.ts";

type Bytes = Uint8Array<ArrayBuffer>;
interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: number[];
}

/** The header as JSON with the offset of the data; undefined where the outer parse fails. */
export function safetensorsHeader(bytes: Bytes): { header: Record<string, Entry>; data: number } | undefined {
  if (bytes.length < 8) return undefined;
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  if (length > bytes.length - 8) return undefined;
  const text = bytes.subarray(8, 8 + length);
  return isJsonObject(text) ? { header: parsed(text) as Record<string, Entry>, data: 8 + length } : undefined;
}

/** One to three changes: mostly of the header, which stays JSON of the length that is told. */
export function mutateSafetensors(bytes: Bytes, random: Random): Bytes {
  if (chance(random, 0.08)) return mutateBytes(bytes, random);
  const { header, data } = safetensorsHeader(bytes)!;
  for (let left = 1 + below(random, 2); left > 0; left--) changeHeader(header, bytes.length - data, random);
  const text = chance(random, 0.3) ? mutateJson(header, random, 1) : JSON.stringify(header);
  let content: Bytes = bytes.slice(data);
  if (chance(random, 0.15)) content = mutateBytes(content, random);
  const json = encode(text), length = new Uint8Array(8);
  const told = chance(random, 0.03) ? pick(random, [0, json.length - 1, 2 ** 40, 100_000_001]) : json.length;
  new DataView(length.buffer).setBigUint64(0, BigInt(told), true);
  return joined(length, json, content);
}

function changeHeader(header: Record<string, Entry>, size: number, random: Random): void {
  const names = Object.keys(header).filter((name) => Array.isArray(header[name]?.shape));
  if (names.length === 0) return;
  const name = pick(random, names), entry = header[name], other = header[pick(random, names)];
  const offset = pick(random, [0, 1, size, size + 1, 2 ** 32, 2 ** 53, -1, 0.5, below(random, size + 1)]);
  switch (below(random, 9)) {
    case 0:
      return void (entry.data_offsets = pick(random, [[offset, size], [0, offset], [offset, offset], [
        size,
        0,
      ]]));
    case 1: // overlapping another, or swapped with it
      if (chance(random, 0.5)) entry.data_offsets = other.data_offsets;
      else [entry.data_offsets, other.data_offsets] = [other.data_offsets, entry.data_offsets];
      return;
    case 2:
      return void (entry.dtype = pick(random, [
        "F32",
        "F16",
        "BF16",
        "I8",
        "BOOL",
        "C64",
        "F4",
        "float32",
        "",
        "__proto__",
      ]));
    case 3:
      return void (entry.shape = pick(random, [
        [...entry.shape].reverse(),
        [...entry.shape, 1],
        entry.shape.concat(2 ** 31, 2 ** 31),
        [2 ** 26, 2 ** 27, 0],
        [-4, -16],
        [...entry.shape, 0],
        Array(2000).fill(1),
      ]));
    case 4: // a claim and its offsets agree, the file does not
      entry.shape = [2 ** 33];
      entry.dtype = "U8";
      return void (entry.data_offsets = [0, 2 ** 33]);
    case 5: // empty tensors anywhere
      header[name + ".empty"] = { dtype: "F32", shape: [0], data_offsets: [offset, offset] };
      return;
    case 6:
      if (chance(random, 0.5)) delete header[name];
      else header[name] = pick<unknown>(random, [null, 5, "F32", []]) as Entry;
      return;
    case 7: // the same under another name
      header[pick(random, ["__metadata__", "__proto__", "", "a".repeat(5000), "\n"])] = entry;
      return;
    default: // many tensors
      for (let i = 0; i < 500; i++) header[`t${i}`] = { ...entry, data_offsets: [size, size], shape: [0] };
  }
}
