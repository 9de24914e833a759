// What saveModel writes, in the real transformers: the same logits for every family, merged, in every dtype, in shards; the
// same token ids and chats.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { mergeAdapter } from "../../lib/merge/merge.ts";
import { loadModel } from "../../lib/models/load.ts";
import type { Model } from "../../lib/models/model.ts";
import { saveModel } from "../../lib/models/save_model.ts";
import { loadAdapter } from "../../lib/peft.ts";
import { logits } from "../../lib/train/inspect.ts";
import { assertClose, type Cases, families, readCases, referenceFolder } from "../references.ts";
import { inTransformers, type Job } from "./saved_model.ts";

const example = (name: string) => fromFileUrl(new URL(`../../examples/${name}`, import.meta.url));

async function rowLogits(model: Model, { inputIds, labels }: Cases["rows"][number]): Promise<Float32Array> {
  const answer = [0, ...labels.slice(0, -1).map((id) => id === -100 ? 0 : id)];
  return (await logits(model, inputIds, { decoderInputIds: model.config.encoderDecoder && answer })).data;
}

Deno.test("logits in transformers are those here: every family, merged, f32, f16 and bf16, in shards", async () => {
  const parent = await Deno.makeTempDir(), jobs: (Job & { rows: Cases["rows"] })[] = [];
  const names = [...families, "t5_gated_untied", "t5_tied"];
  for (const name of names) {
    const { rows } = await readCases(name), base = await loadModel(join(referenceFolder(name), "model"));
    const { model } = await mergeAdapter(await loadAdapter(base, join(referenceFolder(name), "adapter")));
    for (const dtype of ["f32", "f16", "bf16"] as const) {
      const folder = join(parent, `${name}-${dtype}`);
      await saveModel(model, folder, { dtype, maxShardSize: dtype === "f16" ? 40_000 : undefined });
      jobs.push({ base: folder, rows });
    }
  }
  const found = await inTransformers(jobs);
  for (const [i, { base, rows }] of jobs.entries()) {
    const model = await loadModel(base);
    for (const [row, expected] of found[i].logits.entries()) {
      assertClose(await rowLogits(model, rows[row]), expected, 1e-4, `${base}, row ${row}`);
    }
    assert.deepEqual(found[i].dtypes, [base.split("-").at(-1)!.toUpperCase()]);
    assert.equal(found[i].shards > 1, base.endsWith("-f16"));
    assert.deepEqual(found[i].ends.sort(), [...model.generation.eosTokenIds].sort());
  }
  await Deno.remove(parent, { recursive: true });
});

Deno.test("token ids and chats in transformers are those here", async () => {
  const parent = await Deno.makeTempDir();
  const texts = [
    "What is a bond?",
    "  Two spaces,\ta tab\n\nlines; 1,234.5 % of EUR 100m don't",
    "Zürich: 你好，世界 ½ x²",
  ];
  const talks = [[{ role: "user", content: "What is a bond?" }]];
  const names = [
    "tiny/model",
    "finsight/model",
    "qwen2_risk/model",
    "fingpt/model/mistral",
    "fingpt/model/gemma",
    "sql/model",
  ];
  const models = await Promise.all(names.map((name) => loadModel(example(name))));
  const jobs = names.map((name, i) => ({
    base: join(parent, name),
    texts,
    talks: models[i].tokenizer!.chatTemplate === undefined ? [] : talks,
  }));
  for (const [i, model] of models.entries()) await saveModel(model, jobs[i].base, { dtype: "bf16" });
  const found = await inTransformers(jobs);
  for (const [i, { tokenizer }] of models.entries()) {
    assert.deepEqual(found[i].ids, texts.map((text) => tokenizer!.encode(text)), names[i]);
    const chats = jobs[i].talks.map((talk) =>
      tokenizer!.applyChatTemplate(talk, { addGenerationPrompt: true })
    );
    assert.deepEqual(found[i].chats, chats, names[i]);
  }
  await Deno.remove(parent, { recursive: true });
});

Deno.test("a chat template that is saved in place of the tokenizer's gives our text in transformers", async () => {
  const parent = await Deno.makeTempDir(), say = (role: string, content: string) => ({ role, content });
  const chatTemplate = [
    "{{- bos_token }}",
    "{%- if messages[0].role == 'system' %}",
    "    {{- 'Be this: ' + messages[0].content | trim + '\\n\\n' }}",
    "    {%- set messages = messages[1:] %}",
    "{%- endif %}",
    "{%- for message in messages %}",
    "    {%- if message.role == 'assistant' %}",
    "        {{- 'Adviser: ' }}{% generation %}{{ message.content + eos_token }}{% endgeneration %}{{ '\\n' }}",
    "    {%- else %}",
    "        {{- (loop.index0 // 2 + 1) ~ '. Client: ' ~ message.content ~ '\\n' }}",
    "    {%- endif %}",
    "{%- endfor %}",
    "{%- if add_generation_prompt %}{{- 'Adviser: ' }}{% endif %}",
  ].join("\n");
  const talks = [
    [say("user", "What is a bond?")],
    [say("system", " Brief. "), say("user", "你好 <b>\n"), say("assistant", "A loan."), say("user", "Why?")],
  ];
  const names = ["tiny/model", "qwen2_risk/model", "fingpt/model/gemma"];
  const jobs = names.map((name) => ({ base: join(parent, name), texts: [], talks }));
  for (const [i, name] of names.entries()) {
    await saveModel(await loadModel(example(name)), jobs[i].base, { dtype: "bf16", chatTemplate });
  }
  const found = await inTransformers(jobs);
  for (const [i, { base }] of jobs.entries()) {
    const tokenizer = (await loadModel(base)).tokenizer!;
    assert.equal(tokenizer.chatTemplate, chatTemplate);
    const chats = talks.map((talk) => tokenizer.applyChatTemplate(talk, { addGenerationPrompt: true }));
    assert.deepEqual(found[i].chats, chats, names[i]);
  }
  assert.match(
    found[0].chats![1],
    /Be this: Brief\.\n\n1\. Client: 你好 <b>\n\nAdviser: A loan\..*\n2\. Client: Why\?\nAdviser: $/,
  );
  await Deno.remove(parent, { recursive: true });
});
