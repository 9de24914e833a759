// Real tokenizers against Rust's ids (tests/reference/tokenizer_ids.py) and against Transformers.js' own test tables.

import assert from "node:assert/strict";
import { loadTokenizer, type Tokenizer } from "../../lib/text/tokenizer.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const REFERENCE = new URL("../reference/tokenizer_ids/", import.meta.url).pathname;
const load = async (name: string) => await loadTokenizer(`${SHARED}/tokenizers/${name}`) as Tokenizer;
const readJson = async (path: string) => JSON.parse(await Deno.readTextFile(path));

// T5's charsmap: JavaScript's and Rust's libraries cut the clusters differently where several accents follow one letter.
const KNOWN: Record<string, string[]> = { "flan-t5": ["e\u0301\u0302\u0303", "e\u0301\u0302\u0303\ufeff"] };

for (const name of ["tinyllama", "smollm2", "qwen2.5", "mistral-v0.3", "flan-t5"]) {
  Deno.test(`${name}: ids and decoded text of 261 strings equal Rust's`, async () => {
    const tokenizer = await load(name);
    const strings: string[] = await readJson(REFERENCE + "strings.json");
    const rows: [number[], string][] = await readJson(`${REFERENCE}${name}.json`);
    assert.equal(strings.length, 261);
    const differing = strings.filter((text, i) => {
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      return JSON.stringify(ids) !== JSON.stringify(rows[i][0]);
    });
    assert.deepEqual(differing, KNOWN[name] ?? []);
    const decoded = rows.map(([ids]) => tokenizer.decode(ids, { skipSpecialTokens: false }));
    if (name !== "flan-t5") assert.deepEqual(decoded, rows.map((row) => row[1])); // FLAN-T5's configuration asks for clean-up
  });
}

Deno.test("the special tokens of the real tokenizers", async () => {
  const facts: Record<string, unknown[]> = {};
  for (const name of ["tinyllama", "smollm2", "qwen2.5", "mistral-v0.3", "flan-t5"]) {
    const { bosId, eosId, padId, addsBos, addsEos, vocabSize } = await load(name);
    facts[name] = [bosId, eosId, padId, addsBos, addsEos, vocabSize];
  }
  assert.deepEqual(facts, {
    tinyllama: [1, 2, 2, true, false, 32000],
    smollm2: [0, 0, 0, false, false, 49152],
    "qwen2.5": [undefined, 151645, 151643, false, false, 151665],
    "mistral-v0.3": [1, 2, undefined, true, false, 32768],
    "flan-t5": [undefined, 1, 0, false, true, 32100],
  });
});

// FLAN-T5's file keeps a space at an edge that T5-small's drops: on these Rust, given FLAN-T5's file, agrees with us.
const OTHER_FILE: Record<string, string[]> = {
  "flan-t5": [
    "trailing space   ",
    "you…  ",
    "you…\xa0\xa0",
    "you…\xa0\xa0you…\xa0\xa0",
    "<s>\n",
    " </s> test </s> ",
    "Hey </s>. how are you",
  ],
};

const TABLES: [string, string, string][] = [ // [our tokenizer, file, the same vocabulary in that file]
  ["tinyllama", "llama", "Xenova/llama-tokenizer"],
  ["qwen2.5", "qwen2", "Xenova/Qwen1.5-0.5B-Chat"],
  ["flan-t5", "t5", "Xenova/t5-small"],
];
for (const [name, file, table] of TABLES) {
  Deno.test(`${name}: the test table of ${table}`, async () => {
    const tokenizer = await load(name);
    const rows = Object.values(
      (await readJson(`${SHARED}/tokenizers/test_vectors/transformersjs_${file}.json`))[table],
    );
    const texts = (rows as { text: string; ids: number[] }[]).filter((row) => typeof row.text === "string");
    const differing = texts.filter(({ text, ids }) => {
      // A text that begins with the BOS token gets no second one here, on purpose.
      const expected = ids[0] === tokenizer.bosId && ids[1] === tokenizer.bosId ? ids.slice(1) : ids;
      return JSON.stringify(tokenizer.encode(text)) !== JSON.stringify(expected);
    });
    assert.deepEqual(differing.map((row) => row.text), OTHER_FILE[name] ?? []);
    assert.ok(texts.length >= 25, `${texts.length} compared`);
  });
}

Deno.test("chat templates render as Transformers renders them", async () => {
  const messages = [{ role: "user", content: "What is a bond?" }, { role: "assistant", content: "A loan." }];
  assert.equal(
    (await load("tinyllama")).applyChatTemplate(messages, { addGenerationPrompt: true }),
    "<|user|>\nWhat is a bond?</s>\n<|assistant|>\nA loan.</s>\n<|assistant|>\n",
  );
  assert.equal(
    (await load("mistral-v0.3")).applyChatTemplate(messages),
    "<s>[INST] What is a bond?[/INST] A loan.</s>",
  );
  assert.match((await load("qwen2.5")).applyChatTemplate(messages), /^<\|im_start\|>system\nYou are Qwen/);
  assert.match(
    (await load("smollm2")).applyChatTemplate(messages),
    /^<\|im_start\|>system\nYou are a helpful AI/,
  );
});
