// The example of risk notes: its generator, its embedded model, and the script itself, with and without a teacher.

import assert from "node:assert/strict";
import { join } from "@std/path";
import { jsonScores, loadModel, loadTokenizer, splitThinking } from "@fintune/fintune";
import { firstDocuments } from "../examples/embedded.ts";
import { drawCase } from "../examples/qwen2_risk/cases.ts";
import { events, splitEvents } from "../examples/qwen2_risk/events.ts";
import { guess } from "../examples/qwen2_risk/guess.ts";
import { recipe } from "../examples/qwen2_risk/recipe.ts";
import { riskRows, riskSchema, shuffleAnswers } from "../examples/qwen2_risk/rows.ts";
import { templateRows } from "../examples/qwen2_risk/templates.ts";
import { riskText } from "../examples/qwen2_risk/text.ts";
import { drawFrom } from "../examples/tiny/random.ts";

const valuesOf = (outputs: string[]) => outputs.map((output) => JSON.parse(splitThinking(output).text));

Deno.test("notes: the same from one seed; the test shares no subject, firm or answer with training", () => {
  const { train, test } = riskRows({ train: 600, test: 90, seed: 42 });
  assert.deepEqual(riskRows({ train: 600, test: 90, seed: 42 }), { train, test });
  assert.notDeepEqual(riskRows({ train: 600, test: 90, seed: 43 }).test, test);
  const trained = new Set(train.map(({ output }) => output)),
    firms = new Set(valuesOf([...trained]).map((v) => v.entity));
  assert.equal(firms.size, 600);
  const subjects = splitEvents();
  for (const { input, output } of test) {
    const { entity, reasoning } = JSON.parse(splitThinking(output).text);
    assert.ok(!trained.has(output) && !firms.has(entity) && input.includes(entity), output);
    assert.ok(subjects.test.some(({ subject }) => reasoning.startsWith(subject)), reasoning);
    assert.ok(!subjects.train.some(({ subject, verb }) => reasoning.startsWith(subject + verb)), reasoning);
  }
  assert.equal(subjects.train.length + subjects.test.length, events.length);
});

Deno.test("notes: answers fit the schema, all values come, the risk follows the rule", async () => {
  const { train } = riskRows({ train: 600, test: 1, seed: 1 });
  const outputs = train.map(({ output }) => output);
  const { validRate, exact } = await jsonScores(outputs, outputs, { schema: riskSchema });
  assert.deepEqual([validRate, exact], [1, 1]);
  const values = valuesOf(outputs);
  for (const risk of ["High", "Medium", "Low"]) {
    assert.ok(values.filter((value) => value.risk === risk).length > 100, risk);
  }
  for (const tone of ["Positive", "Negative", "Neutral"]) {
    assert.ok(values.some((value) => value.sentiment === tone), tone);
  }
  const random = drawFrom(3);
  for (let i = 0; i < 300; i++) {
    const { event, degree, state, risk } = drawCase(random, events);
    const strong = ["大幅", "急剧", "快速", "持续"].includes(degree),
      safe = /充足|较低|已买|已有/.test(state);
    const bad = event.sentiment === "Negative",
      level = (bad ? 1 + Number(strong) : 0) + (state ? (safe ? -1 : 1) : 0);
    assert.equal(
      risk,
      ["Low", "Low", "Medium", "High", "High"][level + 1],
      JSON.stringify({ event, degree, state }),
    );
  }
});

Deno.test("the control deals the same answers to other notes; a constant answer says what guessing gives", async () => {
  const { train, test } = riskRows({ train: 300, test: 60, seed: 42 });
  const shuffled = shuffleAnswers(train, 7);
  assert.deepEqual(shuffled.map(({ output }) => output).sort(), train.map(({ output }) => output).sort());
  assert.ok(shuffled.filter(({ output }, i) => output === train[i].output).length < 5);
  const fields = ["entity", "sentiment", "risk"], references = test.map(({ output }) => output);
  const constant = guess(train.map(({ output }) => output), fields);
  const scores = await jsonScores(references.map(() => constant), references, { fields });
  assert.equal(scores.fields.entity, 0);
  assert.ok(scores.fields.sentiment > 0.3 && scores.fields.sentiment < 0.6, String(scores.fields.sentiment));
});

Deno.test("the pretraining text is seeded, and never answers in the form of the fine-tuning", () => {
  const text = firstDocuments(riskText(5), 2e5);
  assert.deepEqual(text, firstDocuments(riskText(5), 2e5));
  for (const document of text) {
    assert.doesNotMatch(document, /"entity":|"risk":|<thinking>\n|undefined|。。|，。/, document);
  }
});

Deno.test("templates: the repository's 100 rows, valid by the schema", async () => {
  const rows = templateRows(100).toArray();
  assert.equal(rows.length, 100);
  assert.equal(new Set(rows.map(({ input }) => input)).size, 48);
  const outputs = rows.map(({ output }) => output);
  assert.equal((await jsonScores(outputs, outputs, { schema: riskSchema })).validRate, 1);
});

Deno.test("the embedded model: a Qwen2 with biases, below one megabyte, that reads and writes the notes", async () => {
  let bytes = 0;
  for await (const { name } of Deno.readDir(recipe.folder)) {
    bytes += (await Deno.stat(join(recipe.folder, name))).size;
  }
  assert.ok(bytes <= 1e6, `${bytes} bytes`);
  const model = await loadModel(recipe.folder);
  assert.deepEqual([model.config.modelType, model.config.attentionBias], ["qwen2", true]);
  const tokenizer = (await loadTokenizer(recipe.folder))!;
  for (const { input, output } of riskRows({ train: 50, test: 50, seed: 3 }).test) {
    for (const text of [input, output]) assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
  }
});

async function runExample(...flags: string[]): Promise<{ code: number; text: string; files: string[] }> {
  const out = await Deno.makeTempDir();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "examples/qwen2_risk_json.ts",
      "--max-steps",
      "2",
      "--out",
      out,
      ...flags,
    ],
    env: { NO_COLOR: "1", FINTUNE_BACKEND: "cpu" },
  }).output();
  const files = (await Array.fromAsync(Deno.readDir(out))).map(({ name }) => name).sort();
  await Deno.remove(out, { recursive: true });
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr), files };
}

Deno.test("the example runs from end to end", async () => {
  const { code, text, files } = await runExample("--rows", "24", "--test", "4");
  assert.equal(code, 0, text);
  assert.match(text, /JSON parsed[\s\S]*JSON valid[\s\S]*right fields/);
  assert.match(text, /\| entity +\|/);
  assert.deepEqual(files, [
    "adapter",
    "evaluation",
    "log.jsonl",
    "loss.png",
    "loss.svg",
    "report.html",
    "settings.json",
  ]);
});

Deno.test("the example with a teacher and a judge", async () => {
  const answer =
    '<thinking>\n成本上升。\n</thinking>\n{"entity":"甲","sentiment":"Negative","risk":"High","reasoning":"利润下降。"}';
  let asked = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const { messages } = await request.json();
    const content = /Score an answer/.test(messages[0].content) ? '{"reason":"ok","score":2}' : answer;
    if (content === answer) asked++;
    return Response.json({ choices: [{ message: { content }, finish_reason: "stop" }] });
  });
  const teacher = `http://127.0.0.1:${server.addr.port}/v1`;
  const { code, text, files } = await runExample(
    "--rows",
    "12",
    "--test",
    "2",
    "--teacher",
    teacher,
    "--judge",
  );
  await server.shutdown();
  assert.equal(code, 0, text);
  assert.equal(asked, 12);
  assert.match(text, /12 answers \(0 from before\), 0 rejected, 0 not asked; [\d,]+ tokens/);
  assert.match(text, /judge on tuned: 2\.00 of 5 on 2 of 2 answers/);
  assert.ok(files.includes("teacher.jsonl") && files.includes("judge.jsonl"), files.join());
});
