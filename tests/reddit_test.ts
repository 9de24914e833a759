// FinSight's Reddit curation on posts of our own, sound and hostile, against the straight Python run.

import assert from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { Dataset } from "../lib/data/dataset.ts";
import { loadDataset } from "../lib/data/load.ts";
import { cleanReddit } from "../lib/data/reddit/clean.ts";
import { financeRelevance } from "../lib/data/reddit/relevance.ts";
import { textComplexity, textQuality } from "../lib/data/reddit/quality.ts";
import { redditSteps } from "../lib/data/reddit/steps.ts";
import { answerFaults } from "../lib/data/reddit/faults.ts";
import { isProfane, spokenKinds } from "../lib/data/reddit/tone.ts";
import { financeEntities } from "../lib/data/reddit/entities.ts";
import { curate } from "../lib/data/curate.ts";
import { checkCosines, checkScores, checkSteps, curationReference } from "./curation.ts";

const rows = await loadDataset(fromFileUrl(new URL("./reference/reddit/posts.jsonl", import.meta.url)));
const reference = await curationReference("posts");

Deno.test("Reddit: every step keeps Python's rows, and every row that went has a reason", () => {
  const curated = checkSteps(rows, reference);
  assert.equal(curated.dropped.length + curated.rows.length, rows.length);
  for (const { before, after, reasons } of curated.stages) {
    assert.equal(before - after, Object.values(reasons).reduce((sum, count) => sum + count, 0));
  }
  const reasons = Object.keys(curated.stages[0].reasons).sort();
  assert.deepEqual(reasons, [
    '"body" is missing',
    '"body" is no text',
    '"selftext" is no text',
    '"title" is blank',
    '"z_score" is no number',
  ]);
  assert.deepEqual(curated.stages[2].reasons, { "nothing left of the title": 1 });
  assert.ok(curated.stages[9].reasons["like an earlier row"] >= 3);
  assert.deepEqual(curated.origins, reference.steps.at(-1)!.kept);
  assert.ok(
    curated.rows.toArray().every((row) => row.quality > 0.6 && row.complexity > 0.3 && row.relevance > 0.2),
  );
});

Deno.test("Reddit: cleaned text and every score are Python's", () => {
  assert.ok(checkScores(rows.toArray(), reference) < 1e-12);
});

Deno.test("Reddit: cosines are scikit-learn's", () => {
  assert.ok(checkCosines(rows.toArray(), reference, 0.3) > 500);
});

Deno.test("Reddit: scores of a user's own take the place of FinSight's, thresholds too", () => {
  const seen: string[] = [];
  const steps = redditSteps({
    quality: (text) => (seen.push(text), 1),
    relevance: () => 0.5,
    above: { relevance: 0.5, complexity: 0 },
    percentile: 0,
  });
  const { stages } = curate(rows, steps);
  assert.equal(seen.length, stages[3].before);
  assert.deepEqual(stages[5].reasons, { "relevance at most 0.5": stages[5].before });
  assert.equal(stages.at(-1)!.after, 0);
  const lenient = redditSteps({ kinds: () => ["a", "b"], profane: () => false, faults: () => [] });
  const { stages: wide } = curate(rows, lenient);
  assert.deepEqual([6, 7, 10].map((i) => wide[i].before - wide[i].after), [0, 0, 0]);
});

Deno.test("Reddit: what an edit line holds goes or stays", () => {
  const text = "Pay the loan.\n\nEDIT 2: fixed a typo\nMy credit: good. Update: better\nTL;DR pay";
  assert.equal(cleanReddit(text), "Pay the loan. My credit: good.");
  const unmarked = "Pay the loan. Fixed a typo My credit: good. Better pay.";
  assert.equal(cleanReddit(text, { editLines: "unmark" }), unmarked);
  assert.equal(cleanReddit("Thanks for the gold, kind stranger!\nBuy bonds"), "Buy bonds.");
});

Deno.test("Reddit: sentences make paragraphs of four", () => {
  const text = Array.from({ length: 9 }, (_, i) => `this is sentence ${"abcdefghi"[i]}${"abcdefghi"[i]}.`)
    .join(" ");
  const paragraphs = cleanReddit(text).split("\n\n");
  assert.deepEqual(paragraphs.map((one) => one.split(". ").length), [4, 4, 1]);
  assert.ok(paragraphs[1].startsWith("This is sentence ee."));
});

Deno.test("Reddit: hostile text takes no long time and gives finite scores", () => {
  const size = 20_000;
  const hostile = {
    brackets: "[".repeat(size),
    links: "[a](".repeat(size / 4),
    stars: "*".repeat(size),
    carets: "^".repeat(size),
    spaces: " ".repeat(size) + "x",
    breaks: "\n".repeat(size) + ">",
    dots: ". ".repeat(size / 2),
    digits: "1".repeat(size),
    commas: "1,".repeat(size / 2),
    quotes: "'\"".repeat(size / 2),
    edits: "edit ".repeat(size / 5),
    capitals: "A ".repeat(size / 2),
    names: "Aa-".repeat(size / 3),
    controls: "\0\x01\x1b".repeat(size / 3),
    emoji: "📈".repeat(size / 2),
    halves: "\ud83d".repeat(size),
    unicode: "ﷺ".repeat(size),
    closers: ". )".repeat(size / 3),
    empty: "",
  };
  const scores = [textQuality, textComplexity, financeRelevance];
  for (const [name, text] of Object.entries(hostile)) {
    const start = performance.now();
    const answer = cleanReddit(text);
    for (const given of [text, answer]) {
      for (const score of scores) {
        const value = score(given);
        assert.ok(value >= 0 && value <= 1, `${score.name} of ${name} is ${value}`);
      }
      answerFaults(given);
      spokenKinds(given);
      isProfane(given);
      financeEntities(given);
    }
    const time = performance.now() - start;
    assert.ok(time < 10_000, `${name} took ${time} ms`);
  }
  assert.equal(cleanReddit("\0 \u2028\ufeff"), "");
  const long = new Dataset([{ body: "x".repeat(50_001), title: "t" }], "long.jsonl");
  assert.deepEqual(Object.keys(curate(long, redditSteps()).stages[0].reasons), [
    '"body" has more than 50,000 characters',
  ]);
});
