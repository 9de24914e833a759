// Weights that bitsandbytes quantised: states that lie, scales and codebooks of other sizes.
import { openDevice } from "../../../lib/engine/open.ts";
import { freeModel } from "../../../lib/models/free.ts";
import { loadModel } from "../../../lib/models/load.ts";
import { joined } from "../mutate_bytes.ts";
import { folderFiles, folderPasses } from "../mutate_folder.ts";
import { mutateJson } from "../mutate_json.ts";
import { mutateSafetensors, safetensorsHeader } from "../mutate_safetensors.ts";
import { chance, pick, type Random } from "../random.ts";
import { encode, type Files, parsed, type Reader } from "../reader.ts";

const FILE = "model.safetensors", STATE = "quant_state";
const device = await openDevice({ backend: "cpu" });

/** Another text in a weight's quantisation state, or other numbers in its scales; the header stays true. */
function mutateParts(bytes: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const { header, data } = safetensorsHeader(bytes)!;
  const names = Object.keys(header).filter((name) => name.includes(STATE));
  const name = pick(random, names), [begin, end] = header[name].data_offsets;
  const text = encode(mutateJson(parsed(bytes.subarray(data + begin, data + end)), random, 1));
  const longer = text.length - (end - begin);
  header[name].data_offsets = [begin, end + longer];
  header[name].shape = [text.length];
  for (const other of Object.values(header)) {
    if (other !== header[name] && other.data_offsets?.[0] >= end) {
      other.data_offsets = other.data_offsets.map((offset) => offset + longer);
    }
  }
  const json = encode(JSON.stringify(header)), length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  return joined(length, json, bytes.subarray(data, data + begin), text, bytes.subarray(data + end));
}

const reader: Reader = {
  name: "bnb",
  outer: "config.json is a JSON object, model.safetensors has a readable header",
  seeds: async () => [await folderFiles("llama_nf4/model"), await folderFiles("llama_nf4_double/model")],
  mutate(files: Files, random) {
    const bytes = files.get(FILE)!;
    files.set(FILE, chance(random, 0.7) ? mutateParts(bytes, random) : mutateSafetensors(bytes, random));
  },
  passesOuter: (files) => folderPasses(files, ["config.json", FILE]),
  read: async (folder) => freeModel(await loadModel(folder, { device })),
};
export default reader;
