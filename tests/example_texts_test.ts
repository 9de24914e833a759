// The generators and the embedded models of the FinSight and FinGPT examples: labels that follow from the words, held-out
// rows that training does not tell, folders below one megabyte that their recipes reproduce.

import assert from "node:assert/strict";
import { join } from "@std/path";
import { type EmbeddedModel, embeddedTokenizer } from "../examples/embedded.ts";
import { figures, upward, verbsOf } from "../examples/fingpt/figures.ts";
import { recipe as gemma } from "../examples/fingpt/gemma.ts";
import { headlineRows } from "../examples/fingpt/headline_rows.ts";
import { headlineKinds } from "../examples/fingpt/headlines.ts";
import { marketNews } from "../examples/fingpt/market_text.ts";
import { recipe as mistral } from "../examples/fingpt/mistral.ts";
import { loadSentiments, shuffleOutputs } from "../examples/fingpt/rows.ts";
import { firstDocuments } from "../examples/embedded.ts";
import {
  categories,
  drawConversations,
  shuffleAnswers,
  splitSubjects,
} from "../examples/finsight/conversations.ts";
import { recipe as llama } from "../examples/finsight/recipe.ts";
import { drawThreads } from "../examples/finsight/threads.ts";
import { fewTerms, shortText } from "../examples/tiny/short_text.ts";
import { factKinds, factQuestions } from "../examples/tiny/questions.ts";
import { countParameters, curate, Dataset, loadConfig, redditSteps, type Row } from "../mod.ts";

const share = (items: readonly string[]) => new Set(items).size / items.length;
const headlines = headlineRows({ train: 1500, test: 300, seed: 42 });

Deno.test("headlines: decided by the seed, as many of each label, varied, none of the test in training", () => {
  assert.deepEqual(headlineRows({ train: 1500, test: 300, seed: 42 }), headlines);
  const { train, test } = headlines, known = new Set(train.map(({ input }) => input));
  assert.ok(test.every(({ input }) => !known.has(input)));
  assert.equal(share([...train, ...test].map(({ input }) => input)), 1);
  for (const rows of [train, test]) {
    for (const label of ["negative", "neutral", "positive"]) {
      assert.equal(rows.filter(({ output }) => output === label).length, rows.length / 3);
    }
    assert.deepEqual(new Set(rows.map(({ kind }) => kind)), new Set(headlineKinds));
    for (const { input } of rows) assert.doesNotMatch(input, /undefined|NaN| {2}|positive|negative/, input);
  }
  // Without firms, numbers and places hardly any two are alike.
  const shapes = train.map(({ input }) => input.replace(/\$\w+|[A-Z]\w+|[\d.]+/g, "_"));
  assert.ok(share(shapes) > 0.6, `${share(shapes)} of the shapes are distinct`);
});

/** Good figures up and bad ones down are positive: told here anew, from the words alone. */
function moved(input: string): string {
  const text = ` ${input.toLowerCase()} `;
  const bad =
    /debt|loss|costs|write-down|unpaid|default|vacanc|scrap|sick|complaint|cancelled|accident|returned/.test(
      text,
    );
  const up =
    / (rose|rises?|climb\w*|grew|grows?|increase[sd]?|jump\w*|surge[sd]?|w?e?nt up|goes up|go up|soar\w*|pick\w* up|edge[sd]? up|advance[sd]?|sho+ts? up|shot up|double[sd]?|triple[sd]?|swell\w*|move[sd]? higher) /
      .test(text.replace(/[,.]/g, " "));
  return up !== bad ? "positive" : "negative";
}

Deno.test("headlines: the label follows from figure and direction, and from two numbers", () => {
  const rows = [...headlines.train, ...headlines.test];
  const figure = rows.filter(({ kind }) => kind === "figure");
  assert.ok(figure.length > 300);
  for (const { input, output } of figure) assert.equal(output, moved(input), input);
  const numbers = rows.filter(({ kind }) => kind === "numbers");
  assert.ok(numbers.length > 60);
  for (const { input, output } of numbers) {
    const [a, b] = input.match(/\d+/g)!.map(Number),
      [now, before] = /^\S* ?-? ?after/i.test(input) ? [b, a] : [a, b];
    const bad =
      /debt|loss|costs|write-down|unpaid|default|vacanc|scrap|sick|complaint|cancelled|accident|returned/i;
    const good = !bad.test(input);
    const expected = now === before ? "neutral" : (now > before) === good ? "positive" : "negative";
    assert.equal(output, expected, input);
  }
  for (const { input, output, kind } of rows) {
    if (["flat", "open", "fact"].includes(kind)) assert.equal(output, "neutral", input);
    if (kind === "effort") {
      assert.match(input, output === "positive" ? /managed|avoided|has stopped/ : /failed|could not|unable/);
    }
    if (/downgraded|lays off|cancels|fines|misses/.test(input)) assert.equal(output, "negative", input);
    if (/upgraded|extends|wins an order|clears/.test(input)) assert.equal(output, "positive", input);
  }
});

Deno.test("headlines: some verbs are kept away from training; figures are good and bad", () => {
  const common = new Set(verbsOf(upward, "common").map(({ past }) => past));
  const rare = upward.filter(({ past }) => !common.has(past)).map(({ past }) => past);
  assert.ok(rare.length >= 3);
  for (const { input } of headlines.train) {
    for (const verb of rare) assert.ok(!input.includes(` ${verb} `), input);
  }
  assert.ok(figures.filter(({ good }) => !good).length >= 15 && figures.length >= 35);
});

Deno.test("shuffled outputs are the same labels on other headlines", () => {
  const shuffled = shuffleOutputs(headlines.train, 1);
  assert.deepEqual(
    shuffled.map(({ output }) => output).sort(),
    headlines.train.map(({ output }) => output).sort(),
  );
  const kept = shuffled.filter(({ output }, i) => output === headlines.train[i].output).length;
  assert.ok(Math.abs(kept / shuffled.length - 1 / 3) < 0.05, `${kept} rows kept their label`);
});

Deno.test("sentiment sets in FinGPT's shapes; a row without a label is named", async () => {
  const folder = await Deno.makeTempDir(),
    fpb = join(folder, "fpb_test.jsonl"),
    tfns = join(folder, "tfns.csv");
  const context = "Instruction: What is the sentiment of this news?\nInput: Profit fell\n to 3 .\nAnswer: ";
  await Deno.writeTextFile(fpb, `${JSON.stringify({ context, target: "negative" })}\n`);
  await Deno.writeTextFile(tfns, "text,label\n$ABC up 5%,Positive\n");
  const [one, two] = await loadSentiments(`${fpb},${tfns}`);
  assert.deepEqual(one.toArray(), [{
    instruction: "What is the sentiment of this news?",
    input: "Profit fell\n to 3 .",
    output: "negative",
    source: "fpb",
  }]);
  assert.match(two.at(0).instruction, /this tweet\?/);
  await Deno.writeTextFile(tfns, "text,label\n$ABC up 5%,1\n");
  await assert.rejects(loadSentiments(tfns), {
    name: "UserError",
    message: /^tfns has a row that is no headline with one of/,
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("FinSight: the test has other people and tells facts that training does not", () => {
  const subjects = splitSubjects(42);
  const names = new Set(subjects.train.map(({ name }) => name));
  assert.ok(subjects.test.every(({ name }) => !names.has(name)));
  const draw = (type: Exclude<typeof categories[number], "reddit">, which: "train" | "test") =>
    drawConversations(type, { count: 150, seed: which === "train" ? 2 : 1, subjects: subjects[which] });
  for (const type of ["introduction", "company", "definition", "general"] as const) {
    const train = draw(type, "train"), test = draw(type, "test");
    assert.deepEqual(draw(type, "train"), train);
    for (const { messages } of [...train, ...test]) {
      const roles = messages.map(({ role }) => role).join(" ");
      assert.match(roles, /^system( user assistant){2,4}$|^system( user assistant)+$/);
      for (const { content } of messages) {
        assert.doesNotMatch(content, /undefined|NaN| {2}|\ba a|\ba an /, content);
      }
    }
    const answers = new Set(train.flatMap(({ messages }) => messages.map(({ content }) => content)));
    const leaked = test.filter(({ messages }) => answers.has(messages.at(-1)!.content)).length;
    if (type === "definition") assert.equal(leaked, 0);
  }
  const sums = draw("general", "train").flatMap(({ messages }) => messages.map(({ content }) => content))
    .join("\n");
  const equations = [...sums.matchAll(/\b(\d+) ([-+x/]) (\d+) = (\d+)\b(?! percent)/g)];
  assert.ok(equations.length > 200);
  for (const [source, a, op, b, said] of equations) {
    const [x, y] = [Number(a), Number(b)];
    assert.equal(Number(said), { "+": x + y, "-": x - y, "x": x * y, "/": x / y }[op], source);
  }
});

Deno.test("FinSight: every step of the curation has work but those that need none, sound threads come through", () => {
  const threads = drawThreads(1200, 42);
  assert.deepEqual(drawThreads(1200, 42), threads);
  const { rows, stages } = curate(new Dataset<Row>(threads, "threads"), redditSteps());
  assert.ok(rows.length > 120 && rows.length < 300, `${rows.length} rows`);
  assert.ok(stages.filter(({ before, after }) => after < before).length >= 6);
  assert.ok(rows.toArray().filter(({ fact }) => fact !== "").length > 0.85 * rows.length);
  assert.ok(new Set(rows.map(({ term }) => term)).size > 40);
});

Deno.test("FinSight: the control deals the same answers to other questions", () => {
  const { train } = splitSubjects(1);
  const rows: Row[] = drawConversations("definition", { count: 200, seed: 3, subjects: train });
  const answers = (of: Row[]) =>
    of.flatMap(({ messages }) => messages.filter((_: unknown, i: number) => i % 2 === 0 && i > 0)).map((
      { content },
    ) => content);
  const shuffled = shuffleAnswers(rows, 1), before = answers(rows), after = answers(shuffled);
  assert.deepEqual(after.toSorted(), before.toSorted());
  assert.ok(after.filter((content, i) => content === before[i]).length < before.length / 20);
  assert.deepEqual(shuffled.map(({ messages }) => messages[1]), rows.map(({ messages }) => messages[1]));
});

Deno.test("questions for facts: no answer of the test is told in training, and no term is new", () => {
  const options = { train: 900, test: 150, seed: 42, about: fewTerms };
  const { train, test } = factQuestions(options);
  assert.deepEqual(factQuestions(options), { train, test });
  const answers = new Set(train.map(({ output }) => output));
  assert.ok(test.every(({ output }) => !answers.has(output)));
  for (const kind of factKinds) assert.equal(test.filter((row) => row.kind === kind).length, 30);
});

Deno.test("the texts of the small models are varied prose without question or label", () => {
  for (const [name, stream] of [["market", marketNews(3)], ["short", shortText(3)]] as const) {
    const documents = firstDocuments(stream, 3e5);
    assert.ok(share(documents) > 0.98, `${name}: ${share(documents)} of the documents are distinct`);
    for (const text of documents) {
      assert.doesNotMatch(text, /sentiment|positive|negative|undefined|NaN|<\w+>|\[INST\]/, text);
    }
  }
});

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name } of Deno.readDir(folder)) bytes += (await Deno.stat(join(folder, name))).size;
  return bytes;
}

for (const [name, recipe] of Object.entries<EmbeddedModel>({ llama, mistral, gemma })) {
  Deno.test(`the embedded ${name}: at most 1 MB, of its family, its tokenizer made anew is the kept one`, async () => {
    assert.ok(await bytesIn(recipe.folder) <= 1e6, `${await bytesIn(recipe.folder)} bytes`);
    const config = await loadConfig(recipe.folder);
    assert.equal(config.modelType, name);
    assert.ok(countParameters(config) < 500_000);
    if (name === "mistral") assert.deepEqual([config.slidingWindow, config.headDim], [64, 24]);
    if (name === "gemma") {
      assert.deepEqual([config.normOffset, config.hiddenAct, config.numKeyValueHeads], [1, "gelu_tanh", 1]);
    }
    for (const [file, content] of Object.entries(embeddedTokenizer(recipe))) {
      assert.equal(await Deno.readTextFile(join(recipe.folder, file)), content, file);
    }
  });
}
