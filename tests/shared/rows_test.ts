// Real rows: loaded, rendered, tokenized and batched, against Rust's ids and the figures of the recipes.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { loadDataset } from "../../lib/data/load.ts";
import { packBatches, padBatches } from "../../lib/data/pack.ts";
import { alpaca, chat, financeQA } from "../../lib/data/prompt.ts";
import { loadTokenizer, type Tokenizer } from "../../lib/text/tokenizer.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const REFERENCE = new URL("../reference/tokenizer_ids/rows.json", import.meta.url);
const tokenizerOf = async (name: string) => await loadTokenizer(`${SHARED}/tokenizers/${name}`) as Tokenizer;
const data = (path: string) => `${SHARED}/data/${path}`;

const fiqa = await loadDataset(data("finance_alpaca/fiqa_pairs.jsonl"));
const general = await loadDataset(data("finance_alpaca/alpaca_en_demo.json"));

Deno.test("real files: rows and fields", async () => {
  assert.equal(String(fiqa), "fiqa_pairs.jsonl: 865 rows (instruction, input, output, text)");
  assert.equal(String(general), "alpaca_en_demo.json: 999 rows (instruction, input, output)");
  const tenK = await loadDataset(data("financial_qa_10k/Financial-QA-10k.csv"));
  assert.equal(String(tenK), "Financial-QA-10k.csv: 7000 rows (question, answer, context, ticker, filing)");
  assert.equal(financeQA.answer(tenK.at(0)), " NVIDIA initially focused on PC graphics.");
  const news = await loadDataset(data("fingpt/fpb_latin1.csv"), { encoding: "latin1" });
  assert.equal(String(news), "fpb_latin1.csv: 4846 rows (label, news)");
  const labels = [...Map.groupBy(news, (row) => row.label)].map(([label, rows]) => `${label} ${rows.length}`)
    .sort();
  assert.deepEqual(labels, ["negative 604", "neutral 2879", "positive 1363"]);
  assert.equal(String(await loadDataset(data("fingpt/fpb_latin1.csv"))), String(news)); // latin-1 is found out
  assert.equal((await loadDataset(data("finsight/base_sample_metrics.csv"))).length, 500);
});

for (const name of ["tinyllama", "smollm2", "qwen2.5", "mistral-v0.3"]) {
  Deno.test(`${name}: every token of 1,864 real rows is Rust's, with BOS and EOS once`, async () => {
    const tokenizer = await tokenizerOf(name);
    const reference = JSON.parse(await Deno.readTextFile(REFERENCE))[name];
    const batches = packBatches(fiqa.concat(general), { tokenizer, prompt: financeQA, maxLength: 100_000 });
    const lead = tokenizer.addsBos ? 1 : 0;
    const hash = createHash("sha256");
    [...batches.examples].forEach(({ inputIds }, i) => {
      if (lead) assert.equal(inputIds[0], tokenizer.bosId);
      assert.equal(inputIds.at(-1), tokenizer.eosId);
      hash.update((i > 0 ? " " : "") + inputIds.subarray(lead, -1).join(" "));
    });
    assert.equal(batches.tokens, reference.tokens + 1864 * (1 + lead));
    assert.equal(hash.digest("hex"), reference.sha256);
  });
}

Deno.test("recipe 2: 1,000 rows, 900 and 100, the document's steps, and questions that begin their rows", async () => {
  const tokenizer = await tokenizerOf("tinyllama");
  const rows = fiqa.concat(general).dedupe("instruction").take(1000);
  const { train, test } = rows.split({ test: 100, seed: 42 });
  assert.deepEqual([train.length, test.length], [900, 100]);
  const held = new Set(test.map((row) => row.instruction));
  assert.ok([...train].every((row) => !held.has(row.instruction)));
  const options = { tokenizer, prompt: financeQA, maxLength: 512, batchSize: 8 };
  const [packed, padded] = [packBatches(train, options), padBatches(train, options)];
  assert.deepEqual([packed.length, padded.length, packed.dropped], [113, 113, 0]);
  assert.ok(packed.fill > 0.97 && padded.fill === packed.paddedFill && padded.fill < 0.6, String(packed));
  for (const prompt of [financeQA, alpaca]) {
    for (const example of packBatches(test, { ...options, prompt, completionOnly: true }).examples) {
      const asked = tokenizer.encode(prompt.question(test.at(example.row)));
      assert.deepEqual([...example.inputIds.subarray(0, asked.length)], asked);
      assert.equal(example.labels.findIndex((label) => label !== -100), asked.length);
    }
  }
});

Deno.test("recipe 1: FinSight's token statistics, message by message and conversation by conversation", async () => {
  const tokenizer = await tokenizerOf("smollm2");
  const intro = await loadDataset(data("finsight/intro_conversations.jsonl"));
  const perRole: Record<string, number[]> = {};
  const totals = intro.map((row) =>
    row.messages.reduce((sum: number, message: { role: string; content: string }) => {
      const count = tokenizer.encode(tokenizer.applyChatTemplate([message])).length;
      (perRole[message.role] ??= []).push(count);
      return sum + count;
    }, 0)
  ).toArray().sort((a, b) => a - b);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const place = 0.95 * (totals.length - 1); // numpy's percentile
  const p95 = totals[Math.floor(place)] +
    (place % 1) * (totals[Math.ceil(place)] - totals[Math.floor(place)]);
  assert.equal(mean(totals) * totals.length, 381_703);
  assert.deepEqual(["system", "user", "assistant"].map((role) => mean(perRole[role]).toFixed(1)), [
    "26.2",
    "31.8",
    "86.7",
  ]);
  assert.equal(Math.round(p95), 428);
  const company = await loadDataset(data("finsight/company_conversations.jsonl"));
  const once = company.map((row) => tokenizer.encode(chat(tokenizer).render!(row, false)[0].text).length);
  assert.equal([...once].reduce((sum, count) => sum + count, 0), 650_819);
});

Deno.test("conversations: answers alone are trained, and decode to the assistant's own words", async () => {
  for (const name of ["tinyllama", "smollm2", "qwen2.5"]) {
    const tokenizer = await tokenizerOf(name);
    const rows = (await loadDataset(data("finsight/company_conversations.jsonl"))).take(20);
    const batches = packBatches(rows, {
      tokenizer,
      prompt: chat(tokenizer),
      completionOnly: true,
      maxLength: 4096,
    });
    for (const { inputIds, labels, row } of batches.examples) {
      const spans: number[][] = [];
      labels.forEach((label, i) => {
        if (label === -100) return;
        assert.equal(label, inputIds[i]);
        if (labels[i - 1] === -100) spans.push([]);
        spans.at(-1)?.push(label);
      });
      const spoken = rows.at(row).messages.filter((message: { role: string }) =>
        message.role === "assistant"
      );
      assert.deepEqual(
        spans.map((span) => tokenizer.decode(span).trim()),
        spoken.map((message: { content: string }) => message.content.trim()),
      );
    }
  }
});
