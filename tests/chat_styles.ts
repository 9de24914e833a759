// Chat templates of the field's styles (tests/reference/chat_templates) on the tiny tokenizer, which gets their special tokens.
import { join } from "@std/path";
import { loadTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";
import { readJson, referenceFolder } from "./references.ts";

const { templates, specials } = await readJson<{
  templates: Record<string, string>;
  specials: Record<string, string>;
}>("chat_templates", "cases.json");

/** Jinja sources by style. */
export const chatStyles: Readonly<Record<string, string>> = templates;

/** The tiny tokenizer with this template. */
export async function tokenizerWith(template: string): Promise<Tokenizer> {
  const folder = await Deno.makeTempDir();
  await Deno.copyFile(
    join(referenceFolder("tiny_tokenizer"), "tokenizer.json"),
    join(folder, "tokenizer.json"),
  );
  const added = Object.entries(specials).map(([id, content]) => [id, { content, special: true }]);
  const config = {
    bos_token: "<s>",
    eos_token: "</s>",
    chat_template: template,
    added_tokens_decoder: Object.fromEntries(added),
  };
  await Deno.writeTextFile(join(folder, "tokenizer_config.json"), JSON.stringify(config));
  const tokenizer = await loadTokenizer(folder) as Tokenizer;
  await Deno.remove(folder, { recursive: true });
  return tokenizer;
}
