// Curation steps, TF-IDF, the funnel: what they count, refuse and draw.

import assert from "node:assert/strict";
import { curate, type CurationStep, type Decision } from "../lib/data/curate.ts";
import { fieldsStep, percentileStep, scoreStep, step } from "../lib/data/curate_steps.ts";
import { Dataset } from "../lib/data/dataset.ts";
import { cleanReddit } from "../lib/data/reddit/clean.ts";
import { similarStep, similarTexts } from "../lib/data/tfidf.ts";
import { funnelChart } from "../lib/report/funnel.ts";
import { renderPNG, renderSVG } from "../lib/report/render.ts";
import { refused } from "./refused.ts";

const numbers = new Dataset(Array.from({ length: 10 }, (_, i) => ({ i })), "numbers.jsonl");

Deno.test("curate: rows, origins, stages and dropped rows add up; the rows given stay as they are", () => {
  const curated = curate(numbers, [
    step("even", (row) => row.i % 2 === 0 || "odd"),
    step("doubled", (row) => ({ ...row, i: 2 * row.i })),
    step("below 10", (row) => row.i < 10),
    step("none left behind", () => true),
  ]);
  assert.deepEqual(curated.rows.toArray(), [{ i: 0 }, { i: 4 }, { i: 8 }]);
  assert.deepEqual(curated.origins, [0, 2, 4]);
  assert.equal(curated.rows.name, "numbers.jsonl");
  assert.deepEqual(curated.stages.map(({ step, before, after }) => [step, before, after]), [
    ["even", 10, 5],
    ["doubled", 5, 5],
    ["below 10", 5, 3],
    ["none left behind", 3, 3],
  ]);
  assert.deepEqual(curated.stages[2].reasons, { "not below 10": 2 });
  assert.deepEqual(curated.dropped.slice(-2), [
    { row: 6, step: "below 10", reason: "not below 10" },
    { row: 8, step: "below 10", reason: "not below 10" },
  ]);
  assert.deepEqual(numbers.at(2), { i: 2 });
  assert.equal(String(curated).split("\n").length, 6);
});

Deno.test("curate: no rows, no steps, steps that keep nothing", () => {
  assert.deepEqual(
    curate([], [step("any", () => true), percentileStep(["i"], 20), similarStep("text")]).stages[1],
    {
      step: "above the 20th percentile",
      before: 0,
      after: 0,
      reasons: {},
    },
  );
  assert.equal(curate(numbers, []).rows.length, 10);
  assert.equal(curate(numbers, [step("none", () => false), step("any", () => true)]).rows.length, 0);
});

Deno.test("curate: what cannot be is refused with file, row and field", async () => {
  const odd = (decision: unknown): CurationStep => step("odd", () => decision as Decision);
  const run = (steps: CurationStep[], rows: Iterable<unknown> = numbers) => () =>
    curate(rows as never, steps);
  await refused("a row of text", run([], new Dataset(["text"], "a.txt")), /^a\.txt, row 0 is "text"/);
  await refused("a promise", run([odd(Promise.resolve(true))]), /"odd" gives a promise/);
  await refused("undefined", run([odd(undefined)]), /"odd" gives undefined for a row/);
  await refused("a number", run([odd(3)]), /"odd" gives 3 for a row/);
  await refused(
    "too few",
    run([{ name: "short", decide: () => [true] }]),
    /"short" decided about 1 of 10 rows/,
  );
  const skip = step("skip 3", (row) => row.i > 2);
  await refused(
    "no number",
    run([skip, step("named", (row) => ({ i: `${row.i}` })), percentileStep(["i"], 20)]),
    /^numbers\.jsonl, row 3: field "i" is "3", not a number/,
  );
  await refused(
    "NaN",
    run([skip, scoreStep("luck", { score: () => NaN, above: 0 })]),
    /row 3: its luck is NaN/,
  );
  await refused("percentile", () => percentileStep(["i"], 120), /120 is not between 0 and 100/);
  await refused(
    "no text",
    run([skip, similarStep("i")]),
    /^numbers\.jsonl, row 3: field "i" is of type number/,
  );
  await refused("missing", run([similarStep("text")]), /row 0: field "text" is missing/);
});

Deno.test("curate: fields are checked, numbers read, optional texts filled in", () => {
  const rows = [
    { a: "x", n: "2.5", o: null },
    { a: "x", n: 1, o: "kept" },
    { a: "", n: 1 },
    { a: "x", n: true },
    { a: "x", n: Infinity },
    { a: "x", n: " " },
    { a: ["x"], n: 1 },
    { a: "x".repeat(11), n: 1 },
    { a: "x", n: 1, o: 1 },
    Object.create({ a: "inherited", n: 1 }),
  ];
  const { rows: kept, dropped } = curate(rows, [
    fieldsStep({ a: "text", n: "number", o: "text?", m: "number?" }, {
      maxLength: 10,
    }),
  ]);
  assert.deepEqual(kept.toArray(), [{ a: "x", n: 2.5, o: "" }, { a: "x", n: 1, o: "kept" }]);
  assert.deepEqual(dropped.map(({ reason }) => reason), [
    '"a" is blank',
    '"n" is no number',
    '"n" is no number',
    '"n" is no number',
    '"a" is no text',
    '"a" has more than 10 characters',
    '"o" is no text',
    '"a" is missing',
  ]);
});

Deno.test("curate: percentiles as pandas', every field counts, a row at the bar goes", () => {
  // pandas: pd.Series([3, 1, 4, 1, 5, 9]).quantile(0.4) = 3.0
  const rows = [3, 1, 4, 1, 5, 9].map((n) => ({ n, m: -n }));
  const kept = (fields: string[]) =>
    curate(rows, [percentileStep(fields, 40)]).rows.map((row) => row.n).toArray();
  assert.deepEqual(kept(["n"]), [4, 5, 9]);
  assert.deepEqual(kept(["n", "m"]), []);
  assert.equal(percentileStep(["n"], 40).name, "above the 40th percentile");
  assert.deepEqual([1, 2, 3, 11, 22.5].map((p) => percentileStep([], p).name.split(" ")[2]), [
    "1st",
    "2nd",
    "3rd",
    "11th",
    "22.5th",
  ]);
});

Deno.test("TF-IDF: stop words, runs of words, the limit of features, and what equals itself", async () => {
  // sklearn: TfidfVectorizer(ngram_range=(1, 2), stop_words=["the"]) over the same texts
  const texts = [
    "The bond pays interest",
    "the bond pays no interest",
    "cash is king",
    "",
    "The BOND pays interest!",
  ];
  const pairs = similarTexts(texts, { threshold: 0.3, stopWords: ["the"] });
  assert.deepEqual(pairs.map(({ first, second }) => [first, second]), [[0, 1], [0, 4], [1, 4]]);
  const wanted = [0.5240194, 1, 0.5240194];
  pairs.forEach(({ similarity }, i) => assert.ok(Math.abs(similarity - wanted[i]) < 1e-7, `${similarity}`));
  // One feature left, "bond", which the three share.
  const one = similarTexts(texts, { threshold: 0.9, maxFeatures: 1, stopWords: ["the"] });
  assert.equal(one.length, 3);
  assert.deepEqual(similarTexts([], {}), []);
  assert.deepEqual(similarTexts(["", "  "], { threshold: 0 }), []);
  await refused("a text alone", () => similarTexts("bond"), /list of texts/);
  await refused("no text", () => similarTexts([5 as never]), /text 0 is no text/);
  await refused("threshold", () => similarTexts([], { threshold: 2 }), /threshold is 2/);
  await refused("features", () => similarTexts(["a b"], { maxFeatures: 0 }), /maxFeatures is 0/);
  await refused("runs", () => similarTexts(["a b"], { ngram: 1.5 }), /ngram is 1\.5/);
});

Deno.test("TF-IDF: of rows that are alike the earliest stays, also where it went itself", () => {
  const texts = [
    "bonds loans yields coupons",
    "sell gold",
    "loans yields coupons mortgages",
    "yields coupons mortgages pensions",
    "bonds loans yields coupons",
  ];
  const pairs = similarTexts(texts, { threshold: 0.5 }).map(({ first, second }) => [first, second]);
  assert.deepEqual(pairs, [[0, 2], [2, 3], [0, 4], [2, 4]]);
  const { origins } = curate(texts.map((text) => ({ text })), [similarStep("text", { threshold: 0.5 })]);
  assert.deepEqual(origins, [0, 1]);
});

Deno.test("the funnel shows every step with its count and share", async () => {
  const stages = [
    { step: "scores", before: 250_000, after: 137_812 },
    { step: "relevance", before: 137_812, after: 4_707 },
    { step: 'no "quotes" & <marks>', before: 4_707, after: 0 },
  ];
  const chart = funnelChart(stages, { title: "Reddit", subtitle: "250,000 posts" });
  const svg = await renderSVG(chart);
  for (
    const text of [
      "Reddit",
      "250,000 posts",
      "all rows",
      "scores",
      "relevance",
      "137,812 (55 %)",
      "4,707 (1.9 %)",
    ]
  ) assert.ok(svg.replaceAll(/\s+/g, " ").includes(text), text);
  assert.ok(svg.includes('no "quotes" &amp; &lt;marks&gt;') || svg.includes("&quot;quotes&quot;"));
  assert.ok((await renderPNG(chart)).length > 10_000);
  await refused("no stages", () => funnelChart([]), /at least one stage/);
  await refused(
    "a widening one",
    () => funnelChart([{ step: "x", before: 1, after: 2 }]),
    /x goes from 1 to 2/,
  );
  assert.match(await renderSVG(funnelChart([{ step: "empty", before: 0, after: 0 }])), /all rows/);
});

Deno.test("curation: rows that are not there yet, a threshold that is no number, a paragraph of nothing", async () => {
  await refused("a promise", () => curate(Promise.resolve([]) as never, []), /^curate needs rows.*await/);
  await refused("nothing", () => curate(undefined as never, []), /^curate needs rows.* not undefined/);
  await refused(
    "threshold",
    () => scoreStep("quality", { score: () => 1, above: NaN }),
    /quality has to be above NaN/,
  );
  await refused("paragraph", () => cleanReddit("Buy.", { paragraph: 0 }), /paragraph is 0/);
});
