// Tokenizers that are no tokenizer.json: SentencePiece's models against SentencePiece itself (tests/reference/tokenizer_rows.py), and
// tiktoken's encodings.

import assert from "node:assert/strict";
import { join } from "@std/path";
import { UserError } from "../lib/errors.ts";
import { type EncodingName } from "../lib/text/tiktoken.ts";
import { tokenEnds } from "../lib/text/token_bytes.ts";
import { loadEncoding, loadTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";

const HERE = new URL("./reference/sentencepiece/", import.meta.url).pathname;

async function folderWith(name: string, content: Uint8Array, config?: object): Promise<string> {
  const folder = await Deno.makeTempDir();
  await Deno.writeFile(join(folder, name), content);
  if (config) await Deno.writeTextFile(join(folder, "tokenizer_config.json"), JSON.stringify(config));
  return folder;
}
const loadModel = async (kind: string, config?: object) =>
  await loadTokenizer(
    await folderWith("tokenizer.model", await Deno.readFile(`${HERE}${kind}.model`), config),
  ) as Tokenizer;

for (const kind of ["bpe", "unigram"]) {
  Deno.test(`SentencePiece, ${kind}: ids of 260 strings are its own`, async () => {
    const tokenizer = await loadModel(kind);
    const cases: [string, number[], string][] = JSON.parse(await Deno.readTextFile(`${HERE}${kind}.json`));
    assert.equal(cases.length, 260);
    const differing = cases.filter(([text, ids]) =>
      JSON.stringify(tokenizer.encode(text, { addSpecialTokens: false })) !== JSON.stringify(ids)
    );
    // A text of nothing but the sign for a space is empty to SentencePiece; and "000" is as likely as "00" and "0" in either order: SentencePiece and the library take different ones.
    assert.deepEqual(differing.map(([text]) => text), kind === "unigram" ? ["▁", "1_000"] : []);
    if (kind === "unigram") return; // SentencePiece writes " ⁇ " for what it does not know
    // The library's decoder leaves out U+FEFF where it is made of bytes.
    const decoded = cases.filter(([text, ids, back]) =>
      !text.includes("\ufeff") && tokenizer.decode(ids) !== back
    );
    assert.deepEqual(decoded.map(([text]) => text), []);
  });
}

Deno.test("SentencePiece: special tokens, and what is added around a text", async () => {
  const facts = ({ bosId, eosId, unkId, padId, addsBos, addsEos, vocabSize }: Tokenizer) => [
    [bosId, eosId, unkId, padId],
    [addsBos, addsEos],
    vocabSize,
  ];
  assert.deepEqual(facts(await loadModel("bpe")), [[1, 2, 0, undefined], [true, false], 600]);
  assert.deepEqual(facts(await loadModel("unigram")), [[undefined, 1, 2, 0], [false, true], 400]);
  const asked = await loadModel("bpe", { add_bos_token: false, add_eos_token: true });
  assert.deepEqual(facts(asked)[1], [false, true]);
  assert.equal(asked.encode("a").at(-1), 2);
  const unigram = await loadModel("unigram");
  assert.equal(unigram.encode("a <ask> b").filter((id) => unigram.decode([id]) === "<ask>").length, 1);
});

Deno.test("SentencePiece: a broken file is named, at whatever byte it ends", async () => {
  const whole = await Deno.readFile(`${HERE}bpe.model`);
  const broken = [
    new Uint8Array(),
    Uint8Array.of(0xff, 0xff, 0xff),
    whole.subarray(0, 5000),
    whole.subarray(0, 7),
  ];
  for (const bytes of broken) {
    await assert.rejects(
      async () => await loadTokenizer(await folderWith("tokenizer.model", bytes)),
      (error) => error instanceof UserError && /tokenizer\.model/.test(error.message),
    );
  }
});

Deno.test("tiktoken: gpt2's ids, specials and ends; another name is refused", async () => {
  const gpt2 = await loadEncoding("gpt2");
  assert.deepEqual(gpt2.encode("hello world"), [31373, 995]);
  assert.deepEqual(gpt2.encode("a<|endoftext|>", { addSpecialTokens: false }), [64, 50256]);
  assert.deepEqual([gpt2.vocabSize, gpt2.eosId, gpt2.addsBos], [50257, 50256, false]);
  assert.equal(gpt2.decode(gpt2.encode("½ 分析 😀\n")), "½ 分析 😀\n");
  await assert.rejects(loadEncoding("gpt5" as EncodingName), /there is no encoding "gpt5": known are gpt2/);
});

Deno.test("tiktoken: a file of ranks of no known model is refused, a broken one by its line", async () => {
  const load = async (text: string) =>
    await loadTokenizer(await folderWith("qwen.tiktoken", new TextEncoder().encode(text)));
  await assert.rejects(load("IQ== 0\nIg== 1\n"), /has 2 ranks: known are Qwen's/);
  await assert.rejects(load("IQ== 0\nIg== x\n"), /qwen\.tiktoken, line 2: should be a token in base64/);
});

Deno.test("bytes of tokens: each token's end lies where its text ends", async () => {
  const tokenizer = await loadModel("bpe");
  const text = "Bond ½ 😀\n  two";
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const bytes = new TextEncoder().encode(text);
  const ends = tokenEnds(bytes, ids, tokenizer.tokenBytes!)!;
  assert.equal(ends.at(-1), bytes.length);
  ids.forEach((id, i) => {
    const own = new TextDecoder("latin1").decode(tokenizer.tokenBytes!(id));
    const there = new TextDecoder("latin1").decode(bytes.subarray(i === 0 ? 0 : ends[i - 1], ends[i]));
    assert.equal(i === 0 ? own.slice(1) : own, there);
  });
  assert.equal(tokenEnds(bytes.subarray(1), ids, tokenizer.tokenBytes!), undefined);
});
