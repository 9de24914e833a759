// Weights that no file should hold: every format refuses NaN, and half precision what it has no room for, and no file is left.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { exportGGUF, exportONNX, loadModel, type Model, saveModel } from "@fintune/fintune";
import { devices } from "./devices.ts";
import { refused } from "./refused.ts";

const [device] = await devices();

async function modelWith(value: number): Promise<Model> {
  const model = await loadModel(fromFileUrl(new URL("../examples/tiny/model", import.meta.url)), { device });
  const weight = model.weights.get("model.layers.0.mlp.up_proj.weight")!;
  if (weight.kind === "dense") (weight.tensor.storage as Float32Array)[77] = value;
  return model;
}

const writers = {
  saveModel: (model: Model, folder: string, half: boolean) =>
    saveModel(model, join(folder, "model"), { dtype: half ? "f16" : "bf16" }),
  exportGGUF: (model: Model, folder: string, half: boolean) =>
    exportGGUF(model, join(folder, "model.gguf"), { type: half ? "f16" : "q8_0" }),
  exportONNX: (model: Model, folder: string, half: boolean) =>
    exportONNX(model, join(folder, "model"), { type: half ? "f16" : "q8" }),
};

for (const [name, write] of Object.entries(writers)) {
  Deno.test(`${name} refuses weights that are broken, or beyond half precision`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const broken = await modelWith(NaN), large = await modelWith(70000);
      const nan = /up_proj\.weight holds NaN \(number 77\): the weights are broken/;
      await refused("NaN", () => write(broken, folder, false), nan);
      await refused("NaN", () => write(broken, folder, true), nan);
      await refused(
        "70000",
        () => write(large, folder, true),
        /up_proj\.weight holds 70000, beyond what f16 can \(65504\): (save|export) as/,
      );
      assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name), []);
      await write(large, folder, false);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
