// generation_config.json as defaults of generate: what the file says, what options override, what is refused.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { generate } from "../lib/generate/generate.ts";
import { loadModel } from "../lib/models/load.ts";
import { saveModel } from "../lib/models/save_model.ts";
import { devices } from "./devices.ts";
import { referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const [device] = await devices();
const plain = await loadModel(join(referenceFolder("llama_tied"), "model"), { device });
const prompt = [1, 15, 72, 91], endless = { eosTokenIds: [] };

/** The reference model with such a generation_config.json. */
async function withSettings(json: Record<string, unknown>) {
  const folder = await Deno.makeTempDir();
  try {
    await saveModel(plain, folder);
    await Deno.writeTextFile(join(folder, "generation_config.json"), JSON.stringify(json));
    return await loadModel(folder, { device });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the model's file gives the defaults, options come first", async () => {
  const model = await withSettings({
    eos_token_id: 2,
    do_sample: true,
    temperature: 0.9,
    top_p: 0.95,
    top_k: null,
    max_new_tokens: 7,
  });
  assert.deepEqual(model.generation.eosTokenIds, [2]);
  const drawn = await generate(model, prompt, endless);
  assert.equal(drawn.length, 7);
  assert.deepEqual(await generate(model, prompt, endless), drawn, "the seed decides");
  const said = { maxNewTokens: 7, temperature: 0.9, topP: 0.95, topK: 50, ...endless };
  assert.deepEqual(await generate(plain, prompt, said), drawn);
  assert.deepEqual(
    await generate(model, prompt, { ...endless, seed: 3 }),
    await generate(plain, prompt, { ...said, seed: 3 }),
  );

  const greedy = await generate(plain, prompt, { maxNewTokens: 7, ...endless });
  assert.deepEqual(await generate(model, prompt, { ...endless, doSample: false }), greedy);
  assert.deepEqual(await generate(model, prompt, { ...endless, temperature: 0 }), greedy);
  assert.equal((await generate(model, prompt, { ...endless, maxNewTokens: 2 })).length, 2);
});

Deno.test("a temperature counts only where tokens are drawn, penalties always", async () => {
  const cool = await withSettings({
    temperature: 0.6,
    top_p: 0.9,
    repetition_penalty: 1.3,
    no_repeat_ngram_size: 2,
  });
  const options = { maxNewTokens: 12, ...endless };
  const rules = { repetitionPenalty: 1.3, noRepeatNgramSize: 2 };
  assert.deepEqual(
    await generate(cool, prompt, options),
    await generate(plain, prompt, { ...options, ...rules }),
  );
  assert.deepEqual(
    await generate(cool, prompt, { ...options, doSample: true }),
    await generate(plain, prompt, { ...options, ...rules, temperature: 0.6, topP: 0.9 }),
  );
});

Deno.test("settings survive saving; wrong ones are refused by name", async () => {
  const model = await withSettings({ eos_token_id: [2], do_sample: true, top_k: 40, temperature: 0.5 });
  const folder = await Deno.makeTempDir();
  try {
    await saveModel(model, folder);
    assert.deepEqual((await loadModel(folder, { device })).generation, model.generation);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ temperature: -1 }, /generation_config\.json: temperature is -1; it must be a number of at least 0/],
    [{ temperature: "hot" }, /temperature is "hot"/],
    [{ top_p: 0 }, /top_p is 0/],
    [{ top_k: 2.5 }, /top_k is 2\.5/],
    [{ max_new_tokens: 0 }, /max_new_tokens is 0/],
    [{ do_sample: "yes" }, /do_sample is "yes"; it must be true or false/],
  ];
  for (const [json, message] of wrong) await refused("setting", () => withSettings(json), message);
  await refused(
    "option",
    () => generate(model, prompt, { doSample: true, temperature: 0 }),
    /temperature is 0/,
  );
});
