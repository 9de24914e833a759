// Statistics of conversations against transformers' tokenizer and numpy (tests/reference/conversation_statistics.py).

import assert from "node:assert/strict";
import { Dataset } from "../lib/data/dataset.ts";
import { datasetStatistics, statisticsTable } from "../lib/data/statistics.ts";
import { loadTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";
import { refused } from "./refused.ts";

const { template, rows, expected } = JSON.parse(
  await Deno.readTextFile(new URL("./reference/statistics/cases.json", import.meta.url)),
);

/** The tiny tokenizer with another chat template. */
async function tokenizerWith(chatTemplate: string | undefined): Promise<Tokenizer> {
  const source = new URL("./reference/tiny_tokenizer/", import.meta.url);
  const folder = await Deno.makeTempDir();
  try {
    await Deno.copyFile(new URL("tokenizer.json", source), `${folder}/tokenizer.json`);
    const config = JSON.parse(await Deno.readTextFile(new URL("tokenizer_config.json", source)));
    const text = JSON.stringify({ ...config, chat_template: chatTemplate });
    await Deno.writeTextFile(`${folder}/tokenizer_config.json`, text);
    return (await loadTokenizer(folder))!;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const tokenizer = await tokenizerWith(template);
const near = (actual: number | undefined, wanted: number, what: string) =>
  assert.ok(Math.abs(actual! - wanted) < 1e-9 * Math.max(1, wanted), `${what}: ${actual}, not ${wanted}`);

Deno.test("statistics: both ways of counting, by role, with numpy's 95th percentile", async () => {
  const found = await datasetStatistics(new Dataset(rows, "talks"), { tokenizer });
  assert.deepEqual([found.name, found.conversations, found.messages], [
    "talks",
    expected.conversations,
    expected.messages,
  ]);
  for (const way of ["once", "alone"] as const) {
    for (const figure of ["tokens", "mean", "p95", "max"] as const) {
      near(found[way]![figure], expected[way][figure], `${way} ${figure}`);
    }
  }
  assert.deepEqual(
    found.roles.map(({ role, messages }) => [role, messages]),
    expected.roles.map(({ role, messages }: { role: string; messages: number }) => [role, messages]),
  );
  found.roles.forEach((role, i) => {
    near(role.alone, expected.roles[i].alone, `${role.role} alone`);
    near(role.content, expected.roles[i].content, `${role.role} content`);
  });
  assert.ok(found.alone!.tokens > found.once.tokens);
});

Deno.test("statistics: a stream and ShareGPT's names count the same; alone: false leaves that count out", async () => {
  const names: Record<string, string> = {
    user: "human",
    assistant: "gpt",
    system: "system",
    tool: "observation",
  };
  type Talk = { messages: { role: string; content: string }[] };
  async function* shareGPT() {
    await Promise.resolve();
    for (const { messages } of rows as Talk[]) {
      yield { conversations: messages.map(({ role, content }) => ({ from: names[role], value: content })) };
    }
  }
  const found = await datasetStatistics(shareGPT(), { tokenizer, alone: false, name: "stream" });
  assert.deepEqual(found.once, (await datasetStatistics(rows, { tokenizer })).once);
  assert.equal(found.alone, undefined);
  assert.ok(found.roles.every((role) => role.alone === undefined && role.content > 0));
  assert.equal(String(found).split("\n").length, 3);
});

Deno.test("statistics: the table has a line for each way, and the columns of published cards", async () => {
  const found = await datasetStatistics(rows, { tokenizer, name: "talks" });
  const [head, , alone, once] = statisticsTable([found]).split("\n");
  for (
    const column of [
      "dataset",
      "counted",
      "tokens",
      "conversations",
      "tokens/conversation",
      "system average",
      "user average",
      "assistant average",
      "95th %ile",
      "longest",
    ]
  ) assert.ok(head.includes(`| ${column} `) || head.includes(` ${column} |`), column);
  assert.match(alone, /each message alone .* 41 /);
  assert.match(once, /each conversation once .* 41 /);
});

Deno.test("statistics: rows that are no conversations, none at all, no chat template, none that renders alone", async () => {
  const talk = { messages: [{ role: "user", content: "Hi" }] };
  const count = (list: unknown[], more: object = {}) => () =>
    datasetStatistics(list as never, { tokenizer, name: "file.jsonl", ...more });
  await refused("a row of text", count([talk, "text"]), /^file\.jsonl, row 1: .*"messages"/);
  await refused("no messages", count([{ question: "Why?" }]), /row 0: no "messages" or "conversations"/);
  await refused("an empty list", count([{ messages: [] }]), /row 0/);
  await refused(
    "content",
    count([talk, talk, { messages: [{ role: "user", content: 5 }] }]),
    /row 2: messages\[0\]/,
  );
  await refused("no rows", count([]), /file\.jsonl has no conversations/);
  await refused("no options", () => datasetStatistics([talk], undefined as never), /tokenizer/);
  const without = await tokenizerWith(undefined);
  await refused("no template", count([talk], { tokenizer: without, alone: false }), /chat template/);
  const strict = await tokenizerWith(
    "{% if messages[0]['role'] != 'user' %}{{ raise_exception('begin with user') }}{% endif %}{{ messages[0]['content'] }}",
  );
  const two = { messages: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Ho" }] };
  await refused("alone", count([two], { tokenizer: strict }), /assistant message alone: give alone: false/);
  assert.equal((await count([two], { tokenizer: strict, alone: false })()).once.tokens > 0, true);
});

Deno.test("statistics: roles of any name; rows or a tokenizer that are not there", async () => {
  const row = { messages: [{ role: "constructor", content: "Hi" }, { role: "__proto__", content: "Ho" }] };
  const { roles } = await datasetStatistics([row], { tokenizer });
  assert.deepEqual(roles.map(({ role }) => role), ["constructor", "__proto__"]);
  await refused(
    "a promise",
    () => datasetStatistics(Promise.resolve([]) as never, { tokenizer }),
    /needs rows.*await/,
  );
  await refused(
    "no tokenizer",
    () => datasetStatistics([row], { tokenizer: undefined as never }),
    /got no tokenizer/,
  );
});
