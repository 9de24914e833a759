// Giving memory back: models, adapters, optimizers and the programs with weights built in; and copies of weights that change.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { openDevice } from "../lib/engine/open.ts";
import { generate, streamText } from "../lib/generate/generate.ts";
import { attachLoRA } from "../lib/lora.ts";
import { parseConfig } from "../lib/models/config.ts";
import { freeModel, removeAdapter } from "../lib/models/free.ts";
import { initModel } from "../lib/models/init.ts";
import { loadModel } from "../lib/models/load.ts";
import { headName } from "../lib/models/model.ts";
import { denseTensor } from "../lib/models/parameters.ts";
import { quantizeNF4 } from "../lib/quantize/quantize.ts";
import { adamW } from "../lib/train/adamw.ts";
import { devices } from "./devices.ts";
import { referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const folder = join(referenceFolder("llama_tied"), "model");
const endless = { maxNewTokens: 6, eosTokenIds: [] };

for (const device of await devices()) {
  Deno.test(`${device.backend}: nothing stays of a freed model, its adapters and its optimizer`, async () => {
    const warm = await loadModel(folder, { device });
    await generate(warm, [1, 15, 72], endless); // rotary tables are the device's and stay
    freeModel(warm);
    const before = device.memory();
    const base = await loadModel(folder, { device });
    const tuned = attachLoRA(base, { r: 2, quiet: true });
    const optimizer = adamW(tuned, { learningRate: 1e-3 });
    await generate(tuned, [1, 15, 72], endless);
    optimizer.free();
    const without = removeAdapter(tuned, "default");
    assert.equal(without.active, undefined);
    await generate(without, [1, 15, 72], endless);
    freeModel(without);
    const { live, buffers } = device.memory();
    assert.deepEqual({ live, buffers }, { live: before.live, buffers: before.buffers });
    await refused(
      "an unknown adapter",
      () => removeAdapter(base, "other"),
      /no adapter "other"; it has: none/,
    );
  });
}

Deno.test("cpu: programs with weights built in close when dropped, but not under a stream that decodes", async () => {
  const device = await openDevice({ backend: "cpu" });
  const base = await quantizeNF4(await loadModel(folder.replace("llama_tied", "llama_rope3"), { device }));
  const spelled = {
    ...base,
    tokenizer: { encode: () => [1, 5], decode: (ids: ArrayLike<number>) => "x".repeat(ids.length) },
  };
  const expected = await generate(base, [1, 5], endless);
  const stream = streamText(spelled as never, "", endless);
  await stream.next();
  const tuned = attachLoRA(base, { r: 2, quiet: true });
  assert.deepEqual(await generate(tuned, [1, 5], endless), expected, "a fresh adapter changes nothing");
  const rest = [];
  for await (const piece of stream) rest.push(piece);
  assert.equal(rest.length, endless.maxNewTokens - 1);
  freeModel(tuned);
});

Deno.test("cpu: freeing returns the memory of weights built in", async () => {
  const device = await openDevice({ backend: "cpu" });
  const config = parseConfig({
    model_type: "llama",
    vocab_size: 32000,
    hidden_size: 512,
    intermediate_size: 2048,
    num_hidden_layers: 2,
    num_attention_heads: 8,
    tie_word_embeddings: true,
  });
  const resident = () => Deno.memoryUsage().rss / 1e6;
  const round = async () => {
    const model = await initModel(config, { device });
    await generate(model, [1, 5], endless);
    freeModel(model);
    // Collecting the arrays is the engine's business; a little waiting gives it the occasion.
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await round();
  const first = resident();
  for (let i = 0; i < 4; i++) await round();
  // The weights are 99 MB, their copy as much.
  assert.ok(resident() < first + 250, `${first} MB after one model, ${resident()} MB after five`);
});

Deno.test("cpu: weights that were overwritten are built in anew", async () => {
  const device = await openDevice({ backend: "cpu" });
  const model = await loadModel(folder, { device });
  const before = await generate(model, [1, 15, 72], endless);
  const head = denseTensor(model, headName(model));
  const [numbers] = await device.read(head);
  const kept = numbers.slice();
  device.update(head, numbers.map((value, i) => i < numbers.length / 2 ? 3 * value : -value));
  const changed = await generate(model, [1, 15, 72], endless);
  assert.notDeepEqual(changed, before);
  device.update(head, kept);
  assert.deepEqual(await generate(model, [1, 15, 72], endless), before);
});
