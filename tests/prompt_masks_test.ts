// Which tokens are trained under chat templates of the field's styles, against transformers' own mask
// (tests/reference/chat_templates.py): with the templates' {% generation %} marks, and without them.

import assert from "node:assert/strict";
import { join } from "@std/path";
import { chat } from "../lib/data/chat.ts";
import { packBatches, padBatches } from "../lib/data/pack.ts";
import type { Row } from "../lib/data/row.ts";
import { tokenizeRow } from "../lib/data/tokenize_row.ts";
import { UserError } from "../lib/errors.ts";
import type { Message } from "../lib/text/chat_template.ts";
import { loadTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";

const HERE = new URL("./reference/", import.meta.url).pathname;
interface Case {
  template: string;
  messages: Message[];
  text: string;
  ids: number[];
  mask: string;
}
const { templates, specials, cases } = JSON.parse(
  await Deno.readTextFile(join(HERE, "chat_templates/cases.json")),
) as { templates: Record<string, string>; specials: Record<string, string>; cases: Case[] };

/** The tiny tokenizer with this template and the special tokens of all styles. */
async function tokenizerWith(template: string): Promise<Tokenizer> {
  const folder = await Deno.makeTempDir();
  await Deno.copyFile(join(HERE, "tiny_tokenizer/tokenizer.json"), join(folder, "tokenizer.json"));
  const added = Object.entries(specials).map(([id, content]) => [id, { content, special: true }]);
  await Deno.writeTextFile(
    join(folder, "tokenizer_config.json"),
    JSON.stringify({
      bos_token: "<s>",
      eos_token: "</s>",
      chat_template: template,
      added_tokens_decoder: Object.fromEntries(added),
    }),
  );
  const tokenizer = await loadTokenizer(folder) as Tokenizer;
  await Deno.remove(folder, { recursive: true });
  return tokenizer;
}
const unmarked = (template: string) => template.replaceAll(/{% (end)?generation %}/g, "");
const row = (...texts: string[]) => ({
  messages: texts.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content })),
});
/** The trained tokens as text, one string a run of them. */
function trainedRuns(tokenizer: Tokenizer, inputIds: ArrayLike<number>, labels: ArrayLike<number>): string[] {
  const runs: number[][] = [];
  for (let i = 0; i < inputIds.length; i++) {
    if (labels[i] === -100) continue;
    assert.equal(labels[i], inputIds[i]);
    if (i === 0 || labels[i - 1] === -100) runs.push([]);
    runs.at(-1)!.push(labels[i]);
  }
  return runs.map((run) => tokenizer.decode(run, { skipSpecialTokens: false }));
}

for (const [name, template] of Object.entries(templates)) {
  Deno.test(`${name}: text, ids and mask are transformers', with the template's marks and without`, async () => {
    for (const marks of [true, false]) {
      const tokenizer = await tokenizerWith(marks ? template : unmarked(template));
      assert.equal(tokenizer.markAnswers !== undefined, marks);
      const prompt = chat(tokenizer);
      const own = cases.filter((one) => one.template === name);
      assert.ok(own.length >= 5);
      for (const { messages, text, ids, mask } of own) {
        const asked = messages.map((message) => message.content).join(" | ");
        assert.equal(prompt.render!({ messages }, false)[0].text, text, asked);
        const { inputIds, labels } = tokenizeRow({ messages }, prompt, tokenizer, true);
        const lead = ids[0] === tokenizer.bosId ? 0 : 1; // transformers adds no BOS to a template that writes none
        assert.deepEqual(inputIds, [...lead ? [tokenizer.bosId] : [], ...ids], asked);
        assert.equal(
          inputIds.filter((id) => id === tokenizer.bosId).length,
          name === "llama2" ? messages.length / 2 : 1,
        );
        assert.equal(labels.slice(lead).map((label) => label === -100 ? "0" : "1").join(""), mask, asked);
        assert.equal(prompt.question({ messages }) + prompt.answer({ messages }), text, asked);
      }
    }
  });
}

const ENDS: Record<string, string> = {
  chatml: "<|im_end|>",
  "qwen2.5": "<|im_end|>",
  llama3: "<|eot_id|>",
  gemma: "<end_of_turn>",
  mistral: "</s>",
  zephyr: "</s>",
};
Deno.test("the trained tokens decode to exactly the answers and the tokens that end their turns", async () => {
  const answers = ["A loan to a company.", "½ é 😀 分析", "Yes: 5 % of 100 is 5."];
  const texts = answers.flatMap((answer, i) => [`Question ${i}?`, answer]);
  for (const [name, end] of Object.entries(ENDS)) {
    const tokenizer = await tokenizerWith(unmarked(templates[name]));
    const prompt = chat(tokenizer);
    assert.equal(prompt.turnEnd, end);
    const { inputIds, labels } = tokenizeRow(row(...texts), prompt, tokenizer, true);
    const space = name === "mistral" ? " " : "";
    assert.deepEqual(
      trainedRuns(tokenizer, inputIds, labels),
      answers.map((answer) => space + answer + end),
      name,
    );
  }
});

Deno.test("mistral: the system prompt stands where the model is asked with it, before the last answer", async () => {
  const tokenizer = await tokenizerWith(unmarked(templates.mistral));
  const prompt = chat(tokenizer, { system: "Be brief." });
  const asked = "<s>[INST] Bond?[/INST] A loan.</s>[INST] Be brief.\n\nShare?[/INST]";
  assert.equal(prompt.question(row("Bond?", "A loan.", "Share?")), asked);
  const whole = row("Bond?", "A loan.", "Share?", "A part.");
  assert.equal(prompt.answer(whole), " A part.</s>");
  for (const completionOnly of [false, true]) {
    assert.equal(
      prompt.render!(whole, completionOnly).map((part) => part.text).join(""),
      asked + " A part.</s>",
    );
  }
  const { inputIds, labels } = tokenizeRow(whole, prompt, tokenizer, true);
  assert.deepEqual(trainedRuns(tokenizer, inputIds, labels), [" A loan.</s>", " A part.</s>"]);
});

Deno.test("what a template refuses, leaves out or hides is said", async () => {
  const system = { role: "system", content: "Be brief." };
  const opensThought = unmarked(templates.chatml).replace(
    "assistant\\n' }}{% endif %}",
    "assistant\\n<think>\\n' }}{% endif %}",
  );
  const refused: [string, Parameters<ReturnType<typeof chat>["question"]>[0], RegExp][] = [
    [templates.gemma, { messages: [system, ...row("a", "b").messages] }, /System role not supported/],
    [templates.llama2, { messages: [system, ...row("a", "b").messages] }, /leaves out what "system" says/],
    [
      unmarked(templates.gemma).replace("'\\n' + message.content", "'\\n' + message.content | upper"),
      row("a", "b", "c", "d"),
      /leaves out what "user"/,
    ],
    [opensThought, row("a", "b"), /hides where answers begin/],
    [
      unmarked(templates.chatml).replace("message.content", "message.content | upper"),
      row("A", "b", "C", "d"),
      /hides where/,
    ],
  ];
  for (const [template, asked, message] of refused) {
    const prompt = chat(await tokenizerWith(template));
    assert.throws(() => prompt.render!(asked, true), (error: Error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("templates are given no date that changes: Llama 3's is always the same", async () => {
  const tokenizer = await tokenizerWith(templates.llama3);
  assert.match(tokenizer.applyChatTemplate(row("Hi").messages), /Today Date: 26 Jul 2024\n/);
});

const TOOLS = [{
  name: "price",
  description: "The price of a share.",
  parameters: { type: "object", properties: {} },
}];
Deno.test("calls of functions: what the assistant writes is trained, results are not; both spellings give the same", async () => {
  const calling =
    "{% if tools %}{{ '<|im_start|>system\\n' + tools[0].function.name + '<|im_end|>\\n' }}{% endif %}" +
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}" +
    "{% for call in m.tool_calls or [] %}{{ '<call>' + call.function.name + ' ' + (call.function.arguments | tojson) + '</call>' }}{% endfor %}" +
    "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
  const tokenizer = await tokenizerWith(calling);
  const openai = {
    tools: [{ type: "function", function: TOOLS[0] }],
    messages: [
      { role: "user", content: "Price?" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{
          id: "call_1",
          type: "function",
          function: { name: "price", arguments: '{"of": "AAPL"}' },
        }],
      },
      { role: "tool", tool_call_id: "call_1", content: '{"usd": 5}' },
      { role: "assistant", content: "5 dollars." },
    ],
  };
  const sharegpt = {
    tools: JSON.stringify(TOOLS),
    conversations: [
      { from: "human", value: "Price?" },
      { from: "function_call", value: '{"name": "price", "arguments": {"of": "AAPL"}}' },
      { from: "observation", value: '{"usd": 5}' },
      { from: "gpt", value: "5 dollars." },
    ],
  };
  const older = {
    functions: TOOLS,
    messages: [
      openai.messages[0],
      { role: "assistant", content: null, function_call: { name: "price", arguments: '{"of": "AAPL"}' } },
      { role: "function", name: "price", content: '{"usd": 5}' },
      openai.messages[3],
    ],
  };
  for (const calls of [openai, sharegpt, older]) {
    const { inputIds, labels } = tokenizeRow(calls, chat(tokenizer), tokenizer, true);
    assert.deepEqual(trainedRuns(tokenizer, inputIds, labels), [
      '<call>price {"of": "AAPL"}</call><|im_end|>',
      "5 dollars.<|im_end|>",
    ]);
    assert.match(tokenizer.decode(inputIds), /^system\nprice\nuser\nPrice\?\n/);
  }
});

Deno.test("an end is EOS or what ends a turn; another special token at the end is none", async () => {
  const tokenizer = await tokenizerWith(unmarked(templates.chatml));
  const prompt = { name: "tool", question: () => "a", answer: () => "b[/INST]" };
  const ids = tokenizeRow({}, prompt, tokenizer, false).inputIds;
  assert.deepEqual(ids.slice(-2), [406, tokenizer.eosId]);
  const ended = { ...prompt, turnEnd: "[/INST]" };
  assert.equal(tokenizeRow({}, ended, tokenizer, false).inputIds.at(-1), 406);
});

Deno.test("rows whose answers are cut away are counted in both layouts, in many turns and few; none has loss 0", async () => {
  const tokenizer = await tokenizerWith(unmarked(templates.chatml));
  const long = "word ".repeat(60);
  const rows = [
    row("Bond?", "A loan."), // whole
    row(long, "A loan."), // the answer cut away
    row("Bond?", "A loan.", long, "A part."), // the second answer cut away
    row(long, "A loan.", "Share?", "A part."), // both
    row("Bond?", long), // cut inside the answer
  ];
  const warn = console.warn;
  console.warn = () => {};
  try {
    for (const form of [packBatches, padBatches]) {
      const batches = form(rows, { tokenizer, maxLength: 60, completionOnly: true, batchSize: 2 });
      assert.deepEqual([batches.rows, batches.dropped, batches.truncated], [3, 2, 2]);
      assert.deepEqual([...batches].flatMap((batch) => batch.rows), [0, 2, 4]);
      for (const batch of batches) {
        for (const index of batch.rows) {
          const targets = batch.targetIndex.filter((at) => batch.rowOf[at] === index);
          assert.ok(targets.length > 0, `row ${index} is trained on something`);
        }
      }
      assert.match(batches.toString(), /2 rows left out: no trained token within 60/);
    }
    assert.throws(
      () => packBatches([rows[1]], { tokenizer, maxLength: 60, completionOnly: true }),
      /no row has a trained token/,
    );
  } finally {
    console.warn = warn;
  }
});

Deno.test("calls that the template leaves out, and answers learnt in part, are refused, not trained as silence", async () => {
  const tokenizer = await tokenizerWith(
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  );
  const calls = {
    conversations: [
      { from: "human", value: "Price?" },
      { from: "function_call", value: '{"name": "price", "arguments": {}}' },
      { from: "observation", value: "5" },
      { from: "gpt", value: "5 dollars." },
    ],
  };
  const parts = {
    conversations: [
      { from: "human", value: "Price?" },
      { from: "gpt", value: "5 dollars.", train_detail: [{ begin_offset: 0, end_offset: 1, train: false }] },
    ],
  };
  for (const completionOnly of [true, false]) {
    const tokenize = (row: Row) => () => tokenizeRow(row, chat(tokenizer), tokenizer, completionOnly);
    assert.throws(tokenize(calls), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /leaves out that the assistant calls "price": .*\.$/);
      return true;
    });
    assert.throws(tokenize(parts), /conversations\[1\] has a "train_detail"/);
  }
});
