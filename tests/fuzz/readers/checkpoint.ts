// A run on disk: the adapter, the optimizer's moments and where the run stands.
import { join } from "@std/path";
import { openDevice } from "../../../lib/engine/open.ts";
import { attachLoRA } from "../../../lib/lora.ts";
import { loadModel } from "../../../lib/models/load.ts";
import { adamW } from "../../../lib/train/adamw.ts";
import { resumeTraining, saveCheckpoint } from "../../../lib/train/checkpoint.ts";
import { folderPasses, mutateFolder } from "../mutate_folder.ts";
import type { Files, Reader } from "../reader.ts";

const STATE = "training_state.json";
const device = await openDevice({ backend: "cpu" });
const base = await loadModel(new URL("../../reference/llama_tied/model", import.meta.url).pathname, {
  device,
});
const model = attachLoRA(base, { r: 2, quiet: true }), optimizer = adamW(model, { learningRate: 1e-3 });

const reader: Reader = {
  name: "checkpoint",
  outer: `${STATE} and adapter_config.json are JSON objects, both safetensors files have readable headers`,
  async seeds() {
    const folder = await Deno.makeTempDir(), files: Files = new Map();
    const saved = await saveCheckpoint(join(folder, "checkpoint-0"), {
      model,
      optimizer,
      state: { epoch: 1, batch: 3, seed: 5 },
    });
    for (const { name } of Deno.readDirSync(saved)) files.set(name, await Deno.readFile(join(saved, name)));
    await Deno.remove(folder, { recursive: true });
    return [files];
  },
  mutate: (files, random) => mutateFolder(files, random, [STATE, STATE, "optimizer.safetensors"]),
  passesOuter: (files) => folderPasses(files, [STATE, "optimizer.safetensors"]),
  read: async (folder) => await resumeTraining(folder, { model, optimizer }),
};
export default reader;
