// FinSight's five categories: what the builders make of rows, what the seed decides, what is refused.

import assert from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { Dataset } from "../lib/data/dataset.ts";
import { loadPDF } from "../lib/data/pdf.ts";
import { companyConversations } from "../lib/data/finsight/company.ts";
import type { Conversation } from "../lib/data/finsight/conversation.ts";
import { definitionConversations, findDefinitions } from "../lib/data/finsight/definitions.ts";
import { financeConversations } from "../lib/data/finsight/finance.ts";
import { introductionConversations } from "../lib/data/finsight/introductions.ts";
import { splitEach } from "../lib/data/finsight/mix.ts";
import { redditConversations } from "../lib/data/reddit/conversations.ts";
import { checkTalks } from "./talks.ts";
import { refused } from "./refused.ts";

const asked = (talks: Iterable<Conversation>, role = "user") =>
  [...talks].flatMap(({ messages }) =>
    messages.filter((one) => one.role === role).map(({ content }) => content)
  );
const share = (count: number, of: number, wanted: number, slack: number) =>
  assert.ok(Math.abs(count / of - wanted) < slack, `${count} of ${of}, not ${wanted}`);

Deno.test("introductions: no two the same, the identity in each, the seed decides", () => {
  const talks = introductionConversations(1000, { assistant: "Ada" });
  checkTalks(talks, "introduction");
  assert.equal(new Set([...talks].map(({ metadata }) => metadata.conversation_id)).size, 1000);
  assert.ok([...talks].every(({ messages }) => messages.length === 7 && messages[0].content.includes("Ada")));
  assert.ok(asked(talks, "assistant").every((text) => !text.includes("{") && !text.includes("FinSight")));
  assert.ok(asked(talks).some((text) => /\bu\b/.test(text)));
  share(asked(talks).filter((text) => !/[A-Z]/.test(text)).length, 3000, 0.3, 0.03);
  const ids = (seed: number) =>
    [...introductionConversations(30, { seed })].map(({ metadata }) => metadata.conversation_id);
  assert.deepEqual(ids(5), ids(5));
  assert.notDeepEqual(ids(5), ids(6));
  const [varied] = [introductionConversations(50, { turns: [1, 6], careless: 0 })];
  assert.deepEqual([...new Set([...varied].map(({ messages }) => (messages.length - 1) / 2))].sort(), [
    1,
    2,
    3,
    4,
    5,
    6,
  ]);
  assert.ok(asked(varied).every((text) => /^[A-Z]/.test(text)));
});

const tenK = Array.from({ length: 40 }, (_, i) => ({
  question: i % 4 === 0 ? `What did ${i < 20 ? "Apple" : "XYZ"} report in item ${i}?` : `What is item ${i}?`,
  answer: `Figure ${i}.`,
  context: `Passage ${i}.`,
  ticker: i < 20 ? "AAPL" : "XYZ",
  filing: i % 20 < 10 ? "2022_10K" : "2023_10K",
}));

Deno.test("company Q&A: every row once, one company and filing each, questions that stand alone", () => {
  const talks = companyConversations(tenK, { greeting: 0, companyNames: { XYZ: "Xylophone Corp" } });
  checkTalks(talks, "company_qa");
  const answers = asked(talks, "assistant").sort();
  assert.deepEqual(answers, tenK.map(({ answer }) => answer).sort());
  for (const { messages, metadata } of talks) {
    const rows = messages.filter(({ role }) => role === "assistant").map(({ content }) =>
      Number(/\d+/.exec(content))
    );
    assert.ok(
      rows.every((i) => tenK[i].ticker === metadata.ticker && tenK[i].filing === metadata.filing_year),
    );
    assert.equal(metadata.turns, rows.length);
    assert.ok(rows.length <= 7);
  }
  const questions = asked(talks);
  assert.ok(
    questions.includes("About Apple: What is item 1?") &&
      questions.includes("What did Apple report in item 0?"),
  );
  assert.ok(questions.includes("About Xylophone Corp: What is item 21?"));
  assert.ok(questions.includes("What did XYZ report in item 20?"), "the ticker names it too");
});

Deno.test("company Q&A: passages in the system prompt, greetings and repeated use as asked for", () => {
  const talks = companyConversations(tenK, { context: 1, greeting: 1, uses: 3, turns: [5, 5] });
  assert.equal(talks.length, 3 * 4 * 2);
  for (const { messages } of talks) {
    const rows = messages.slice(3).filter(({ role }) => role === "assistant");
    assert.equal(rows.length, 5);
    for (const { content } of rows) {
      assert.ok(messages[0].content.includes(content.replace("Figure", "Passage")));
    }
  }
  assert.ok(asked(talks).every((text) => !text.includes("{company}")));
});

Deno.test("definitions: each term asked for and answered in its own words", () => {
  const rows = Array.from({ length: 30 }, (_, i) => ({ term: ` term $& ${i} `, definition: `It is ${i}.` }));
  const talks = definitionConversations(new Dataset(rows, "terms.jsonl"));
  checkTalks(talks, "definition");
  assert.equal(asked(talks).length, 30);
  for (const { messages } of talks) {
    for (let i = 1; i < messages.length; i += 2) {
      const number = /(\d+)/.exec(messages[i + 1].content)![1];
      assert.ok(messages[i].content.includes(`term $& ${number}`), messages[i].content);
    }
  }
});

Deno.test("definitions are found in passages, and nothing else is", async () => {
  const text =
    "Duration is the weighted mean of the times of payments. It is measured in years. A long one bears more risk.\n\n" +
    "We sold bonds. This is the end. An exchange-traded fund (ETF) is a fund whose shares trade like a stock. " +
    "Net asset value refers to the worth of a fund's holdings.\n\nThere is a risk. Our revenue is the highest ever.";
  const found = findDefinitions([{ text, source: "notes.pdf", page: 4 }]);
  assert.deepEqual(found.toArray(), [
    {
      term: "Duration",
      definition:
        "Duration is the weighted mean of the times of payments. It is measured in years. A long one bears more risk.",
      source: "notes.pdf",
      page: 4,
    },
    {
      term: "exchange-traded fund (ETF)",
      definition: "An exchange-traded fund (ETF) is a fund whose shares trade like a stock.",
      source: "notes.pdf",
      page: 4,
    },
    {
      term: "Net asset value",
      definition: "Net asset value refers to the worth of a fund's holdings.",
      source: "notes.pdf",
      page: 4,
    },
  ]);
  const { passages } = await loadPDF(fromFileUrl(new URL("./reference/pdf/report.pdf", import.meta.url)));
  const talks = definitionConversations(findDefinitions(passages));
  checkTalks(talks, "definition");
  assert.equal(talks.at(0).metadata.source, "report.pdf");
  const start = performance.now();
  findDefinitions([{ text: "A ".repeat(50_000) }, { text: "a a a a a a (a) is".repeat(5000) }]);
  assert.ok(performance.now() - start < 10_000);
});

Deno.test("general finance: Alpaca's, FiQA's and named fields; every row once", () => {
  const rows = [
    { instruction: "What is a bond?", input: "Briefly.", output: "A loan." },
    { question: "What is a share?", answer: "A part." },
    { prompt: "What is a fund?", completion: "A pot." },
  ];
  const talks = financeConversations(rows, { source: "three files", turns: [1, 1] });
  checkTalks(talks, "finance");
  assert.deepEqual(asked(talks).sort(), [
    "What is a bond?\n\nBriefly.",
    "What is a fund?",
    "What is a share?",
  ]);
  const own = financeConversations([{ q: "Why?", a: "So.", input: "no" }], { question: "q", answer: "a" });
  assert.deepEqual(asked(own), ["Why?"]);
});

const posts = Array.from({ length: 600 }, (_, i) => ({
  question: `Question ${i}?`,
  followUp: `Follow ${i}?`,
  answer: `Answer ${i}.`,
  subreddit: i % 2 ? "stocks" : "",
}));

Deno.test("Reddit: starters for half of 80 %, 3 to 7 further turns, no row more than five times, never itself", () => {
  const talks = redditConversations(new Dataset(posts), { assistant: "Ada" });
  checkTalks(talks, "reddit");
  assert.equal(talks.length, 600);
  const uses = new Map<string, number>();
  for (const { messages, metadata } of talks) {
    const said = messages.slice(metadata.starter ? 3 : 1);
    const own = /\d+/.exec(said[0].content)![0];
    assert.equal(said[0].content, `Question ${own}?`);
    const further = said.slice(2).filter(({ role }) => role === "user").map(({ content }) =>
      /^Follow (\d+)\?$/.exec(content)![1]
    );
    assert.equal(new Set(further).size, further.length);
    assert.ok(!further.includes(own) && further.length <= 7);
    for (const other of further) uses.set(other, (uses.get(other) ?? 0) + 1);
    for (let i = 0; i < said.length; i += 2) {
      assert.equal(/\d+/.exec(said[i].content)![0], /\d+/.exec(said[i + 1].content)![0]);
    }
  }
  assert.ok(Math.max(...uses.values()) <= 5);
  const full = [...talks].filter(({ metadata }) => Number(metadata.turns) >= 4).length;
  assert.ok(full > 570, `${full} of 600 with three further turns or more`);
  const starts = [...talks].map(({ metadata }) => Number(metadata.starter));
  share(starts.slice(0, 480).reduce((a, b) => a + b, 0), 480, 0.5, 0.07);
  assert.equal(starts.slice(480).reduce((a, b) => a + b, 0), 0);
  assert.deepEqual([...new Set([...talks].map(({ metadata }) => metadata.source))].sort(), [
    "reddit: stocks",
    "reddit: unknown",
  ]);
});

Deno.test("Reddit: few rows, no further turns, own starters and prompts", () => {
  const [one] = redditConversations(posts.slice(0, 1));
  assert.equal(one.metadata.turns, 1);
  const talks = redditConversations(posts, {
    turns: [0, 1],
    maxUses: 1,
    eligible: 1,
    starterChance: 1,
    starters: [{ user: "Ping", assistant: "Pong" }],
    systemPrompts: ["Be {assistant}."],
    assistant: "Bo",
  });
  assert.ok(
    [...talks].every(({ messages }) => messages[0].content === "Be Bo." && messages[2].content === "Pong"),
  );
  assert.ok([...redditConversations(posts, { maxUses: 0 })].every(({ metadata }) => metadata.turns === 1));
});

Deno.test("every category: the same share of each is held out", () => {
  const talks = [introductionConversations(40), introductionConversations(101, { seed: 3, assistant: "Bo" })];
  const { train, test } = splitEach(talks, { seed: 42 });
  assert.deepEqual([train.length, test.length], [30 + 75, 10 + 26]);
  assert.equal([...test].filter(({ messages }) => messages[0].content.includes("Bo")).length, 26);
  assert.equal(new Set([...train, ...test]).size, 141);
});

Deno.test("what cannot be is refused with file, row and field", async () => {
  const file = (...rows: unknown[]) => new Dataset(rows, "file.jsonl") as Dataset;
  const good = { question: "Why?", answer: "So.", ticker: "T", filing: "2023" };
  const definition = { term: "a", definition: "b" };
  await refused(
    "no answer",
    () => companyConversations(file(good, { ...good, answer: undefined })),
    /^file\.jsonl, row 1: field "answer" is missing/,
  );
  await refused(
    "null",
    () => companyConversations(file({ ...good, ticker: null })),
    /row 0: field "ticker" is null/,
  );
  await refused(
    "no context",
    () => companyConversations(file(good), { context: 0.5 }),
    /field "context" is missing/,
  );
  await refused("a row of text", () => companyConversations(file("text")), /row 0: it is not an object/);
  await refused("uses", () => companyConversations(file(good), { uses: 0 }), /uses is 0/);
  await refused(
    "blank",
    () => definitionConversations(file(definition, { term: " ", definition: "b" })),
    /row 1: field "term" is blank/,
  );
  await refused(
    "a number",
    () => definitionConversations(file({ term: 1, definition: "b" })),
    /field "term" is of type number/,
  );
  await refused(
    "turns",
    () => definitionConversations(file(definition), { turns: [3, 2] }),
    /turns is \[3, 2\]/,
  );
  await refused("passage", () => findDefinitions(file({ page: 1 })), /row 0: field "text" is missing/);
  await refused(
    "no fields",
    () => financeConversations(file({ text: "x" })),
    /row 0: no field with the question/,
  );
  await refused(
    "no output",
    () => financeConversations(file({ instruction: "x", output: null })),
    /field "output" \(the answer\)/,
  );
  await refused(
    "named",
    () => financeConversations(file({ q: "x" }), { question: "q", answer: "a" }),
    /field "a" \(the answer\) is missing/,
  );
  await refused(
    "post",
    () => redditConversations(file({ question: "x" })),
    /row 0: field "followUp" is missing/,
  );
  await refused("share", () => redditConversations(posts, { eligible: 1.5 }), /eligible is 1\.5/);
  await refused("maxUses", () => redditConversations(posts, { maxUses: -1 }), /maxUses is -1/);
  await refused("count", () => introductionConversations(0), /count is 0/);
  await refused("kinds", () => introductionConversations(1, { turns: [7, 7] }), /too few for 7 turns/);
  await refused(
    "too many",
    () => introductionConversations(500, { turns: [1, 1], careless: 0, systemPrompts: ["Hi"] }),
    /only \d+ different/,
  );
  await refused(
    "prompts",
    () => redditConversations(posts, { systemPrompts: [] }),
    /list to draw from is empty/,
  );
  await refused("none", () => splitEach([]), /at least one dataset/);
  assert.equal(definitionConversations(file()).length, 0);
});

Deno.test("company Q&A: a word that is also a company's is no name; texts to fill in are taken to the letter", () => {
  const row = (question: string, ticker: string) => ({
    question,
    answer: "Yes.",
    ticker,
    filing: "2023_10K",
  });
  const question = (text: string, ticker: string, companyNames = {}) =>
    companyConversations([row(text, ticker)], { greeting: 0, companyNames }).at(0).messages[1].content;
  assert.equal(question("What was the cost of sales?", "COST"), "About Costco: What was the cost of sales?");
  assert.match(question("What has it sold in home markets?", "HAS"), /^About Hasbro/);
  assert.match(
    question("What does the report say?", "TTD", { TTD: "The Trade Desk" }),
    /^About The Trade Desk/,
  );
  for (
    const [named, ticker] of [["How did Costco grow?", "COST"], ["What did COST sell?", "COST"], [
      "What is NIKE's brand?",
      "NKE",
    ], ["What does lululemon's shop sell?", "LULU"]]
  ) assert.equal(question(named, ticker), named);
  const odd = { companyNames: { XYZ: "Ca$$h $& Co" }, assistant: "$$Bot $&", greeting: 1 };
  const texts = Array.from(
    { length: 8 },
    (_, seed) =>
      JSON.stringify(companyConversations([row("Why?", "XYZ")], { ...odd, seed })[Symbol.iterator]().next()),
  ).join();
  assert.ok(texts.includes("looking at Ca$$h $& Co.") && texts.includes("$$Bot $&"));
  assert.ok(!texts.includes("{company}") && !texts.includes("{assistant}"));
});

Deno.test("builders: careless options and rows that are not there yet are one sentence", async () => {
  const promise = Promise.resolve([]) as never;
  for (
    const build of [
      companyConversations,
      definitionConversations,
      financeConversations,
      redditConversations,
      findDefinitions,
    ]
  ) {
    await refused(
      build.name,
      () => build(promise),
      new RegExp(`^${build.name} needs rows.* a promise \\(put "await"`),
    );
    await refused(build.name, () => build(undefined as never), /needs rows.* not undefined/);
  }
  await refused("no turns", () => introductionConversations(1, { turns: [0, 2] }), /from 1 on/);
  await refused("share", () => introductionConversations(1, { careless: NaN }), /careless is NaN/);
  await refused("greeting", () => companyConversations([], { greeting: 7 }), /greeting is 7/);
  await refused("seed", () => introductionConversations(1, { seed: 1.5 }), /seed is 1\.5/);
  await refused(
    "input",
    () => financeConversations([{ instruction: "Sum up.", input: 5, output: "x" }]),
    /field "input"/,
  );
  const [alone] = redditConversations([{ question: "q", followUp: "f", answer: "a" }], { turns: [0, 0] });
  assert.equal(alone.metadata.turns, 1);
});
