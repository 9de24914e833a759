// The real sample of Reddit posts through FinSight's curation: every count and every score is the straight Python run's.

import assert from "node:assert/strict";
import { loadDataset } from "../../lib/data/load.ts";
import { redditConversations } from "../../lib/data/reddit/conversations.ts";
import { checkCosines, checkScores, checkSteps, curationReference } from "../curation.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const rows = await loadDataset(`${SHARED}/data/reddit_finance/sample.jsonl`);
const reference = await curationReference("sample");

Deno.test("the sample: 86 rows go through eleven steps as in Python, row by row", () => {
  const curated = checkSteps(rows, reference);
  console.log(String(curated));
  const talks = redditConversations(curated.rows, { seed: 42 });
  assert.equal(talks.length, curated.rows.length);
});

Deno.test("the sample: cleaned text and every score of every row", () => {
  console.log(`largest difference of a score: ${checkScores(rows.toArray(), reference)}`);
});

Deno.test("the sample: cosines of TF-IDF vectors above 0.1", () => {
  console.log(`${checkCosines(rows.toArray(), reference, 0.1)} pairs`);
});
