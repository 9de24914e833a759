// Weights in several files with an index.
import { openCheckpoint } from "../../../lib/formats/checkpoint.ts";
import { folderFiles, folderPasses, mutateFolder } from "../mutate_folder.ts";
import type { Reader } from "../reader.ts";

const INDEX = "model.safetensors.index.json";

const reader: Reader = {
  name: "shards",
  outer: `${INDEX} is a JSON object and every shard has a readable header`,
  seeds: async () => [await folderFiles("llama_rope3/model")],
  mutate: (files, random) => mutateFolder(files, random, [INDEX]),
  passesOuter: (files) => folderPasses(files, [INDEX]),
  async read(folder) {
    const checkpoint = await openCheckpoint(folder);
    try {
      for (const name of checkpoint.tensors.keys()) await checkpoint.read(name);
    } finally {
      checkpoint.close();
    }
  },
};
export default reader;
