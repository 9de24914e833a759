// The embedded small Llama for the tests of chats: without an end, so that an answer can be stopped; tuned by chance, so that the
// adapter can be told from the base.
import { fromFileUrl, join } from "@std/path";
import { openDevice } from "../lib/engine/open.ts";
import { attachLoRA } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import { type Model, trainableParameters } from "../lib/models/model.ts";

/** The embedded small Llama. */
export const embedded: string = fromFileUrl(new URL("../examples/tiny/model", import.meta.url));

/** The embedded model, which no token ends. */
export async function endless(folder: string): Promise<string> {
  await Deno.mkdir(folder);
  for (const { name } of Deno.readDirSync(embedded)) {
    await Deno.copyFile(join(embedded, name), join(folder, name));
  }
  for (const name of ["generation_config.json", "tokenizer_config.json", "config.json"]) {
    const json = JSON.parse(await Deno.readTextFile(join(folder, name)));
    if ("eos_token" in json) json.eos_token = json.pad_token;
    if ("eos_token_id" in json) json.eos_token_id = json.pad_token_id ?? 2;
    await Deno.writeTextFile(join(folder, name), JSON.stringify(json));
  }
  return folder;
}

/** An adapter that changes what is said, without having learnt anything. */
export async function tunedAtRandom(): Promise<Model> {
  const base = await loadModel(embedded, { device: await openDevice({ backend: "cpu" }) });
  const model = attachLoRA(base, { r: 2, seed: 5, quiet: true });
  for (const { storage } of trainableParameters(model).values()) {
    (storage as Float32Array).forEach((value, i, all) => all[i] = value + 0.04 * Math.sin(i));
  }
  return model;
}
