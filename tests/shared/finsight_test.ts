// FinSight's five categories built from the real files, with what is left out and the table of statistics.

import assert from "node:assert/strict";
import { curate } from "../../lib/data/curate.ts";
import { fieldsStep } from "../../lib/data/curate_steps.ts";
import { loadDataset } from "../../lib/data/load.ts";
import { companyConversations } from "../../lib/data/finsight/company.ts";
import { definitionConversations } from "../../lib/data/finsight/definitions.ts";
import { financeConversations } from "../../lib/data/finsight/finance.ts";
import { introductionConversations } from "../../lib/data/finsight/introductions.ts";
import { splitEach } from "../../lib/data/finsight/mix.ts";
import { redditConversations } from "../../lib/data/reddit/conversations.ts";
import { redditSteps } from "../../lib/data/reddit/steps.ts";
import { datasetStatistics, statisticsTable } from "../../lib/data/statistics.ts";
import { loadTokenizer } from "../../lib/text/tokenizer.ts";
import { checkTalks } from "../talks.ts";

const SHARED = Deno.env.get("FINTUNE_SHARED") ?? "../shared";
const file = (path: string) => loadDataset(`${SHARED}/data/${path}`);

Deno.test("five categories from the real files", async () => {
  const tenK = curate(await file("financial_qa_10k/Financial-QA-10k.csv"), [
    fieldsStep({ question: "text", answer: "text", ticker: "text", filing: "text" }),
  ]);
  console.log(String(tenK));
  assert.deepEqual(tenK.dropped.map(({ reason }) => reason).sort(), [
    '"answer" is blank',
    '"question" is blank',
    '"question" is blank',
  ]);
  const reddit = curate(await file("reddit_finance/sample.jsonl"), redditSteps());
  const categories = {
    introduction: introductionConversations(1000),
    company_qa: companyConversations(tenK.rows),
    definition: definitionConversations(await file("finsight/financial_definitions.jsonl")),
    reddit: redditConversations(reddit.rows),
    finance: financeConversations(await file("finance_alpaca/fiqa_pairs.jsonl")),
  };
  for (const [type, talks] of Object.entries(categories)) checkTalks(talks, type);
  const answers = (talks: Iterable<{ metadata: { [field: string]: unknown } }>) =>
    [...talks].reduce((sum, { metadata }) => sum + Number(metadata.turns), 0);
  assert.equal(answers(categories.company_qa), tenK.rows.length);
  assert.equal(answers(categories.definition), 1592);
  const tokenizer = (await loadTokenizer(`${SHARED}/tokenizers/smollm2`))!;
  const statistics = [];
  for (const talks of Object.values(categories)) {
    statistics.push(await datasetStatistics(talks, { tokenizer }));
  }
  console.log(statisticsTable(statistics));
  const { train, test } = splitEach(Object.values(categories));
  console.log(`${train.length} conversations to train on, ${test.length} held out`);
  assert.equal(
    train.length + test.length,
    Object.values(categories).reduce((sum, { length }) => sum + length, 0),
  );
});
