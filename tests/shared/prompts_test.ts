// Every real file gives the right prompt without being told, or an error that names its fields.

import assert from "node:assert/strict";
import { detectPrompt } from "../../lib/data/detect.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { packBatches } from "../../lib/data/pack.ts";
import { loadTokenizer, type Tokenizer } from "../../lib/text/tokenizer.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const rowsOf = (file: string) =>
  loadDataset(`${SHARED}/data/${file}`, { encoding: file.includes("latin1") ? "latin1" : "utf-8" });
const tokenizers = await Promise.all(
  ["tinyllama", "smollm2", "qwen2.5", "mistral-v0.3"].map(async (name) =>
    [name, await loadTokenizer(`${SHARED}/tokenizers/${name}`) as Tokenizer] as const
  ),
);
const tokenizer = tokenizers[1][1];

const AS_THEY_STAND = "question and answer as they stand";
const FOUND: Record<string, string | RegExp> = {
  "finance_alpaca/alpaca_en_demo.json": "chat",
  "finance_alpaca/fin_qa_prompt_completion.json": "chat",
  "finance_alpaca/fiqa_pairs.jsonl": "chat",
  "financial_qa_10k/Financial-QA-10k.csv": "chat",
  "fingpt/fiqa_test.jsonl": AS_THEY_STAND,
  "fingpt/fpb_latin1.csv": "chat with the labels negative/neutral/positive",
  "fingpt/fpb_test.jsonl": AS_THEY_STAND,
  "fingpt/tfns_test.jsonl": AS_THEY_STAND,
  "fingpt/tfns_valid.csv": "chat with the labels 0/1/2",
  "finsight/base_sample_metrics.csv":
    /"prompt" has no "completion" beside it; .*\(it has prompt, reference, prediction/,
  "finsight/company_conversations.jsonl": "chat",
  "finsight/financial_definitions.jsonl": /\(it has term, definition;/,
  "finsight/intro_conversations.jsonl": "chat",
  "finsight/qlora_sample_metrics.csv": /\(it has prompt, reference, prediction/,
  "reddit_finance/sample.jsonl": /\(it has .*body/,
  "sql/sql_create_context_first4000.jsonl": "chat",
};

Deno.test("every file of the real data: the prompt that is found", async () => {
  const files: string[] = [];
  for await (const folder of Deno.readDir(`${SHARED}/data`)) {
    for await (const file of Deno.readDir(`${SHARED}/data/${folder.name}`)) {
      files.push(`${folder.name}/${file.name}`);
    }
  }
  assert.deepEqual(files.sort(), Object.keys(FOUND).sort());
  for (const file of files) {
    const [rows, expected] = [await rowsOf(file), FOUND[file]];
    if (typeof expected !== "string") assert.throws(() => detectPrompt(rows, tokenizer), expected);
    else {
      assert.equal(detectPrompt(rows, tokenizer).name, expected, file);
      const batches = packBatches(rows.take(20), { tokenizer, completionOnly: true, maxLength: 4096 });
      assert.deepEqual([batches.rows, batches.dropped], [20, 0], file);
    }
  }
});

Deno.test("the trained tokens of real conversations are the answers and their ends, to the letter", async () => {
  const rows = (await rowsOf("finsight/intro_conversations.jsonl")).take(200);
  for (const [name, own] of tokenizers) {
    const prompt = detectPrompt(rows, own);
    const end = name === "tinyllama" || name === "mistral-v0.3" ? "</s>" : "<|im_end|>";
    assert.equal(prompt.turnEnd, end);
    const { examples } = packBatches(rows, { tokenizer: own, prompt, completionOnly: true, maxLength: 8192 });
    assert.equal(examples.length, 200);
    for (const { inputIds, labels, row } of examples) {
      const runs: number[][] = [];
      inputIds.forEach((id, i) => {
        if (labels[i] === -100) return;
        if (labels[i - 1] === -100) runs.push([]);
        runs.at(-1)!.push(id);
      });
      const answers = rows.at(row).messages.filter((turn: { role: string }) => turn.role === "assistant");
      assert.deepEqual(
        runs.map((run) => own.decode(run, { skipSpecialTokens: false })),
        answers.map((turn: { content: string }) =>
          (name === "mistral-v0.3" ? turn.content.trim() : turn.content) + end
        ),
        `${name}, row ${row}`,
      );
      if (own.addsBos) assert.equal(inputIds.filter((id) => id === own.bosId).length, 1);
    }
  }
});
