// Prompts: every row shape gives the right text, and what a model is asked with begins the tokens that were trained.

import assert from "node:assert/strict";
import { Dataset } from "../lib/data/dataset.ts";
import { alpaca, chat, financeQA } from "../lib/data/prompt.ts";
import { boundary, tokenizeRow } from "../lib/data/tokenize_row.ts";
import type { Row } from "../lib/data/row.ts";
import { UserError } from "../lib/errors.ts";
import { loadTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";

const tiny = await loadTokenizer(
  new URL("./reference/tiny_tokenizer/", import.meta.url).pathname,
) as Tokenizer;

Deno.test("financeQA: the document's text for every shape of row", () => {
  const plain = "### Question: What is 5 % of 100?\n\n### Answer: 5.";
  const shapes: Row[] = [
    { instruction: "What is 5 % of 100?", input: "", output: "5.", text: "ignored" },
    { instruction: "What is 5 % of 100?", input: null, output: "5." },
    { prompt: "What is 5 % of 100?", completion: "5." },
    { question: "What is 5 % of 100?", answer: "5." },
    { messages: [{ role: "user", content: "What is 5 % of 100?" }, { role: "assistant", content: "5." }] },
    { conversations: [{ from: "human", value: "What is 5 % of 100?" }, { from: "gpt", value: "5." }] },
  ];
  for (const row of shapes) assert.equal(financeQA.question(row) + financeQA.answer(row), plain);
  const paired = { instruction: "Classify.", input: "Profit fell.", output: "negative" };
  assert.equal(
    financeQA.question(paired) + financeQA.answer(paired),
    "### Question: Classify.\n\nProfit fell.\n\n### Answer: negative",
  );
  assert.equal(
    financeQA.question({ question: "Why?", context: "Rates rose." }),
    "### Question: Why?\n\nRates rose.\n\n### Answer:",
  );
  assert.equal(financeQA.answer({ instruction: "How many?", output: 12 }), " 12");
});

Deno.test("alpaca: both forms", () => {
  const row = { instruction: "Define beta.", input: "", output: "A measure." };
  const without =
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n" +
    "### Instruction:\nDefine beta.\n\n### Response:\n";
  assert.equal(alpaca.question(row), without);
  assert.equal(alpaca.answer(row), "A measure.");
  assert.equal(
    alpaca.question({ ...row, input: "In one line." }),
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that " +
      "appropriately completes the request.\n\n### Instruction:\nDefine beta.\n\n### Input:\nIn one line.\n\n### Response:\n",
  );
});

const turn = (role: string, content: string) => `<|im_start|>${role}\n${content}<|im_end|>\n`;
const LONG = {
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Bond?" },
    { role: "assistant", content: "A loan." },
    { role: "user", content: "Share?" },
    { role: "assistant", content: "A part." },
  ],
};

Deno.test("chat: question, answer and parts of conversations and of single questions", () => {
  const prompt = chat(tiny);
  const opened = turn("system", "Be brief.") + turn("user", "Bond?") + turn("assistant", "A loan.") +
    turn("user", "Share?") +
    "<|im_start|>assistant\n";
  assert.equal(prompt.question(LONG), opened);
  assert.equal(prompt.answer(LONG), "A part.<|im_end|>\n");
  assert.deepEqual(prompt.render?.(LONG, true).map((part) => [part.text, part.trained]), [
    [turn("system", "Be brief.") + turn("user", "Bond?") + "<|im_start|>assistant\n", false],
    ["A loan.<|im_end|>", true],
    ["\n" + turn("user", "Share?") + "<|im_start|>assistant\n", false],
    ["A part.<|im_end|>", true],
    ["\n", false],
  ]);
  assert.deepEqual(prompt.render?.(LONG, false), [{ text: opened + "A part.<|im_end|>\n", trained: true }]);
  const single = { instruction: "Classify.", input: "Profit fell.", output: "negative" };
  assert.equal(
    prompt.question(single),
    turn("user", "Classify.\n\nProfit fell.") + "<|im_start|>assistant\n",
  );
  assert.equal(prompt.question({ instruction: "Bond?" }), turn("user", "Bond?") + "<|im_start|>assistant\n");
  const withSystem = chat(tiny, { system: "You advise." });
  assert.equal(
    withSystem.question({ prompt: "Bond?" }),
    turn("system", "You advise.") + turn("user", "Bond?") + "<|im_start|>assistant\n",
  );
  assert.equal(withSystem.question(LONG), opened);
});

Deno.test("chat: labels are the assistant's tokens; the template's own end is the end", () => {
  const { inputIds, labels } = tokenizeRow(LONG, chat(tiny), tiny, true);
  const trained = labels.map((label) =>
    label === -100 ? "|" : tiny.decode([label], { skipSpecialTokens: false })
  ).join("");
  assert.equal(
    trained.replaceAll(/\|+/g, "|"),
    "|A loan.<|im_end|>|A part.<|im_end|>|",
  );
  assert.equal(inputIds[0], tiny.bosId);
  assert.ok(!inputIds.includes(tiny.eosId!));
});

Deno.test("rows are tokenized once: BOS once, EOS at the end, the question's tokens first", () => {
  const row = { instruction: "What is a bond?", output: "A bond is a loan." };
  for (const prompt of [financeQA, alpaca]) {
    const { inputIds, labels } = tokenizeRow(row, prompt, tiny, false);
    assert.deepEqual(inputIds, [...tiny.encode(prompt.question(row) + prompt.answer(row)), 2]);
    assert.deepEqual(labels.slice(1), inputIds.slice(1));
    const asked = tiny.encode(prompt.question(row));
    assert.deepEqual(inputIds.slice(0, asked.length), asked);
    const completion = tokenizeRow(row, prompt, tiny, true);
    assert.deepEqual(completion.inputIds, inputIds);
    assert.deepEqual(completion.labels, [...asked.map(() => -100), ...inputIds.slice(asked.length)]);
  }
  const bos = { name: "bos", question: () => "<s>a", answer: () => " bond</s>" };
  assert.deepEqual(tokenizeRow({}, bos, tiny, false).inputIds, [
    1,
    ...tiny.encode("a bond", { addSpecialTokens: false }),
    2,
  ]);
});

Deno.test("a token that straddles question and answer is trained, and only that one", () => {
  const text = "What is a government?";
  const ids = tiny.encode(text, { addSpecialTokens: false });
  const pieces = ids.map((id) => tiny.decode([id]));
  assert.equal(pieces.join(""), text);
  for (let cut = 0; cut <= text.length; cut++) {
    let [inside, length] = [0, 0];
    while (inside < ids.length && length + pieces[inside].length <= cut) length += pieces[inside++].length;
    assert.equal(boundary(ids, text.slice(0, cut), tiny), inside, `cut at ${cut}`);
  }
});

Deno.test("prompts: a row without the field is named, with what it has", () => {
  const rows = new Dataset<Row>([{ instruction: "a", output: "b" }, { headline: "x", label: 1 }], "news.csv");
  const cases: [() => unknown, RegExp][] = [
    [
      () => rows.map((row) => financeQA.question(row)),
      /^news\.csv, row 1: no field "instruction".*\(it has headline, label;/,
    ],
    [() => financeQA.answer({ instruction: "a" }), /no field "output" \(it has instruction\)/],
    [() => financeQA.answer({ prompt: "a", output: "b" }), /no field "completion" \(it has prompt, output\)/],
    [() => financeQA.question({ question: ["a"] }), /field "question" is a list, not text/],
    [() => financeQA.question({ instruction: null }), /field "instruction" is null, not text/],
    [
      () => financeQA.question(LONG),
      /its messages are system, user, assistant, user, assistant: .* use chat\(tokenizer\)/,
    ],
    [() => financeQA.answer({ messages: LONG.messages.slice(1, 2) }), /hold no answer/],
    [() => chat(tiny).question({ messages: [] }), /"messages" is not a list of messages/],
    [
      () => chat(tiny).question({ messages: [{ role: "user", content: [{ type: "image" }] }] }),
      /messages\[0\]\.content\[0\] is of type "image": only text/,
    ],
    [
      () => chat(tiny).question({ messages: [{ role: "user", content: 5 }] }),
      /messages\[0\] should have a "role"/,
    ],
    [() => chat(tiny).render?.({ messages: LONG.messages.slice(0, 2) }, true), /no answer of the assistant/],
    [() => chat(undefined), /needs a tokenizer/],
  ];
  for (const [run, message] of cases) {
    assert.throws(run, (error: Error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("chat: a template that rewrites earlier turns trains whole, and says so when asked for answers only", () => {
  const rewriting: Tokenizer = {
    ...tiny,
    applyChatTemplate: (messages) => messages.length + messages.map((m) => m.content).join(),
  };
  assert.equal(chat(rewriting).render?.(LONG, false)[0].text, "5Be brief.,Bond?,A loan.,Share?,A part.");
  assert.throws(() => chat(rewriting).render?.(LONG, true), /hides where answers begin/);
});
