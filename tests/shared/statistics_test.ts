// The published row of FinSight's introductions, to the token, and the company conversations in both ways of counting.

import assert from "node:assert/strict";
import { loadDataset } from "../../lib/data/load.ts";
import { datasetStatistics } from "../../lib/data/statistics.ts";
import { loadTokenizer } from "../../lib/text/tokenizer.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const tokenizer = (await loadTokenizer(`${SHARED}/tokenizers/smollm2`))!;
const statisticsOf = async (file: string) =>
  await datasetStatistics(await loadDataset(`${SHARED}/data/finsight/${file}`), { tokenizer });

Deno.test("introductions: the document's row, exactly", async () => {
  const { alone, conversations, once, roles } = await statisticsOf("intro_conversations.jsonl");
  const average = (role: string) => roles.find((one) => one.role === role)!.alone!.toFixed(1);
  assert.deepEqual(
    [
      alone!.tokens,
      conversations,
      alone!.mean.toFixed(1),
      average("system"),
      average("user"),
      average("assistant"),
    ],
    [381_703, 1000, "381.7", "26.2", "31.8", "86.7"],
  );
  assert.equal(alone!.p95, 428);
  assert.equal(once.tokens, 255_703);
});

Deno.test("company conversations: rendered alone and rendered once", async () => {
  const { alone, conversations, once } = await statisticsOf("company_conversations.jsonl");
  assert.deepEqual([alone!.tokens, once.tokens, conversations], [1_010_633, 650_819, 1354]);
});
