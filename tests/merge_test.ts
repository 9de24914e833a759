// mergeAdapter against PEFT's merge_and_unload (tests/reference/merge.py): weights and logits, both bases, every kind of adapter.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { elementCount } from "../lib/formats/dtypes.ts";
import { attachLoRA, useAdapter } from "../lib/lora.ts";
import { mergeAdapter } from "../lib/merge/merge.ts";
import { loadModel } from "../lib/models/load.ts";
import type { Model } from "../lib/models/model.ts";
import { loadAdapter } from "../lib/peft.ts";
import { weightValues } from "../lib/quantize/model.ts";
import { quantizeNF4 } from "../lib/quantize/quantize.ts";
import { logits } from "../lib/train/inspect.ts";
import { devices } from "./devices.ts";
import { assertClose, readJson, readTensors, referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

interface Case {
  model: string;
  adapter: string;
  original: string | null;
  rows: Record<string, { inputIds: number[]; labels: number[] }>;
}

const cases = await readJson<Record<string, Case>>("merge", "cases.json");
const modelOf = (name: string) => join(referenceFolder(name), "model");
/** The others differ from these in arithmetic that no device does. */
const everywhere = ["lora_nf4", "dora_nf4_original", "bias_all", "t5_tied"];
const ids = [[1, 15, 72, 91, 8], [1, 33, 8]];

/** After each of a text's tokens, or of an answer's behind T5's start token. */
async function rowLogits(model: Model, { inputIds, labels }: Case["rows"][string]): Promise<Float32Array> {
  const answer = [0, ...labels.slice(0, -1).map((id) => id === -100 ? 0 : id)];
  const decoderInputIds = model.config.encoderDecoder && answer;
  return (await logits(model, inputIds, { decoderInputIds })).data;
}

const all = await devices();
for (const device of all) {
  const load = (name: string) => loadModel(modelOf(name), { device, dtype: "f32" });
  for (const [name, { model: folder, adapter, original, rows }] of Object.entries(cases)) {
    if (device.backend !== "cpu" && !everywhere.includes(name)) continue;
    Deno.test(`${device.backend}: merged as by PEFT: ${name}`, async () => {
      const tuned = await loadAdapter(await load(folder), referenceFolder(adapter));
      const { model, difference } = await mergeAdapter(tuned, {
        rows: Object.values(rows).map(({ inputIds }) => inputIds),
        ...original && { into: "original", original: await load(original) },
      });
      const expected = await readTensors(join(referenceFolder("merge"), `${name}.safetensors`));
      // PEFT decomposes PiSSA's start in float32, which moves the base by 4e-6.
      const tolerance = name === "pissa" ? 1e-5 : 1e-6;
      for (const [key, values] of expected) {
        if (!key.startsWith("weight.")) continue;
        const weight = model.weights.get(key.slice("weight.".length))!;
        assertClose(await weightValues(device, weight), values, tolerance, key);
      }
      for (const [i, row] of Object.entries(rows)) {
        assertClose(
          await rowLogits(model, row),
          expected.get(`logits.${i}`),
          100 * tolerance,
          `logits of row ${i}`,
        );
      }
      assert.ok([...model.weights.values()].every(({ kind }) => kind === "dense"));
      assert.deepEqual([model.active, model.adapters.size], [undefined, 0]);
      assert.ok(tuned.weights.size === 0, "the unmerged model is given back");
      const { largest, mean, tokens } = difference!;
      if (original) assert.ok(largest > 0.01 && mean < largest, "4 bits had changed something");
      else assert.ok(largest < 1e-4 && mean < 1e-5, `${largest} is more than rounding`);
      assert.ok(tokens > 2);
    });
  }

  Deno.test(`${device.backend}: memory: nothing is held twice, nothing stays behind; kept models answer as before`, async () => {
    const before = device.memory().buffers,
      base = await load("llama_tied"),
      own = device.memory().buffers - before;
    const tuned = await loadAdapter(base, join(referenceFolder("llama_tied"), "adapter"));
    const kept = await mergeAdapter(tuned, { keep: true });
    const row = ids[0], after = (await logits(tuned, row)).data.slice();
    assertClose((await logits(kept.model, row)).data, after, 1e-4, "merged and unmerged");
    assert.notDeepEqual((await logits(useAdapter(tuned, undefined), row)).data, after);
    const shared = kept.model.weights.get("model.norm.weight");
    assert.equal(shared, base.weights.get("model.norm.weight"), "what is the same is not copied");
    const { model } = await mergeAdapter(
      await loadAdapter(await load("llama_tied"), referenceFolder("lora_extras/pissa")),
    );
    const count = device.memory().buffers;
    const other = attachLoRA(model, { r: 2, quiet: true, name: "again" });
    assert.equal((await mergeAdapter(other)).model.weights.size, own);
    assert.equal(device.memory().buffers, count);
  });

  Deno.test(`${device.backend}: the original is loaded again, given, or what PiSSA has kept of it`, async () => {
    const tuned = async (keep: boolean) =>
      await loadAdapter(
        await quantizeNF4(await load("llama_tied"), { keep }),
        join(referenceFolder("llama_tied"), "adapter"),
      );
    const given = await mergeAdapter(await tuned(true), { original: await load("llama_tied"), rows: ids });
    const loaded = await mergeAdapter(await tuned(false), { into: "original", rows: ids });
    for (const [name, weight] of loaded.model.weights) {
      const other = given.model.weights.get(name)!;
      assertClose(await weightValues(device, weight), await weightValues(device, other), 2e-3, name); // f16 on a GPU
    }
    assert.ok(loaded.difference!.largest > 0.01);
    // QPiSSA: the residual in NF4, and as it was before.
    const pissa = await attachLoRA(await load("llama_tied"), { r: 4, initLoraWeights: "pissa", quiet: true });
    const plain = (await logits(pissa, ids[0])).data.slice();
    const small = await quantizeNF4(pissa);
    const exact = await mergeAdapter(small, { rows: ids, keep: true });
    assert.ok(exact.difference!.largest < 1e-4);
    const { model, difference } = await mergeAdapter(small, { into: "original", rows: ids });
    assert.ok(difference!.largest > 0.01);
    assertClose((await logits(model, ids[0])).data, plain, 1e-4, "PiSSA merged into what it came from");
  });

  Deno.test(`${device.backend}: what cannot be merged is refused before anything is changed`, async () => {
    const base = await load("llama_tied"), adapter = join(referenceFolder("llama_tied"), "adapter");
    await refused("no adapter", () => mergeAdapter(base), /no adapter in use to merge/);
    const tuned = await loadAdapter(base, adapter),
      row = ids[0],
      before = (await logits(tuned, row)).data.slice();
    const merge = (options: Record<string, unknown>) => () => mergeAdapter(tuned, options);
    await refused("into", merge({ into: "f16" }), /into is "f16"; it is "original" or "dequantized"/);
    await refused("both", merge({ into: "dequantized", original: base }), /leave out one of the two/);
    await refused("no rows", merge({ rows: [] }), /at least one/);
    await refused("one row", merge({ rows: [1, 2] }), /list of texts/);
    await refused("a text", merge({ rows: "text" }), /list of texts/);
    await refused("texts", merge({ rows: ["text"] }), /has no tokenizer/);
    await refused("an empty row", merge({ rows: [[]] }), /row 0 is empty/);
    await refused("an id", merge({ rows: [[1, 120]] }), /outside the model's vocabulary/);
    await refused(
      "quantised",
      merge({ original: await load("llama_nf4") }),
      /llama_nf4.* is quantised itself/,
    );
    await refused(
      "another model",
      merge({ original: await load("qwen2_bias") }),
      /which the tuned model has not/,
    );
    await refused("other sizes", merge({ original: await load("llama_headdim") }), /it is another model/);
    const loftq = await loadAdapter(base, referenceFolder("lora_extras/loftq"), { name: "loftq" });
    await refused(
      "LoftQ",
      () => mergeAdapter(loftq, { into: "original" }),
      /begins with what quantising lost/,
    );
    const lost = { ...await loadAdapter(await load("llama_nf4"), adapter), name: "./nowhere" };
    await refused(
      "lost",
      () => mergeAdapter(lost, { into: "original" }),
      /loads \.\/nowhere again.*Pass that model/,
    );
    const native = await loadAdapter(await load("llama_nf4"), adapter);
    await refused(
      "4 bits in the file",
      () => mergeAdapter(native, { into: "original" }),
      /is quantised itself/,
    );
    const [name, tensor] = [...native.adapters.get("default")!.parameters].at(-1)!;
    const broken = device.upload(new Float32Array(elementCount(tensor.shape)).fill(NaN), tensor.shape, "f32");
    const { parameters, ...rest } = native.adapters.get("default")!;
    const adapters = new Map([["default", {
      ...rest,
      parameters: new Map([...parameters, [name, broken]]),
    }]]);
    await refused(
      "a broken adapter",
      () => mergeAdapter({ ...native, adapters }),
      /lora_[AB].* of the adapter "default" holds numbers that are not finite/,
    );
    assert.ok((await logits(native, row)).data.every(Number.isFinite));
    assert.deepEqual((await logits(tuned, row)).data, before);
  });
}

Deno.test("texts as rows; a tied head stays tied", async () => {
  const [device] = all, folder = fromFileUrl(new URL("../examples/tiny/model", import.meta.url));
  const base = await quantizeNF4(await loadModel(folder, { device }), { doubleQuant: true });
  const tuned = attachLoRA(base, { r: 4, targetModules: "all-linear", quiet: true });
  const rows = ["### Question: What is a bond?\n\n### Answer:", "A loan"];
  const exact = await mergeAdapter(tuned, { rows, keep: true }),
    clean = await mergeAdapter(tuned, { into: "original", rows });
  const tokens = rows.reduce((sum, row) => sum + base.tokenizer!.encode(row).length, 0);
  assert.deepEqual([exact.difference!.tokens, clean.difference!.tokens], [tokens, tokens]);
  assert.ok(exact.difference!.largest < 1e-3 && exact.difference!.otherTokens === 0);
  assert.ok(clean.difference!.mean > 10 * exact.difference!.mean);
  for (const { model } of [exact, clean]) {
    assert.ok(!model.weights.has("lm_head.weight") && model.config.tieWordEmbeddings);
    assert.equal(model.weights.size, 38);
  }
});
