// The embedded rows of the text-to-SQL example: every query runs on its tables, held-out tables are new, gaps fill up again.

import assert from "node:assert/strict";
import { bySQL, countParameters, loadModel, sqlRows } from "@fintune/fintune";
import { queryKinds } from "../examples/sql/queries.ts";
import {
  asLlama2,
  firstKinds,
  newsQuestions,
  shuffleField,
  splitEntities,
  sqlQuestions,
} from "../examples/sql/rows.ts";
import { noteOf, sentinels, sqlText, withGaps } from "../examples/sql/text.ts";
import { embeddedTokenizer, firstDocuments } from "../examples/embedded.ts";
import { recipe } from "../examples/sql/recipe.ts";
import { drawFrom } from "../examples/tiny/random.ts";

const count = { train: 400, test: 160, seed: 5 };

Deno.test("every query runs on its tables and finds something on most", async () => {
  const { train, test } = sqlQuestions({ ...count, train: 80, test: 40 }), rows = [...train, ...test];
  const answers = rows.map(({ answer }) => answer);
  const scores = await sqlRows(answers, answers, rows.map(({ context }) => context));
  scores.forEach(({ exact, execution, reason }, i) =>
    assert.ok(exact && execution, `${answers[i]}: ${reason}`)
  );
  const informative = scores.filter((score) => score.informative).length / scores.length;
  assert.ok(informative > 0.95, `${informative}`);
});

Deno.test("questions are varied, the same from one seed, evenly of all kinds", () => {
  const { train, test } = sqlQuestions(count);
  assert.deepEqual(sqlQuestions(count), { train, test });
  assert.equal(new Set(train.map(({ question }) => question)).size, 400);
  for (const kind of queryKinds) {
    assert.equal(train.filter((row) => row.kind === kind).length, 400 / queryKinds.length);
  }
  const first = sqlQuestions(count, firstKinds);
  assert.deepEqual([...new Set(first.train.map(({ kind }) => kind))].sort(), [...firstKinds].sort());
  const words = /\b(?:WHERE|AND|OR|COUNT|SUM|AVG|MIN|MAX|GROUP BY|ORDER BY|DESC|LIMIT|JOIN)\b|[<>]=?|=/g;
  const used = new Set(train.flatMap(({ answer }) => answer.match(words) ?? []));
  assert.equal(used.size, 18, [...used].join(" "));
});

Deno.test("held-out questions are about tables of which no training row is", () => {
  const names = splitEntities(42);
  assert.deepEqual(names.train.filter(({ name }) => names.test.some((other) => other.name === name)), []);
  const { train, test } = sqlQuestions(count);
  const tables = (rows: { context: string }[]) =>
    new Set(rows.flatMap(({ context }) => [...context.matchAll(/TABLE (\w+)/g)].map(([, name]) => name)));
  const known = tables(train);
  for (const name of tables(test)) assert.ok(!known.has(name), name);
  const news = newsQuestions(count), passages = new Set(news.train.map(({ input }) => input));
  for (const { input } of news.test) assert.ok(!passages.has(input), input);
});

Deno.test("a text with gaps and what stood in them give the text again", () => {
  for (const text of firstDocuments(sqlText(3), 1e5)) {
    const { question, answer } = withGaps(text), parts = answer.split(/<extra_id_\d>/).slice(1);
    assert.ok(parts.length >= 1 && parts.length <= sentinels.length, text);
    assert.equal(parts.reduce((left, part, i) => left.replace(sentinels[i], () => part), question), text);
    assert.ok(parts.every((part) => part.trim() !== ""), answer);
  }
});

Deno.test("in pretraining no question comes with its query, but notes do", () => {
  const asks = /^(?:What|List|Show|Give|Find the \w+ of|How many|Count|For each)\b/m;
  for (const text of firstDocuments(sqlText(4), 3e5)) {
    assert.ok(!(/^SELECT|\tSELECT/m.test(text) && asks.test(text)), text);
  }
  const query = "SELECT city, AVG(fee) FROM fund WHERE rate >= 12 GROUP BY city ORDER BY age DESC";
  assert.deepEqual(noteOf(drawFrom(1), query).split("; ").sort(), [
    "by age falling",
    "find city, average fee",
    "for each city",
    "table fund",
    "whose rate at least 12",
  ]);
});

Deno.test("a row of the second set holds the whole prompt; shuffled answers are the same answers", () => {
  const { train } = sqlQuestions(count);
  assert.match(
    asLlama2(train[0]).input,
    /^### Instruction:\n.+\n\n### Input:\nCREATE TABLE .+\n\n### Response:\n$/,
  );
  const shuffled = shuffleField(train, "answer", 1);
  assert.deepEqual(shuffled.map(({ question }) => question), train.map(({ question }) => question));
  assert.deepEqual(shuffled.map(({ answer }) => answer).sort(), train.map(({ answer }) => answer).sort());
  assert.ok(shuffled.filter(({ answer }, i) => answer === train[i].answer).length < 40);
});

Deno.test("the score of queries looks at the tables beside the question", async () => {
  const context = "CREATE TABLE fund (name VARCHAR, fee INTEGER)";
  const answer = (prediction: string, reference: string, index: number) => ({
    row: { question: "?", context, answer: reference },
    ...{ index, question: "?", prediction, reference },
  });
  const answers = [
    answer("SELECT name FROM fund WHERE fee > 2", "SELECT name FROM fund WHERE fee > 2", 0),
    answer("select name from fund where not fee <= 2", "SELECT name FROM fund WHERE fee > 2", 1),
    answer("SELECT name FROM funds", "SELECT name FROM fund", 2),
    answer("SELECT name FROM fund", "SELECT name FROM elsewhere", 3),
  ];
  const measures = await bySQL().measure(answers, {} as never);
  assert.deepEqual(measures.map(({ name, rows }) => [name, rows]), [
    ["SQL exact", [1, 0, 0, 0]],
    ["SQL normalized", [1, 1, 0, 0]],
    ["SQL execution", [1, 1, 0, undefined]],
    ["SQL runs", [1, 1, 0, undefined]],
  ]);
});

Deno.test("the kept model is below 1 MB, loads, and its tokenizer is learnt from this text", async () => {
  let bytes = 0;
  for await (const { name } of Deno.readDir(recipe.folder)) {
    bytes += (await Deno.stat(`${recipe.folder}/${name}`)).size;
  }
  assert.ok(bytes < 1e6, `${bytes} bytes`);
  const kept = JSON.parse(await Deno.readTextFile(`${recipe.folder}/tokenizer.json`));
  assert.deepEqual(kept, JSON.parse(embeddedTokenizer(recipe)["tokenizer.json"]));
  const { config, tokenizer } = await loadModel(recipe.folder);
  assert.equal(countParameters(config), 431488);
  assert.equal(config.encoderDecoder?.numDecoderLayers, 2);
  for (const text of firstDocuments(sqlText(8), 1e4)) {
    const ids = tokenizer!.encode(text);
    assert.equal(ids.at(-1), tokenizer!.eosId);
    assert.equal(tokenizer!.decode(ids), text);
  }
});
