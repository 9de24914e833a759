// Models, tokenizers and adapters by their names on the Hub: the same as from folders, and only their own files are fetched.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { openDevice } from "../lib/engine/open.ts";
import { modelSource } from "../lib/hub/model.ts";
import { loadConfig, loadModel } from "../lib/models/load.ts";
import { loadAdapter, saveAdapter } from "../lib/peft.ts";
import { loadTokenizer } from "../lib/text/tokenizer.ts";
import { logits } from "../lib/train/inspect.ts";
import { startHub, variablesFor, withVariables } from "./hub_server.ts";
import { referenceFolder } from "./references.ts";

async function filesOf(...path: string[]): Promise<Record<string, Uint8Array>> {
  const folder = join(referenceFolder(path[0]), ...path.slice(1)), files: Record<string, Uint8Array> = {};
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile) files[name] = await Deno.readFile(join(folder, name));
  }
  return files;
}

Deno.test("loadModel, loadAdapter, loadTokenizer and loadConfig by names on the Hub", async () => {
  const base = await filesOf("llama_tied", "model"), other = await filesOf("llama_headdim", "model");
  await using hub = startHub({
    "models/acme/base": { files: { ...base, "pytorch_model.bin": "x" }, revisions: { v2: other } },
    "models/acme/adapter": {
      files: { ...await filesOf("llama_tied", "adapter"), "optimizer.pt": "x", "README.md": "x" },
    },
    "models/acme/older": {
      files: { "tokenizer.model": "x", "qwen.tiktoken": "y", "config.json": "{}", "vocab.txt": "z" },
    },
    "models/acme/words": { files: await filesOf("tiny_tokenizer") },
  });
  const cache = await Deno.makeTempDir(), device = await openDevice({ backend: "cpu" });
  const fetched = () => {
    const names = hub.log.filter(({ path }) => path.includes("/resolve/")).map(({ path }) =>
      path.split("/").at(-1)!
    );
    hub.log.length = 0;
    return names.sort();
  };
  await withVariables(variablesFor(hub, cache), async () => {
    assert.equal((await loadConfig("acme/base", { revision: "v2" })).hiddenSize, 48);
    assert.deepEqual(fetched(), ["config.json"]);
    const model = await loadModel("acme/base", { device });
    assert.equal(model.name, "acme/base");
    assert.deepEqual(fetched(), Object.keys(base).sort());
    const tuned = await loadAdapter(model, "acme/adapter");
    assert.deepEqual(fetched(), ["adapter_config.json", "adapter_model.safetensors"]);

    const folder = join(referenceFolder("llama_tied"), "adapter"), ids = [1, 5, 9, 30, 2];
    const local = await loadAdapter(
      await loadModel(join(referenceFolder("llama_tied"), "model"), { device }),
      folder,
    );
    assert.deepEqual((await logits(tuned, ids)).data, (await logits(local, ids)).data);
    await saveAdapter(tuned, join(cache, "out"));
    const saved = JSON.parse(await Deno.readTextFile(join(cache, "out/adapter_config.json")));
    assert.equal(saved.base_model_name_or_path, "acme/base");

    const tokenizer = await loadTokenizer("acme/words");
    const here = await loadTokenizer(referenceFolder("tiny_tokenizer"));
    assert.deepEqual(tokenizer?.encode("What is a bond?"), here?.encode("What is a bond?"));
    assert.ok(
      fetched().every((name) =>
        /^(tokenizer|tokenizer_config|special_tokens_map|generation_config)\.json$|jinja$/.test(name)
      ),
    );
    assert.equal(await loadTokenizer("acme/adapter"), undefined);
    const older = await modelSource("acme/older", { quiet: true });
    await older.fetch("tokenizer");
    assert.deepEqual(fetched(), ["config.json", "tokenizer.model"]);
  });
  await Deno.remove(cache, { recursive: true });
});
