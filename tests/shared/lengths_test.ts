// The length report of real rows against numpy over the Rust library's ids (tests/reference/lengths.py).

import assert from "node:assert/strict";
import { lengthReport } from "../../lib/data/lengths.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { financeQA } from "../../lib/data/prompt.ts";
import { loadTokenizer } from "../../lib/text/tokenizer.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const reference = JSON.parse(
  await Deno.readTextFile(new URL("../reference/lengths/fiqa.json", import.meta.url)),
);
const fiqa = await loadDataset(`${SHARED}/data/finance_alpaca/fiqa_pairs.jsonl`);

for (const name of ["tinyllama", "smollm2"]) {
  Deno.test(`${name}: lengths of FiQA's rows, percentiles and wasted positions equal numpy's`, async () => {
    const tokenizer = await loadTokenizer(`${SHARED}/tokenizers/${name}`);
    const report = lengthReport(fiqa, {
      tokenizer,
      prompt: financeQA,
      maxLengths: [128, 256, 512, 1024, 2048],
    });
    const { limits, ...expected } = reference[name];
    for (const [field, value] of Object.entries(expected)) {
      assert.ok(Math.abs(report[field as "mean"] - (value as number)) < 1e-9, field);
    }
    report.limits.forEach((limit, i) => {
      for (const [field, value] of Object.entries(limit)) {
        assert.ok(Math.abs(value - limits[i][field]) < 1e-12, field);
      }
    });
  });
}
