// The shapes of rows that the field's trainers take: each gives the right text without being told.

import assert from "node:assert/strict";
import { detectPrompt } from "../lib/data/detect.ts";
import { packBatches } from "../lib/data/pack.ts";
import type { Row } from "../lib/data/row.ts";
import { UserError } from "../lib/errors.ts";
import { loadTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";

const tiny = await loadTokenizer(
  new URL("./reference/tiny_tokenizer/", import.meta.url).pathname,
) as Tokenizer;
const bare: Tokenizer = { ...tiny, chatTemplate: undefined };
const turn = (role: string, content: string) => `<|im_start|>${role}\n${content}<|im_end|>\n`;
const QUESTION = turn("user", "What is a bond?");
const CHAT = QUESTION + turn("assistant", "A loan.");

/** The whole text of a row, and which of it is trained. */
function shown(row: Row, tokenizer: Tokenizer | undefined = tiny): { text: string; trained: string[] } {
  const prompt = detectPrompt([row], tokenizer);
  const parts = prompt.render?.(row, true) ??
    [{ text: prompt.question(row), trained: false }, { text: prompt.answer(row), trained: true }];
  const text = parts.map((part) => part.text).join("");
  assert.equal(prompt.question(row) + prompt.answer(row), text, "question and answer make the text");
  return { text, trained: parts.filter((part) => part.trained).map((part) => part.text) };
}

const [q, a] = ["What is a bond?", "A loan."];
const user = { role: "user", content: q }, assistant = { role: "assistant", content: a };
const SAME: [string, Row][] = [
  ["Alpaca, Unsloth, FinGPT", { instruction: q, input: "", output: a }],
  ["finance-alpaca", { instruction: q, input: "", output: a, text: "" }],
  ["GPTeacher", { instruction: q, input: "", response: a }],
  ["Dolly", { instruction: q, context: "", response: a, category: "open_qa" }],
  ["TRL, OpenAI's older files, MLX-LM's completions", { prompt: q, completion: a }],
  ["prompt/response", { prompt: q, response: a }],
  ["question/answer", { question: q, answer: a }],
  ["OpenOrca without a system prompt", { id: "niv.1", system_prompt: "", question: q, response: a }],
  ["SQuAD", { id: "1", title: "x", context: "", question: q, answers: { text: [a], answer_start: [0] } }],
  ["MetaMath", { query: q, response: a }],
  ["input/output", { input: q, output: a }],
  ["FLAN", { inputs: q, targets: a }],
  ["Camel", { message_1: q, message_2: a }],
  ["OpenAI, MLX-LM's chat, TRL, Axolotl's chat_template", { messages: [user, assistant] }],
  ["content parts", {
    messages: [{
      role: "user",
      content: [{ type: "text", text: "What is " }, { type: "text", text: "a bond?" }],
    }, assistant],
  }],
  ["ShareGPT, LLaMA-Factory, Unsloth", {
    conversations: [{ from: "human", value: q }, { from: "gpt", value: a }],
  }],
  ["conversations with roles", { conversations: [user, assistant] }],
  ["TRL's lists", { prompt: [user], completion: [assistant] }],
  ["LLaMA-Factory's Alpaca", { instruction: q, input: "", output: a, system: "", history: [] }],
];
for (const [name, row] of SAME) {
  Deno.test(`shape: ${name}`, () => {
    assert.deepEqual(shown(row), { text: CHAT, trained: ["A loan.<|im_end|>"] });
    const without = shown(row, bare);
    assert.deepEqual(without, { text: `### Question: ${q}\n\n### Answer: ${a}`, trained: [` ${a}`] });
  });
}

Deno.test("shape: systems and earlier turns", () => {
  const whole = turn("system", "Be brief.") + turn("user", "Share?") + turn("assistant", "A part.") + CHAT;
  const trained = ["A part.<|im_end|>", "A loan.<|im_end|>"];
  const earlier = [{ role: "user", content: "Share?" }, { role: "assistant", content: "A part." }];
  const system = { role: "system", content: "Be brief." };
  const rows: Row[] = [
    { instruction: q, input: "", output: a, system: "Be brief.", history: [["Share?", "A part."]] },
    { messages: [system, ...earlier, user, assistant] },
    { messages: [{ ...system, role: "developer" }, ...earlier, user, assistant] },
    { system: "Be brief.", conversations: [...earlier, user, assistant] },
    {
      conversations: [
        { from: "system", value: "Be brief." },
        { from: "human", value: "Share?" },
        { from: "gpt", value: "A part." },
        { from: "human", value: q },
        { from: "gpt", value: a },
      ],
    },
  ];
  for (const row of rows) assert.deepEqual(shown(row), { text: whole, trained });
  const last = { text: whole, trained: trained.slice(1) };
  assert.deepEqual(shown({ prompt: [system, ...earlier, user], completion: [assistant] }), last);
  const [asked, told] = earlier;
  assert.deepEqual(shown({ messages: [system, asked, { ...told, weight: 0 }, user, assistant] }), last);
  assert.deepEqual(
    shown({ messages: [system, asked, { ...told, train: false }, user, { ...assistant, weight: 1 }] }),
    last,
  );
  assert.equal(
    shown({ system_prompt: "Be brief.", question: q, response: a }).text,
    turn("system", "Be brief.") + CHAT,
  );
});

Deno.test("shape: prompt and completion that bring their own space are put behind one another", () => {
  const cases: [Row, string, string][] = [
    [{ prompt: "Bond:\n", completion: "A loan." }, "Bond:\n", "A loan."],
    [{ prompt: "Bond:", completion: " A loan." }, "Bond:", " A loan."],
    [
      { context: "Input: Profit fell.\nAnswer: ", target: "negative" },
      "Input: Profit fell.\nAnswer:",
      " negative",
    ],
  ];
  for (const [row, question, answer] of cases) {
    const prompt = detectPrompt([row], tiny);
    assert.deepEqual([prompt.question(row), prompt.answer(row)], [question, answer]);
  }
});

Deno.test("shape: text and label, by number, name, truth or label_text", () => {
  const asked = (listed: string) =>
    `### Question: Choose the label of the text from {${listed}}.\n\nUp.\n\n### Answer:`;
  const cases: [Row[], string, string, Parameters<typeof detectPrompt>[2]?][] = [
    [[{ text: "Up.", label: 2 }, { text: "Down.", label: 0 }], asked("0/2"), " 2"],
    [[{ text: "Up.", label: 1 }, { text: "Down.", label: 0 }], asked("bad/good"), " good", {
      labels: ["bad", "good"],
    }],
    [[{ text: "Up.", label: "LABEL_1" }, { text: "-", label: "LABEL_0" }], asked("bad/good"), " good", {
      labels: { LABEL_0: "bad", LABEL_1: "good" },
    }],
    [
      [{ news: "Up.", label: "positive" }, { news: "-", label: "negative" }],
      asked("negative/positive"),
      " positive",
    ],
    [
      [{ text: "Up.", label: 1, label_text: "bull" }, { text: "-", label: 0, label_text: "bear" }],
      asked("bear/bull"),
      " bull",
    ],
    [[{ sentence: "Up.", label: true }, { sentence: "-", label: false }], asked("false/true"), " true"],
  ];
  for (const [rows, question, answer, options] of cases) {
    const prompt = detectPrompt(rows, undefined, options);
    assert.deepEqual([prompt.question(rows[0]), prompt.answer(rows[0])], [question, answer]);
  }
  const rows = [{ text: "Up.", label: "a" }, { text: "Down.", label: "b" }];
  const prompt = detectPrompt(rows, tiny);
  assert.equal(prompt.name, "chat with the labels a/b");
  assert.equal(
    prompt.question({ text: "Up." }),
    turn("user", "Choose the label of the text from {a/b}.\n\nUp.") + "<|im_start|>assistant\n",
  );
  assert.equal(prompt.answer(rows[1]), "b<|im_end|>\n");
  assert.throws(() => prompt.answer({ text: "x", label: "c" }), /its label is "c", none of a, b/);
});

Deno.test("shape: plain text and Axolotl's segments", () => {
  assert.deepEqual(shown({ text: "A bond is a loan." }), {
    text: "A bond is a loan.",
    trained: ["A bond is a loan."],
  });
  const segments = [{ label: false, text: "Q: bond?\n" }, { label: true, text: "A: loan." }];
  assert.deepEqual(shown({ segments }), { text: "Q: bond?\nA: loan.", trained: ["A: loan."] });
});

Deno.test("shape: of preferences the chosen answer is taken, and said so", () => {
  const said: string[] = [];
  const warn = console.warn;
  console.warn = (line) => said.push(line);
  try {
    const turns = [user, assistant], bad = { role: "assistant", content: "A share." };
    const rows: Row[] = [
      { prompt: q, chosen: a, rejected: "A share." },
      { prompt: [user], chosen: [assistant], rejected: [bad] },
      { chosen: turns, rejected: [user, bad] },
      { prompt: q, prompt_id: "1", chosen: turns, rejected: [user, bad], messages: turns },
      {
        conversations: [{ from: "human", value: q }],
        chosen: { from: "gpt", value: a },
        rejected: { from: "gpt", value: "A share." },
      },
      { question: q, chosen: a, rejected: "A share." },
    ];
    for (const row of rows) assert.deepEqual(shown(row), { text: CHAT, trained: ["A loan.<|im_end|>"] });
    assert.equal(said.length, rows.length);
    assert.match(said[0], /the chosen ones are trained on, the rejected ones are not used/);
    assert.equal(detectPrompt(rows, tiny).name, "chat of the chosen answers");
    assert.equal(
      shown({ chosen: "Human: x\n\nAssistant: y", rejected: "z" }).text,
      "Human: x\n\nAssistant: y",
    );
  } finally {
    console.warn = warn;
  }
});

Deno.test("shape: what is not known is said with its fields", () => {
  const cases: [Row[], RegExp][] = [
    [[], /has no rows/],
    [
      [{ headline: "x", body: "y" }],
      /^the rows, row 0: no shape that is known \(it has headline, body; known are instruction/,
    ],
    [
      [{ term: "Beta", definition: "A measure." }],
      /\(it has term, definition;.*rename the fields with rows\.map/,
    ],
    [
      [{ prompt: "x", reference: "y" }],
      /"prompt" has no "completion" beside it; .*\(it has prompt, reference/,
    ],
    [[{ text: "x" }, { instruction: "a", output: "b" }], /text in row 0, exchange in row 1/],
    [[{ prompt: "x", completion: "y", label: true }], /preferences one by one/],
    [[{ prompt: [user], completion: [assistant], label: false }], /a label .*preferences one by one/],
    [[{ instruction: "x", output: "y", kto_tag: false }], /a kto_tag .*preferences one by one/],
    [[{ messages: [user, assistant], kto_tag: true }], /a kto_tag .*preferences one by one/],
    [
      Array.from({ length: 60 }, (_, i) => ({ text: "x", label: i / 7 })),
      /60 different labels .* no classes/,
    ],
  ];
  for (const [rows, message] of cases) {
    assert.throws(() => detectPrompt(rows, tiny), (error: Error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
  const several = { messages: [user, assistant, user, assistant] };
  assert.throws(() => detectPrompt([several], bare).question(several), /use chat\(tokenizer\)/);
  assert.throws(
    () => detectPrompt([{ text: "x", label: 3 }], tiny, { labels: ["a"] }),
    /has no name for the label 3/,
  );
});

Deno.test("batches choose the prompt by the rows themselves: lists, datasets and generators", () => {
  const rows = [{ messages: [user, assistant] }, { instruction: q, output: a }];
  const expected = tiny.encode(CHAT);
  const given = { tokenizer: tiny, completionOnly: true };
  for (const source of [rows, rows.values()]) {
    const { examples } = packBatches(source, given);
    assert.deepEqual([...examples].map((example) => [...example.inputIds]), [expected, expected]);
  }
});
