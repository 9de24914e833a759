// The text, the questions and the tokenizer of the tiny model: the same from one seed, right in every number, varied.

import assert from "node:assert/strict";
import { join } from "@std/path";
import { loadTokenizer, type Tokenizer } from "@fintune/fintune";
import { embeddedTokenizer } from "../examples/embedded.ts";
import { sumKinds } from "../examples/tiny/calculations.ts";
import { financeQuestions, questionKinds, shuffleAnswers, splitTerms } from "../examples/tiny/questions.ts";
import { recipe } from "../examples/tiny/recipe.ts";
import { differInKind, terms } from "../examples/tiny/terms.ts";
import { documentKinds, takeText } from "../examples/tiny/text.ts";

/** Every equation of a text, as [what it says, what is right]. */
function equations(text: string): [said: number, right: number, source: string][] {
  const found: [number, number, string][] = [];
  const calculate: Record<string, (a: number, b: number) => number> = {
    "+": (a, b) => a + b,
    "-": (a, b) => a - b,
    "x": (a, b) => a * b,
    "/": (a, b) => a / b,
    plus: (a, b) => a + b,
    minus: (a, b) => a - b,
    times: (a, b) => a * b,
    "divided by": (a, b) => a / b,
  };
  const sums = /\b(\d+) (\+|-|x|\/|plus|minus|times|divided by) (\d+) (?:=|is) (\d+)( percent)?/g;
  for (const [source, a, op, b, said, percent] of text.matchAll(sums)) {
    found.push([Number(said), calculate[op](Number(a), Number(b)) * (percent ? 100 : 1), source]);
  }
  for (const [source, percent, of, said] of text.matchAll(/\b(\d+) percent of (\d+) is (\d+)/g)) {
    found.push([Number(said), Number(percent) * Number(of) / 100, source]);
  }
  return found;
}

const sentencesOf = (documents: string[]) => documents.flatMap((text) => text.split(/(?<=[.?"]) |\n/));
const share = (items: string[]) => new Set(items).size / items.length;

Deno.test("the pretraining text is decided by its seed", () => {
  assert.deepEqual(takeText(5, 1e5), takeText(5, 1e5));
  assert.notDeepEqual(takeText(5, 1e5), takeText(6, 1e5));
  assert.equal(documentKinds.reduce((sum, { share }) => sum + share, 0), 100);
});

Deno.test("every calculation in the text is right", () => {
  const found = takeText(2, 1e6).flatMap(equations);
  assert.ok(found.length > 1500, `only ${found.length} equations found`);
  for (const [said, right, source] of found) {
    assert.ok(Math.abs(said - right) < 1e-9, `${source} (should be ${right})`);
  }
});

Deno.test("the text is varied and is prose", () => {
  const documents = takeText(3, 2e6);
  const sentences = sentencesOf(documents);
  assert.ok(share(documents) > 0.99, `${share(documents)} of the documents are distinct`);
  assert.ok(share(sentences) > 0.7, `${share(sentences)} of the sentences are distinct`);
  for (const text of documents) {
    assert.doesNotMatch(text, /#|Question|Answer:|undefined|NaN|\.\.| {2}| ,|\ba a|\ba an /, text);
    assert.match(text, /[.?"]$/, text);
  }
});

Deno.test("the glossary's terms are many, distinct and complete", () => {
  assert.ok(terms.length >= 150);
  for (const field of ["name", "is", "example", "note"] as const) {
    assert.equal(share(terms.map((term) => term[field])), 1, field);
  }
  for (const { name, risk } of terms) {
    assert.ok(!risk || ["low", "medium", "high"].includes(risk.level), name);
  }
  assert.equal(differInKind("investment", "loan"), false);
  assert.equal(differInKind("tax", "report"), true);
});

Deno.test("held-out questions share no term, question or answer with training", () => {
  const { train, test } = financeQuestions({ train: 900, test: 270, seed: 42 });
  assert.deepEqual([train.length, test.length], [900, 270]);
  assert.deepEqual(financeQuestions({ train: 900, test: 270, seed: 42 }), { train, test });
  const answers = new Set(train.map((row) => row.output));
  const asked = new Set(train.map((row) => row.instruction));
  for (const { instruction, output, kind } of test) {
    assert.ok(!answers.has(output), output);
    assert.ok(!asked.has(instruction), instruction);
    assert.equal(test.filter((row) => row.kind === kind).length, 270 / questionKinds.length);
  }
  const split = splitTerms(42);
  assert.equal(split.train.length + split.test.length, terms.length);
  const definitions = new Set(
    test.filter((row) => row.kind === "definition").map((row) => row.output.toLowerCase()),
  );
  for (const { a, is } of split.train) assert.ok(!definitions.has(`${a} is ${is}.`));
});

Deno.test("answers to calculations are right, for every kind of calculation", () => {
  const { train } = financeQuestions({ train: 1800, test: 9, seed: 1 });
  const rows = train.filter((row) => row.kind === "calculation");
  const found = rows.flatMap((row) => equations(row.output));
  assert.ok(found.length >= rows.length);
  for (const [said, right, source] of found) assert.ok(Math.abs(said - right) < 1e-9, source);
  for (const { rule } of sumKinds) assert.match(takeText(4, 1e6).join(" "), new RegExp(rule.slice(1)));
});

Deno.test("more questions than there are is one sentence", () => {
  const ask = () => financeQuestions({ train: 9, test: 9000, seed: 42 });
  assert.throws(ask, {
    name: "UserError",
    message: /^There are not 9000 different questions .*: ask for fewer rows\.$/,
  });
});

Deno.test("the control deals the same answers to other questions", () => {
  const { train } = financeQuestions({ train: 900, test: 9, seed: 42 });
  const shuffled = shuffleAnswers(train, 1);
  assert.deepEqual(shuffled.map((row) => row.output).sort(), train.map((row) => row.output).sort());
  assert.deepEqual(shuffled.map((row) => row.instruction), train.map((row) => row.instruction));
  const same = shuffled.filter((row, i) => row.output === train[i].output).length;
  assert.ok(same < 10, `${same} rows kept their answer`);
});

/** The tokenizer, made anew, read back from a folder. */
async function madeTokenizer(): Promise<{ files: Record<string, string>; tokenizer: Tokenizer }> {
  const folder = await Deno.makeTempDir();
  try {
    const files = embeddedTokenizer(recipe);
    for (const [name, content] of Object.entries(files)) {
      await Deno.writeTextFile(join(folder, name), content);
    }
    return { files, tokenizer: (await loadTokenizer(folder))! };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the tokenizer gives every text back, keeps digits apart and adds BOS", async () => {
  const { files, tokenizer } = await madeTokenizer();
  assert.equal(tokenizer.vocabSize, recipe.config.vocab_size);
  assert.deepEqual([tokenizer.padId, tokenizer.bosId, tokenizer.eosId], [0, 1, 2]);
  assert.equal(tokenizer.addsBos, true);
  for (const text of [...takeText(9, 2e5), "Grüße, 東京! ½ 🙂", "tab\t and\r\n line", " 2,500.75 %"]) {
    assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
  }
  const ids = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  assert.deepEqual(ids("2025"), [..."2025"].flatMap(ids));
  const messages = [{ role: "user", content: "What is a bond?" }];
  const prompt = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
  assert.equal(prompt, "<s>### Question: What is a bond?\n\n### Answer:");
  const kept = JSON.parse(await Deno.readTextFile("examples/tiny/model/tokenizer.json"));
  assert.deepEqual(kept, JSON.parse(files["tokenizer.json"]), "the kept model was trained on other text");
});

Deno.test("the tokenizer's ids are those of the Rust library", async () => {
  const tokenizer = await loadTokenizer("examples/tiny/model");
  const rows: [string, number[]][] = JSON.parse(await Deno.readTextFile("tests/reference/tiny_bpe/ids.json"));
  assert.equal(rows.length, 500);
  for (const [text, ids] of rows) assert.deepEqual(tokenizer!.encode(text), ids, JSON.stringify(text));
});
