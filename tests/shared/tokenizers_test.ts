// Real tokenizers against Rust's ids (tests/reference/tokenizer_ids.py) and against Transformers.js' own test tables.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { loadDataset } from "../../lib/data/load.ts";
import type { EncodingName } from "../../lib/text/tiktoken.ts";
import { BYTE_CHARACTERS } from "../../lib/text/token_bytes.ts";
import { loadEncoding, loadTokenizer, type Tokenizer } from "../../lib/text/tokenizer.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const REFERENCE = new URL("../reference/tokenizer_ids/", import.meta.url).pathname;
const loaded = new Map<string, Promise<Tokenizer>>();
/** A tokenizer of the shared folder, or one of tiktoken's encodings. */
function load(name: string): Promise<Tokenizer> {
  if (!loaded.has(name)) {
    const encoding = (ENCODINGS as readonly string[]).includes(name);
    const folder = `${SHARED}/tokenizers/${name}`;
    loaded.set(
      name,
      (encoding ? loadEncoding(name as EncodingName) : loadTokenizer(folder)) as Promise<Tokenizer>,
    );
  }
  return loaded.get(name)!;
}
const ENCODINGS: EncodingName[] = ["gpt2", "p50k_base", "cl100k_base", "o200k_base"];
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
    const under = strings.flatMap((text) => [text, text.repeat(40)]).filter((text) =>
      tokenizer.encode(text, { addSpecialTokens: false }).length < tokenizer.tokensAtLeast!(text)
    );
    assert.deepEqual(under, []);
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
  ["llama2", "llama", "Xenova/llama-tokenizer"],
  ["gpt2", "gpt2", "Xenova/gpt2"],
  ["gpt2", "gpt2", "openai-community/gpt2"],
  ["cl100k_base", "gpt2", "Xenova/gpt-4"],
  ["o200k_base", "gpt2", "Xenova/gpt-4o"],
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
    assert.ok(texts.length >= 4, `${texts.length} compared`);
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

// All rows of the shared data sets: one hash a file (tests/reference/tokenizer_rows.py).
const ROWS: Record<string, Record<string, [rows: number, tokens: number, sha256: string]>> = await readJson(
  new URL("../reference/tokenizer_rows/rows.json", import.meta.url).pathname,
);
const texts = new Map<string, string[]>();
async function textsOf(file: string): Promise<string[]> {
  if (!texts.has(file)) {
    const encoding = file.includes("latin1") ? "latin1" : "utf-8";
    const rows = await loadDataset(`${SHARED}/data/${file}`, { encoding });
    texts.set(file, [...rows].map((row) => [...leaves(row)].join("\n")));
  }
  return texts.get(file)!;
}

function* leaves(value: unknown): Generator<string> {
  if (typeof value === "string") yield value;
  else if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) yield* leaves(inner);
  }
}

for (const [name, files] of Object.entries(ROWS)) {
  Deno.test(`${name}: every id of all rows of ${Object.keys(files).length} files`, async () => {
    const tokenizer = await load(name);
    const differing: string[] = [];
    for (const [file, [rows, tokens, sha256]] of Object.entries(files)) {
      const ids = (await textsOf(file)).map((text) => tokenizer.encode(text, { addSpecialTokens: false }));
      const hash = createHash("sha256").update(ids.map((row) => row.join(" ")).join("\n")).digest("hex");
      const count = ids.reduce((sum, row) => sum + row.length, 0);
      if (hash !== sha256) {
        differing.push(`${file}: ${ids.length} of ${rows} rows, ${count} of ${tokens} tokens`);
      }
    }
    assert.deepEqual(differing, []);
  });
}

for (const name of ["llama2", ...ENCODINGS]) {
  Deno.test(`${name}: ids of 261 strings`, async () => {
    const tokenizer = await load(name);
    const strings: string[] = await readJson(REFERENCE + "strings.json");
    const rows: number[][] = await readJson(`${REFERENCE}${name}.json`);
    const differing = strings.filter((text, i) =>
      JSON.stringify(tokenizer.encode(text, { addSpecialTokens: false })) !== JSON.stringify(rows[i])
    );
    assert.deepEqual(differing, []);
  });
}

Deno.test("llama2: tokenizer.model gives the special tokens, and decodes what it encodes", async () => {
  const { bosId, eosId, unkId, padId, addsBos, addsEos, vocabSize, encode, decode } = await load("llama2");
  assert.deepEqual([bosId, eosId, unkId, padId, addsBos, addsEos, vocabSize], [
    1,
    2,
    0,
    undefined,
    true,
    false,
    32000,
  ]);
  assert.deepEqual(encode("Hello"), [1, 15043]);
  for (const text of ["Hello world", "  two spaces", "½ 分析 😀\n"]) assert.equal(decode(encode(text)), text);
});

Deno.test("qwen.tiktoken: the ranks of Qwen's first models give the ids of its tokenizer.json", async () => {
  const json = await readJson(`${SHARED}/tokenizers/qwen2.5/tokenizer.json`);
  const bytes = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));
  const lines = Object.entries(json.model.vocab as Record<string, number>).map(([token, id]) =>
    `${Buffer.from([...token].map((character) => bytes.get(character)!)).toString("base64")} ${id}\n`
  );
  assert.equal(lines.length, 151643);
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/qwen.tiktoken`, lines.join(""));
  const [ranks, whole] = [await loadTokenizer(folder) as Tokenizer, await load("qwen2.5")];
  assert.deepEqual([ranks.eosId, ranks.vocabSize], [151643, 151643 + 208]);
  for (const text of await textsOf("finance_alpaca/fiqa_pairs.jsonl")) {
    assert.deepEqual(ranks.encode(text), whole.encode(text));
  }
  await Deno.remove(folder, { recursive: true });
});
