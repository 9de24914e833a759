// A whole model folder with its weights in one file.
import { openDevice } from "../../../lib/engine/open.ts";
import { freeModel } from "../../../lib/models/free.ts";
import { loadModel } from "../../../lib/models/load.ts";
import { folderFiles, folderPasses, mutateFolder } from "../mutate_folder.ts";
import type { Reader } from "../reader.ts";

const device = await openDevice({ backend: "cpu" });

const reader: Reader = {
  name: "model",
  outer: "config.json and generation_config.json are JSON objects, model.safetensors has a readable header",
  seeds: async () => [await folderFiles("llama_tied/model"), await folderFiles("llama_nf4/model")],
  mutate: (files, random) =>
    mutateFolder(files, random, ["config.json", "generation_config.json", "model.safetensors"]),
  passesOuter: (files) => folderPasses(files, ["config.json", "model.safetensors"]),
  read: async (folder) => freeModel(await loadModel(folder, { device })),
};
export default reader;
