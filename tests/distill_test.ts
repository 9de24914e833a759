// distill and judge: answers, budget, concurrency, keys, resuming, templates. Faults: distill_faults_test.ts.

import assert from "node:assert/strict";
import { splitThinking } from "../lib/distill/answer.ts";
import { distill, type DistillOptions } from "../lib/distill/distill.ts";
import { UserError } from "../lib/errors.ts";
import { judge } from "../lib/distill/judge.ts";
import { openAnswerFile } from "../lib/distill/kept.ts";
import { fillTemplates } from "../lib/distill/templates.ts";
import { delta, dripping, events, good, KEY, sse, streamed, withTeacher } from "./teacher.ts";

const one = [{ text: "Vanke" }];

Deno.test("a streamed answer: thinking, JSON in a fence, tokens and cost; a second run asks nothing", async () => {
  await withTeacher([good], async (options, asked) => {
    const priced = { ...options, price: { input: 1, output: 10 } };
    const report = await distill(one, priced);
    assert.equal(
      report.rows.at(0).messages.at(-1).content,
      '<thinking>\nDebt grows.\n</thinking>\n{"risk":"High"}',
    );
    assert.deepEqual(report.rows.at(0).metadata, { source: "teacher", row: 0, value: { risk: "High" } });
    assert.deepEqual([report.tokens, report.cost, report.stopped], [
      { input: 20, output: 10 },
      120e-6,
      "done",
    ]);
    assert.equal(asked[0].key, `Bearer ${KEY}`);
    const again = await distill(one, { ...priced, thinking: "strip" });
    assert.equal(again.rows.at(0).messages.at(-1).content, '{"risk":"High"}');
    assert.deepEqual([asked.length, again.resumed, again.cost], [1, 1, 0]);
    assert.match(
      String(again),
      /1 answers \(1 from before\), 0 rejected, 0 not asked; 0 tokens, cost 0\.0000/,
    );
  });
});

Deno.test("keys: a missing variable, an address in the open, and none sent where none is named", async () => {
  const options: DistillOptions = { endpoint: { model: "m" }, prompt: () => "?", out: "x.jsonl" };
  const at = (endpoint: Partial<DistillOptions["endpoint"]>) =>
    distill(one, { ...options, endpoint: { model: "m", ...endpoint } });
  await assert.rejects(
    at({ baseURL: "https://example.com/v1", apiKeyEnv: "FINTUNE_NO_KEY" }),
    /FINTUNE_NO_KEY is not set/,
  );
  await assert.rejects(
    at({ baseURL: "http://example.com/v1", apiKeyEnv: "FINTUNE_TEST_KEY" }),
    /unencrypted/,
  );
  await assert.rejects(at({ baseURL: "https://me:pass@example.com/v1" }), /without name, password/);
  await withTeacher([good], async (given, asked) => {
    await distill(one, { ...given, endpoint: { ...given.endpoint, apiKeyEnv: undefined } });
    assert.equal(asked[0].key, null);
  });
});

Deno.test("budget: nothing is asked that could go beyond; the rest is asked later", async () => {
  const rows = Array.from({ length: 6 }, (_, i) => ({ text: `row ${i}` }));
  await withTeacher([good], async (options, asked) => {
    const endpoint = { ...options.endpoint, maxTokens: 100 };
    const first = await distill(rows, { ...options, endpoint, budget: { tokens: 200 } });
    assert.deepEqual([first.stopped, first.rows.length, first.missing], ["budget", 3, 3]); // 30 each, 130 set aside
    assert.deepEqual(first.tokens, { input: 60, output: 30 });
    assert.match(String(first), /3 not asked; 90 tokens; ended by the budget/);
    const second = await distill(rows, { ...options, endpoint });
    assert.deepEqual([second.stopped, second.rows.length, second.resumed, asked.length], ["done", 6, 3, 6]);
    assert.deepEqual(second.rows.map((row) => row.metadata.row).toArray(), [0, 1, 2, 3, 4, 5]);
    await assert.rejects(distill(rows, { ...options, budget: { cost: 1 } }), /needs the price/);
  });
});

Deno.test("budget: money; answers that were cut count; more than maxTokens is told", async () => {
  const rows = Array.from({ length: 9 }, (_, i) => ({ text: `row ${i}` })),
    price = { input: 1e6, output: 1e6 };
  await withTeacher([() => sse(events(delta("half of an answer")))], async (options) => {
    const endpoint = { ...options.endpoint, maxTokens: 100 };
    const report = await distill(rows, { ...options, endpoint, budget: { cost: 200 }, price });
    assert.equal(report.stopped, "budget");
    assert.deepEqual(report.tokens, { input: 60, output: 18 }); // two of 39, a third might have gone beyond
  });
  const long = { choices: [], usage: { prompt_tokens: 20, completion_tokens: 500 } };
  await withTeacher(
    [() => sse(events(delta('{"risk":"Low"}', "stop"), long, "[DONE]"))],
    async (options, asked) => {
      const endpoint = { ...options.endpoint, maxTokens: 100 };
      const report = await distill(rows, {
        ...options,
        endpoint,
        budget: { cost: 300 },
        price,
        concurrency: 2,
      });
      assert.deepEqual([asked.length, report.cost, report.rows.length], [2, 1040, 2]); // both were on their way
      assert.match(
        String(report),
        /cost 1040\.0000 \(beyond the budget by what was on its way\); ended by the budget/,
      );
    },
  );
});

Deno.test("concurrency: as many at once as allowed, equal questions once; a torn last line is asked again", async () => {
  let now = 0, most = 0;
  const answer = async () => {
    most = Math.max(most, ++now);
    await new Promise((done) => setTimeout(done, 50));
    now--;
    return good();
  };
  await withTeacher([answer], async (options, asked) => {
    const rows = Array.from({ length: 9 }, (_, i) => ({ text: `row ${i % 8}` }));
    const { rows: found } = await distill(rows, { ...options, concurrency: 3 });
    assert.deepEqual([found.length, asked.length, most], [9, 8, 3]);
    const text = await Deno.readTextFile(options.out);
    await Deno.writeTextFile(options.out, text.slice(0, -20));
    assert.equal((await distill(rows, options)).resumed, 8); // row 0 stands there twice
    assert.equal(asked.length, 9);
    await Deno.writeTextFile(options.out, "something else");
    await assert.rejects(distill(rows, options), /no file of distill/);
    assert.equal(await Deno.readTextFile(options.out), "something else");
  });
});

Deno.test("a signal ends the run in the middle of an answer and keeps what is whole", async () => {
  const stop = new AbortController();
  const stalls = () => {
    setTimeout(() => stop.abort(), 100);
    return sse(dripping([events(delta('{"risk": '))], 0, "stay"));
  };
  await withTeacher([good, stalls, good], async (options, asked) => {
    const rows = [{ text: "a" }, { text: "b" }, { text: "c" }], started = Date.now();
    const report = await distill(rows, { ...options, signal: stop.signal });
    assert.deepEqual([report.stopped, report.rows.length, report.missing, asked.length], ["signal", 1, 2, 2]);
    assert.ok(Date.now() - started < 1500, `${Date.now() - started} ms`);
    const whole = await distill(rows, options);
    assert.deepEqual([whole.rows.length, whole.resumed, asked.length], [3, 1, 4]);
  });
});

Deno.test("killed in the middle and gone on: whole answers are kept, none is paid for twice", async () => {
  const slow = async () => {
    await new Promise((done) => setTimeout(done, 60));
    return good();
  };
  await withTeacher([slow], async (options, asked) => {
    const rows = Array.from({ length: 30 }, (_, i) => ({ text: `row ${i}` }));
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        new URL("./distill_child.ts", import.meta.url).pathname,
        JSON.stringify({ ...options, rows }),
      ],
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    while (asked.length < 12) await new Promise((done) => setTimeout(done, 10));
    child.kill("SIGKILL");
    await child.status;
    const before = asked.length;
    const report = await distill(rows, { ...options, concurrency: 3 });
    assert.equal(report.rows.length, 30);
    assert.ok(report.resumed >= before - 3 && report.resumed <= before, `${report.resumed} of ${before}`);
    assert.equal(asked.length, before + 30 - report.resumed);
  });
});

Deno.test("judge: scores in order, reasons, and no score outside the scale", async () => {
  const verdict = (score: number) => () => streamed(`{"reason": "because", "score": ${score}}`);
  await withTeacher([verdict(4), verdict(9), verdict(9), verdict(2)], async ({ endpoint, out }, asked) => {
    const answers = ["a", "b", "c"].map((answer) => ({ question: "?", answer, reference: "r" }));
    const report = await judge(answers, { endpoint, out, rubric: "5 is best.", concurrency: 1 });
    assert.deepEqual([report.scores, report.mean, report.scored], [[4, undefined, 2], 3, 2]);
    assert.match(report.reasons[1], /does not fit the schema/);
    assert.match(asked[0].body.messages[0].content, /5 is best\.[\s\S]*<answer>\na\n<\/answer>/);
    assert.match(String(report), /^3\.00 of 5 on 2 of 3 answers; 120 tokens$/);
  });
});

Deno.test("thinking: marks of both kinds, several, or only the closing one", () => {
  assert.deepEqual(splitThinking("<think>a</think>b<THINKING> c </THINKING>"), {
    thinking: "a\nc",
    text: "b",
  });
  assert.deepEqual(splitThinking("a\n</think>\nb"), { thinking: "a", text: "b" });
  assert.deepEqual(splitThinking("a <thinking> b"), { thinking: "", text: "a <thinking> b" });
  assert.deepEqual(splitThinking(""), { thinking: "", text: "" });
});

Deno.test("an answer at once, or streamed under another type; thinking that comes apart", async () => {
  const message = { content: '{"risk": "Low"}', reasoning_content: "Cash is enough." };
  const whole = () => Response.json({ choices: [{ message, finish_reason: "stop" }] });
  const plain = async () => new Response(await good().text(), { headers: { "content-type": "text/plain" } });
  await withTeacher([whole, plain], async (options) => {
    const { rows } = await distill([{ text: "a" }, { text: "b" }], options);
    assert.equal(rows.at(0).messages[1].content, '<thinking>\nCash is enough.\n</thinking>\n{"risk":"Low"}');
    assert.deepEqual(rows.at(1).metadata.value, { risk: "High" });
  });
});

Deno.test("wrong options are told before anything is asked", async () => {
  const given = {
    endpoint: { model: "m", baseURL: "http://localhost:1" },
    prompt: () => "?",
    out: "x.jsonl",
  };
  const at = (options: Partial<DistillOptions>) => distill(one, { ...given, ...options });
  await assert.rejects(at({ concurrency: 0 }), /concurrency is 0/);
  await assert.rejects(at({ repairs: -1 }), /repairs is -1/);
  await assert.rejects(at({ endpoint: { ...given.endpoint, maxTokens: 0 } }), /maxTokens is 0/);
  await assert.rejects(at({ endpoint: { ...given.endpoint, timeout: NaN } }), /timeout is NaN/);
  await assert.rejects(at({ endpoint: { model: "m", baseURL: "ftp://a" } }), /http\(s\) address/);
  await assert.rejects(at({ prompt: () => [] }), /row 0: the prompt should be a text/);
  await assert.rejects(at({ schema: { $ref: "#/$defs/nobody" } }), /schema is none/);
  await assert.rejects(at({ out: "" }), /file for the answers/);
});

Deno.test("templates: every combination once, repeated only when more are asked for", () => {
  const template = {
    instruction: "Analyse.",
    input: "{company}: {target} falls.",
    output: { entity: "{company}" },
  };
  const values = { company: ["A", "B"], target: ["sales", "cash", "margin"] };
  const rows = fillTemplates([template], { values }).toArray();
  assert.equal(new Set(rows.map((row) => row.input)).size, 6);
  assert.ok(rows.every((row) => JSON.parse(row.output).entity === row.input[0]));
  assert.equal(fillTemplates([template], { values, count: 100 }).length, 100);
  assert.throws(() => fillTemplates([{ a: "{nobody}" }], { values: {} }), /\{nobody\}, which has no values/);
  assert.throws(() => fillTemplates([{ a: "x" }], { values }), /no template's blank/);
});

Deno.test("rows that are not there, a limit that would burst the budget, what cannot be judged, too many ways to fill", async () => {
  const refuses = (run: () => unknown, message: RegExp) =>
    assert.rejects(
      async () => await run(),
      (error: Error) => error instanceof UserError && message.test(error.message),
    );
  await withTeacher([good], async (options, asked) => {
    await refuses(() => distill(Promise.resolve(one) as never, options), /distill needs rows.*await/);
    for (const name of ["max_tokens", "max_completion_tokens"]) {
      const endpoint = { ...options.endpoint, maxTokens: 100, body: { [name]: 5000 } };
      await refuses(() => distill(one, { ...options, endpoint }), /5000, more than maxTokens, 100/);
    }
    const rubric = { ...options, rubric: "short" };
    await refuses(
      () => judge([{ question: "q" }] as never, rubric),
      /answers to judge, row 0: its answer is missing/,
    );
    await refuses(
      () => judge([{ question: "q", answer: "a" }], { ...rubric, rubric: undefined as never }),
      /a rubric/,
    );
    assert.equal(asked.length, 0);
    const lines: string[] = [];
    await distill(one, options);
    await distill([{ text: "A" }, { text: "B" }, { text: "B" }], {
      ...options,
      onProgress: (line) => lines.push(line),
    });
    assert.match(lines.at(-1)!, /^3 of 3 answers/);
  });
  const values = Object.fromEntries(
    [..."abcdefg"].map((name) => [name, Array.from({ length: 10 }, (_, i) => `${i}`)]),
  );
  await refuses(
    () => fillTemplates([{ x: "{a}{b}{c}{d}{e}{f}{g}" }], { values, count: 2 }),
    /10,000,000 ways/,
  );
  await refuses(
    () => fillTemplates([{ x: "{a}" }], { values: { a: "bc" as never } }),
    /\{a\} should be a list/,
  );
});

Deno.test("two runs with one file by mistake: every line stays whole", async () => {
  const folder = await Deno.makeTempDir(), path = `${folder}/answers.jsonl`;
  await Deno.writeTextFile(path, '{"key":"old","text":"x"}\n{"key":"torn","te');
  {
    await using one = await openAnswerFile(path);
    await using two = await openAnswerFile(path);
    for (let i = 0; i < 20; i++) [one, two][i % 2].add({ key: `${i}`, text: "y".repeat(7 * i) });
  }
  await using whole = await openAnswerFile(path);
  assert.equal(whole.answers.size, 21);
  await Deno.remove(folder, { recursive: true });
});
