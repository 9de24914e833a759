// A model whose answers come to no end by themselves, for tests that stop one.
import { fromFileUrl, join } from "@std/path";

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
