// The tokenizer over a tiny tokenizer.json of our own making; the ids are Rust's (tests/reference/tiny_tokenizer.py).

import assert from "node:assert/strict";
import { UserError } from "../lib/errors.ts";
import { loadTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";

const TINY = new URL("./reference/tiny_tokenizer/", import.meta.url).pathname;
const tiny = await loadTokenizer(TINY) as Tokenizer;
const reference: [string, number[], string][] = JSON.parse(await Deno.readTextFile(TINY + "ids.json"));

Deno.test("tokenizer: ids and decoded text equal Rust's, truncation and padding of the file ignored", () => {
  for (const [text, ids, decoded] of reference) {
    assert.deepEqual(tiny.encode(text), ids, text);
    assert.deepEqual(tiny.encode(text, { addSpecialTokens: false }), ids.slice(1), text);
    assert.equal(tiny.decode(ids), decoded);
  }
  assert.ok(tiny.encode("a long text that is longer than eight tokens by far").length > 8);
});

Deno.test("tokenizer: special tokens, ends and sizes", () => {
  const { bosId, eosId, padId, unkId, eosIds, addsBos, addsEos, vocabSize } = tiny;
  assert.deepEqual({ bosId, eosId, padId, unkId, eosIds, addsBos, addsEos, vocabSize }, {
    bosId: 1,
    eosId: 2,
    padId: 0,
    unkId: undefined,
    eosIds: [2, 4],
    addsBos: true,
    addsEos: false,
    vocabSize: 400,
  });
});

Deno.test("tokenizer: BOS comes exactly once, also where the text brings its own", () => {
  assert.deepEqual(tiny.encode("<s>a"), tiny.encode("a"));
  assert.deepEqual(tiny.encode("<s>"), [1]);
  assert.deepEqual(tiny.encode("<s><s>a", { addSpecialTokens: false }).slice(0, 2), [1, 1]);
});

Deno.test("tokenizer: decode skips special tokens unless told, and ids that no token has", () => {
  const ids = [...tiny.encode("a bond"), 2];
  assert.equal(tiny.decode(ids), "a bond");
  assert.equal(tiny.decode(Int32Array.from(ids), { skipSpecialTokens: false }), "<s>a bond</s>");
  assert.equal(tiny.decode([...ids, 100_000]), "a bond");
  assert.equal(tiny.decode([]), "");
});

Deno.test("tokenizer: the template named default renders, with and without the assistant's opening", () => {
  const messages = [{ role: "user", content: "Hi" }];
  assert.equal(tiny.applyChatTemplate(messages), "<|im_start|>user\nHi<|im_end|>\n");
  assert.equal(
    tiny.applyChatTemplate(messages, { addGenerationPrompt: true }),
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
  );
});

/** A folder with these files, and the tiny tokenizer.json unless another is given. */
async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = await Deno.makeTempDir();
  const all = { "tokenizer.json": await Deno.readTextFile(TINY + "tokenizer.json"), ...files };
  for (const [name, text] of Object.entries(all)) await Deno.writeTextFile(`${folder}/${name}`, text);
  return folder;
}

Deno.test("tokenizer: tokenizer.json alone is enough; chat_template.jinja comes before the configuration", async () => {
  const bare = await loadTokenizer(await folderWith({})) as Tokenizer;
  assert.deepEqual(bare.encode("a bond"), tiny.encode("a bond"));
  assert.deepEqual([bare.bosId, bare.eosId, bare.eosIds, bare.chatTemplate], [
    undefined,
    undefined,
    [],
    undefined,
  ]);
  assert.throws(() => bare.applyChatTemplate([]), /has no chat template/);
  const folder = await folderWith({
    "config.json": '{"eos_token_id": 2}',
    "tokenizer_config.json": '{"chat_template": "no", "added_tokens_decoder": {"400": {"content": "<new>"}}}',
    "chat_template.jinja": "{{ messages[0].content }}!{% if bad %}{{ raise_exception('never') }}{% endif %}",
  });
  const own = await loadTokenizer(folder) as Tokenizer;
  assert.equal(own.applyChatTemplate([{ role: "user", content: "Hi" }]), "Hi!");
  assert.deepEqual([own.eosId, own.eosIds, own.vocabSize], [2, [2], 401]);
  assert.deepEqual(own.encode("<new>", { addSpecialTokens: false }), [400]);
});

Deno.test("tokenizer: a template's own complaint reaches the user", async () => {
  const folder = await folderWith({ "chat_template.jinja": "{{ raise_exception('roles must alternate') }}" });
  const own = await loadTokenizer(folder) as Tokenizer;
  assert.throws(
    () => own.applyChatTemplate([]),
    (error) => error instanceof UserError && /roles must alternate/.test(error.message),
  );
});

Deno.test("tokenizer: no tokenizer.json gives undefined, a malformed one is named", async () => {
  assert.equal(await loadTokenizer(await Deno.makeTempDir()), undefined);
  const cases: [Record<string, string>, RegExp][] = [
    [{ "tokenizer.json": '{"model": ' }, /tokenizer\.json is not valid JSON/],
    [{ "tokenizer.json": "[]" }, /should hold a JSON object/],
    [{ "tokenizer.json": "{}" }, /has no "model"/],
    [{ "tokenizer.json": '{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}' }, /the id -1/],
    [
      { "tokenizer.json": '{"model": {"type": "BPE", "vocab": {"a": 99999999999}, "merges": []}}' },
      /the id 99999999999/,
    ],
    [{ "tokenizer.json": '{"model": {"type": "BPE", "vocab": {"a": 0}}}' }, /no list of "merges"/],
    [
      { "tokenizer.json": '{"model": {"type": "Unigram", "vocab": {"a": 0}}}' },
      /list of \[token, score\] pairs/,
    ],
    [{ "tokenizer.json": '{"model": {"type": "Odd", "vocab": {"a": 0}}}' }, /type "Odd" is not known/],
    [{
      "tokenizer.json":
        '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "pre_tokenizer": {"type": "Odd"}}',
    }, /cannot be used/],
    [{
      "tokenizer.json": '{"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": [{"id": 0}]}',
    }, /no "content"/],
    [{ "tokenizer_config.json": '{"eos_token": "<end>"}' }, /"<end>" is not in tokenizer\.json/],
    [
      { "tokenizer_config.json": '{"chat_template": [{"name": "rag", "template": ""}]}' },
      /no template named "default"/,
    ],
    [{ "generation_config.json": '{"eos_token_id": "two"}' }, /"eos_token_id" should be/],
  ];
  for (const [files, message] of cases) {
    await assert.rejects(async () => await loadTokenizer(await folderWith(files)), (error: Error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("tokenizer: whole texts are cut into words only where no token reaches across one", async () => {
  const characters = ["▁", "a", "b"];
  const tokenizerWith = async (merges: string[]) => {
    const tokens = [...characters, ...merges.map((merge) => merge.replace(" ", ""))];
    const model = { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges };
    const normalizer = { type: "Replace", pattern: { String: " " }, content: "▁" };
    return await loadTokenizer(
      await folderWith({ "tokenizer.json": JSON.stringify({ model, normalizer }) }),
    ) as Tokenizer;
  };
  assert.deepEqual((await tokenizerWith(["▁ b", "▁ ▁"])).encode("a b  a"), [1, 3, 4, 1]);
  assert.deepEqual((await tokenizerWith(["a ▁", "a▁ b"])).encode("a b"), [4]);
});
