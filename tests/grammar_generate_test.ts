// Constraints in generation: the embedded Qwen2 of the risk notes, which alone writes no JSON, writes nothing else.

import assert from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import {
  chat,
  choiceConstraint,
  type ConstraintSource,
  generate,
  jsonSchemaConstraint,
  jsonScores,
  loadModel,
  openStreams,
  regexConstraint,
  streamText,
  UserError,
} from "@fintune/fintune";
import { riskRows, riskSchema } from "../examples/qwen2_risk/rows.ts";

const model = await loadModel(fromFileUrl(new URL("../examples/qwen2_risk/model", import.meta.url)));
const tokenizer = model.tokenizer!, prompt = chat(tokenizer);
const rows = riskRows({ train: 1, test: 6, seed: 42 }).test;
const questions = rows.map((row) => prompt.question({ ...row })), outputs = rows.map(({ output }) => output);

Deno.test("risk notes: JSON by the schema in all answers, greedy and drawn; without the constraint in none", async () => {
  const constraint = await jsonSchemaConstraint(tokenizer, riskSchema);
  const free = await generate(model, questions, { maxNewTokens: 64, temperature: 0 });
  assert.equal((await jsonScores(free, outputs, { schema: riskSchema })).validRate, 0);
  for (const temperature of [0, 1]) {
    const answers = await generate(model, questions, { constraint, maxNewTokens: 64, temperature });
    assert.equal(
      (await jsonScores(answers, outputs, { schema: riskSchema })).validRate,
      1,
      answers.join("\n"),
    );
    answers.forEach((answer) => JSON.parse(answer)); // nothing around it
  }
});

Deno.test("risk notes: thinking first, then the JSON", async () => {
  const prefix = "<thinking>\\n[^<]{1,60}\\n</thinking>\\n";
  const constraint = await jsonSchemaConstraint(tokenizer, riskSchema, { prefix, whitespace: 0 });
  const answers = await generate(model, questions.slice(0, 2), { constraint, maxNewTokens: 128 });
  for (const answer of answers) assert.match(answer, /^<thinking>\n[^<]{1,60}\n<\/thinking>\n\{"/);
  assert.equal((await jsonScores(answers, outputs.slice(0, 2), { schema: riskSchema })).validRate, 1);
});

Deno.test("choices and patterns; each answer is the same alone and among others", async () => {
  const choices = await choiceConstraint(tokenizer, ["利好", "利空", "中性"]);
  const labels = await generate(model, questions, { constraint: choices });
  assert.ok(labels.every((label) => ["利好", "利空", "中性"].includes(label)), labels.join());
  assert.equal(await generate(model, questions[3], { constraint: choices }), labels[3]);
  const figure = await regexConstraint(tokenizer, /-?\d{1,3}(?:\.\d)? %/);
  assert.match(
    await generate(model, questions[0], { constraint: figure, temperature: 1.5 }),
    /^-?\d{1,3}(?:\.\d)? %$/,
  );
});

Deno.test("streamed, an answer has the same text, greedy and drawn, and comes in pieces", async () => {
  const constraint = await jsonSchemaConstraint(tokenizer, riskSchema);
  for (const temperature of [0, 1]) {
    const options = { constraint, maxNewTokens: 64, temperature, seed: 3 };
    for (const question of questions.slice(0, 2)) {
      const pieces: string[] = [];
      for await (const piece of streamText(model, question, options)) pieces.push(piece);
      assert.ok(pieces.length > 5 && pieces.every((piece) => !piece.includes("\ufffd")), `${pieces}`);
      assert.equal(pieces.join(""), await generate(model, question, options));
    }
  }
  const stop = new AbortController(), begun: string[] = [];
  for await (const piece of streamText(model, questions[0], { constraint, signal: stop.signal })) {
    begun.push(piece);
    if (begun.length === 3) stop.abort();
  }
  assert.throws(() => JSON.parse(begun.join(""))); // stopped from outside, the JSON is cut
  for await (const piece of streamText(model, questions[0], { constraint })) {
    assert.ok(begun.join("").startsWith(piece)); // leaving the loop gives the place back
    break;
  }
});

Deno.test("at any maxNewTokens the JSON is whole, however near: it is ended before, not cut", async () => {
  const schema = { type: "array", items: { type: "string" }, minItems: 1 };
  const constraint = await jsonSchemaConstraint(tokenizer, schema);
  for (const maxNewTokens of [4, 5, 8, 13, 40]) {
    for (const temperature of [0, 1.5]) {
      const answer = await generate(model, questions[1], { constraint, maxNewTokens, temperature });
      assert.ok(JSON.parse(answer).length >= 1, answer);
    }
  }
});

Deno.test("a limit under the shortest answer, beams and banned repetitions are refused", async () => {
  const constraint = await jsonSchemaConstraint(tokenizer, riskSchema);
  const refused = (options: Parameters<typeof generate>[2], says: RegExp) =>
    assert.rejects(
      async () => await generate(model, questions[0], { constraint, ...options }),
      (error: Error) => error instanceof UserError && says.test(error.message),
    );
  await refused({ maxNewTokens: 5 }, /The shortest answer that is allowed takes \d+ tokens/);
  await refused({ numBeams: 2 }, /numBeams is 2; it must be 1 under a constraint/);
  await refused({ noRepeatNgramSize: 2 }, /noRepeatNgramSize cannot be held together with a constraint/);
});

Deno.test("a constraint that fails ends its own answer with its error, and no other", async () => {
  const streams = openStreams(model, { maxStreams: 2, maxLength: 64 }),
    constraint: ConstraintSource = {
      start: () => {
        let left = 3;
        const mask = () => {
          if (left-- === 0) throw new UserError("too many states");
          return undefined;
        };
        return { mask, accept: () => {}, done: false };
      },
    };
  const ids: number[] = [], options = { maxNewTokens: 8, eosTokenIds: [] };
  const other = Array.fromAsync(streams.submit([5, 6, 7], options));
  await assert.rejects(async () => {
    for await (const { token } of streams.submit([5, 6], { ...options, constraint })) ids.push(token);
  }, /too many states/);
  assert.deepEqual([ids.length, (await other).length], [3, 8]);
  await streams.close();
});
