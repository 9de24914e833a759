// saveModel: what a folder holds, shards and dtypes, that it is whole or not there, that nothing is lost or replaced silently.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { openCheckpoint } from "../lib/formats/checkpoint.ts";
import { toFloat32 } from "../lib/formats/safetensors.ts";
import { attachLoRA } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import type { Model, Weight } from "../lib/models/model.ts";
import { saveModel } from "../lib/models/save_model.ts";
import { saveAdapter } from "../lib/peft.ts";
import { quantizeNF4 } from "../lib/quantize/quantize.ts";
import { devices } from "./devices.ts";
import { families, referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const [device] = await devices();
const referenceModel = (name: string) => loadModel(join(referenceFolder(name), "model"), { device });
const example = (name: string) => fromFileUrl(new URL(`../examples/${name}`, import.meta.url));

/** A path that does not exist yet, in a folder that goes afterwards. */
async function inFolder(action: (path: string) => Promise<void>): Promise<void> {
  const parent = await Deno.makeTempDir();
  try {
    await action(join(parent, "model"));
    assert.ok((await names(parent)).every((name) => !name.endsWith(".tmp")), "nothing half done stays");
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

const names = async (folder: string) =>
  (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();

async function values(model: Model, name: string): Promise<Float32Array> {
  const weight = model.weights.get(name)!;
  assert.ok(weight.kind === "dense");
  return (await device.read(weight.tensor))[0] as Float32Array;
}

for (const name of [...families, "t5_gated_untied", "t5_tied"]) {
  Deno.test(`saved and loaded: ${name}`, () =>
    inFolder(async (folder) => {
      const model = await referenceModel(name);
      await saveModel(model, folder);
      assert.deepEqual(await names(folder), ["config.json", "generation_config.json", "model.safetensors"]);
      const again = await loadModel(folder, { device });
      assert.deepEqual({ ...again.config, dtype: 0 }, { ...model.config, dtype: 0 });
      assert.deepEqual(again.generation, model.generation);
      assert.deepEqual([...again.weights.keys()].sort(), [...model.weights.keys()].sort());
      for (const key of model.weights.keys()) {
        assert.deepEqual(await values(again, key), await values(model, key), key);
      }
    }));
}

Deno.test("half precision is rounded to nearest; shards are no larger than asked, and make up the index", () =>
  inFolder(async (folder) => {
    const model = await referenceModel("llama_tied"), maxShardSize = 60_000;
    for (const [dtype, code] of [["f32", "F32"], ["f16", "F16"], ["bf16", "BF16"]] as const) {
      await saveModel(model, folder, { dtype, maxShardSize, overwrite: dtype !== "f32" });
      const index = JSON.parse(await Deno.readTextFile(join(folder, "model.safetensors.index.json")));
      const shards = [...new Set(Object.values<string>(index.weight_map))];
      assert.ok(shards.length > 2);
      assert.deepEqual((await names(folder)).filter((name) => name.startsWith("model-")), shards.sort());
      let total = 0;
      for (const shard of shards) {
        assert.match(shard, new RegExp(`^model-\\d{5}-of-0000${shards.length}\\.safetensors$`));
        const { size } = await Deno.stat(join(folder, shard));
        assert.ok(size < maxShardSize + 2000);
        total += size;
      }
      const { total_size, total_parameters } = index.metadata;
      assert.equal(total_parameters * (code === "F32" ? 4 : 2), total_size);
      assert.ok(total > total_size && total < total_size + shards.length * 2000);
      const checkpoint = await openCheckpoint(folder), name = "model.layers.1.mlp.up_proj.weight";
      assert.equal(checkpoint.tensors.get(name)!.dtype, code);
      const stored = toFloat32(await checkpoint.read(name), code), exact = await values(model, name);
      const unit = { f32: 0, f16: 2 ** -11, bf16: 2 ** -8 }[dtype];
      stored.forEach((x, i) =>
        assert.ok(Math.abs(x - exact[i]) <= unit * Math.abs(exact[i]) + 2 ** -25, `${x} ${exact[i]}`)
      );
      checkpoint.close();
    }
    // A large tensor has a shard of its own.
    await saveModel(model, folder, { maxShardSize: Infinity, overwrite: true });
    assert.deepEqual((await names(folder)).filter((name) => name.startsWith("model")), ["model.safetensors"]);
    await saveModel(model, folder, { maxShardSize: 1, overwrite: true });
    assert.equal(
      (await names(folder)).filter((name) => name.startsWith("model-")).length,
      model.weights.size,
    );
    // One file again: no shard and no index of before stays.
    await saveModel(model, folder, { overwrite: true });
    assert.deepEqual(await names(folder), ["config.json", "generation_config.json", "model.safetensors"]);
  }));

Deno.test("the tokenizer comes along, with its template and its ends", () =>
  inFolder(async (folder) => {
    for (const path of ["tiny/model", "fingpt/model/gemma", "sql/model"]) {
      const model = await loadModel(example(path), { device });
      await saveModel(model, folder, { overwrite: path !== "tiny/model" });
      const again = await loadModel(folder, { device }),
        [ours, theirs] = [again.tokenizer!, model.tokenizer!];
      const text = "What is a bond? 5 % of 1,200 — naïve  text\n";
      assert.deepEqual(ours.encode(text), theirs.encode(text));
      const own = [
        "bosId",
        "eosId",
        "padId",
        "unkId",
        "eosIds",
        "addsBos",
        "addsEos",
        "chatTemplate",
        "vocabSize",
      ] as const;
      for (const key of own) assert.deepEqual(ours[key], theirs[key], key);
      assert.equal(ours.decoderStartTokenId, theirs.decoderStartTokenId);
      if (!theirs.chatTemplate) continue;
      const talk = [{ role: "user", content: "Hello" }], options = { addGenerationPrompt: true };
      assert.equal(ours.applyChatTemplate(talk, options), theirs.applyChatTemplate(talk, options));
    }
  }));

Deno.test("a chat template of the caller's own is saved in place of the tokenizer's", () =>
  inFolder(async (folder) => {
    const model = await loadModel(example("fingpt/model/gemma"), { device });
    const save = (chatTemplate: string, other = model) => saveModel(other, folder, { chatTemplate });
    await refused(
      "a file's name",
      () => save("chat.jinja"),
      /leaves out what a user says: give the template/,
    );
    await refused(
      "no Jinja",
      () => save("{% for message in messages %}"),
      /chatTemplate: the chat template refused/,
    );
    const bare = await referenceModel("llama_tied");
    await refused("no tokenizer", () => save("{{ messages[0].content }}", bare), /has no tokenizer/);
    assert.deepEqual(await names(join(folder, "..")), []);
    await save(
      "{{ bos_token }}{% for message in messages %}[{{ message.role }}] {{ message.content }}{% endfor %}",
    );
    const { tokenizer } = await loadModel(folder, { device });
    assert.equal(tokenizer!.applyChatTemplate([{ role: "user", content: "Hi" }]), "<bos>[user] Hi");
    assert.notEqual(model.tokenizer!.chatTemplate, tokenizer!.chatTemplate);
  }));

Deno.test("a folder with other files keeps them; another model's tokenizer goes", () =>
  inFolder(async (folder) => {
    const model = await referenceModel("llama_tied"),
      tiny = await loadModel(example("tiny/model"), { device });
    await Deno.mkdir(folder);
    for (const name of ["notes.md", "tokenizer.model"]) await Deno.writeTextFile(join(folder, name), "mine");
    await saveModel(model, folder);
    assert.ok(
      (await names(folder)).includes("tokenizer.model"),
      "a model without a tokenizer leaves it alone",
    );
    await refused("a model", () => saveModel(model, folder), /already holds a model \(config\.json\)/);
    await saveModel(tiny, folder, { overwrite: true });
    assert.deepEqual(await names(folder), [
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "notes.md",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    assert.equal(await Deno.readTextFile(join(folder, "notes.md")), "mine");
    const other = join(folder, "other");
    await Deno.mkdir(other);
    await Deno.writeTextFile(join(other, "tokenizer.json"), "mine");
    await refused(
      "a file of ours",
      () => saveModel(tiny, other),
      /already holds a model \(tokenizer\.json\)/,
    );
    await Deno.rename(join(other, "tokenizer.json"), join(other, "model-00001-of-00002.safetensors"));
    await refused("a shard", () => saveModel(tiny, other), /model-00001-of-00002\.safetensors/);
    assert.deepEqual(await names(other), ["model-00001-of-00002.safetensors"]);
  }));

Deno.test("what would be lost is refused, and nothing stays behind", () =>
  inFolder(async (folder) => {
    const model = await referenceModel("llama_tied");
    const adapted = attachLoRA(model, { r: 2, quiet: true });
    await refused("an adapter", () =>
      saveModel(adapted, folder), /leave out the adapter in use: merge it first/);
    const small = await quantizeNF4(model, { keep: true });
    await refused("4 bits", () =>
      saveModel(small, folder), /q_proj\.weight is quantised.*mergeAdapter/);
    await refused("dtype", () =>
      saveModel(model, folder, { dtype: "float16" as "f16" }), /dtype is "float16"; it is "f32"/);
    await refused("shards", () =>
      saveModel(model, folder, { maxShardSize: 0 }), /maxShardSize is 0/);
    const name = "model.norm.weight", large = (await values(model, name)).slice();
    large[3] = 7e4;
    const weight: Weight = { kind: "dense", tensor: device.upload(large, [large.length], "f32") };
    const wide = { ...model, weights: new Map([...model.weights, [name, weight]]) };
    await refused("f16", () =>
      saveModel(wide, folder, { dtype: "f16" }), /model\.norm\.weight holds 70000, beyond what f16 can/);
    await Deno.mkdir(folder);
    await refused("f16", () =>
      saveModel(wide, folder, { dtype: "f16" }), /beyond what f16 can/);
    assert.deepEqual(await names(folder), []);
    await Deno.writeTextFile(join(folder, "file"), "");
    await refused("a file", () =>
      saveModel(model, join(folder, "file")), /where a folder is expected/);
    await refused("below a file", () =>
      saveModel(model, join(folder, "file", "model")), /where a folder is expected/);
    const adapter = join(folder, "adapter");
    await saveAdapter(adapted, adapter);
    const before = await names(adapter);
    await refused("an adapter's folder", () =>
      saveModel(model, adapter, { overwrite: true }), /holds an adapter.*choose another folder/);
    assert.deepEqual(await names(adapter), before);
  }));
