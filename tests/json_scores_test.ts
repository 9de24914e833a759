// JSON answers: found in any text, checked by a schema, compared field by field. The control of changed answers is in metrics_mutations_test.ts.
import assert from "node:assert/strict";
import { seededRandom } from "../lib/data/random.ts";
import { jsonRows, jsonScores } from "../lib/metrics/json.ts";
import { findJSON } from "../lib/metrics/json_find.ts";
import { refused } from "./refused.ts";

Deno.test("the JSON is found in what models write", () => {
  const value = { risk: "High", causes: ["a } b", 'c " d'] }, text = JSON.stringify(value);
  const around = [
    text,
    `Sure! ${text} I hope this helps [1].`,
    "```json\n" + text + "\n```",
    "Not {this} but:\n```\n" + text + "\n```\nnor {}",
    `<thinking>maybe {"risk": "Low"}</thinking>\n${text}`,
    `maybe {"risk": "Low"}</think>${text}`,
    `<THINK>a</THINK>{half ${text}`,
    `<html><body onload="x">${text}</body></html>`,
  ];
  for (const each of around) assert.deepEqual(findJSON(each, "object"), { value }, each);
  assert.deepEqual(findJSON("see [1]: [2, 3]", "list"), { value: [1] });
  assert.deepEqual(findJSON(`[1] ${text}`, "object"), { value });
  assert.deepEqual(findJSON("  42 "), { value: 42 });
});

Deno.test("what holds no JSON says why, and nothing throws or hangs", () => {
  const reasons: [string, string][] = [
    ["", "there is no JSON"],
    ["Positive.", "there is no JSON"],
    ["<html></html>", "there is no JSON"],
    ['{"risk": "Hi', "the JSON is cut off"],
    ["{'risk': 'High'}", "it is no JSON"],
    ['<thinking>{"risk": 1} and so on', "there is no JSON"],
    ["{".repeat(100_000), "the JSON is cut off"],
  ];
  for (const [text, missing] of reasons) {
    assert.deepEqual(findJSON(text), { missing }, text.slice(0, 40));
  }
  const deep = findJSON("[".repeat(1000) + "]".repeat(1000), "list");
  assert.equal(JSON.stringify(deep).length < 500, true); // the inner lists are no deeper than can be walked
  const random = seededRandom(1), letters = '{}[]":,\\0a-e.<thinking>`\n';
  for (let i = 0; i < 3000; i++) {
    const length = Math.floor(random() * 40);
    findJSON(Array.from({ length }, () => letters[Math.floor(random() * letters.length)]).join(""));
  }
});

const schema = {
  type: "object",
  required: ["entity", "risk"],
  additionalProperties: false,
  properties: {
    entity: { type: "string" },
    risk: { enum: ["High", "Medium", "Low"] },
    score: { type: "number", minimum: 0, maximum: 1 },
  },
};

Deno.test("parse rate, validity, fields and lists", async () => {
  const expected = [
    { entity: "Acme", risk: "High", score: 0.5 },
    { entity: "Bolt", risk: "Low", score: 1 },
    '{"entity": "Core", "risk": "Low", "score": 0}',
    { entity: "Dyne", risk: "Low", score: 0 },
  ];
  const answers = [
    '{"score": 0.50, "risk": "High", "entity": " Acme "}', // other order, other spelling of the same
    '{"entity": "Bolt", "risk": "low", "score": "1"}',
    "<html>503</html>",
    '{"entity": "Dyne", "risk": "Low", "score": 0, "note": "?"}', // one field too many
  ];
  const scores = await jsonScores(answers, expected, { schema });
  assert.deepEqual(scores, {
    parseRate: 0.75,
    validRate: 0.25,
    exact: 0.25,
    fieldAccuracy: (1 + 1 / 3 + 0 + 3 / 4) / 4,
    fields: { entity: 0.75, risk: 0.5, score: 0.5, note: 0 },
    lists: {},
  });
  const rows = await jsonRows(answers, expected, { schema, fields: ["entity"] });
  assert.deepEqual(rows.map(({ exact }) => exact), [true, true, false, true]);
  assert.equal(rows[1].violations!.some((text) => text.startsWith("#/risk")), true);
  assert.deepEqual(rows[2].violations, ["there is no JSON"]);
});

Deno.test("lists are sets, nested fields have paths, names may be hostile", async () => {
  const expected = { a: { b: [1, 2, { x: 1, y: 2 }] }, c: [] };
  const [row, empty, hostile] = await jsonRows(
    ['{"a": {"b": [{"y": 2, "x": 1}, 2, 2, 7]}, "c": []}', "", '{"__proto__": {"c": []}, "c": []}'],
    [expected, expected, expected],
  );
  assert.deepEqual(row.fields, { "a.b": false, c: true });
  assert.deepEqual(row.lists, { "a.b": 2 * 2 / 6, c: 1 });
  assert.deepEqual([empty.fieldAccuracy, empty.lists], [0, { "a.b": 0, c: 0 }]);
  assert.equal(hostile.fieldAccuracy, 1 / 3);
  assert.equal(({} as Record<string, unknown>).c, undefined);
});

Deno.test("bad calls are said", async () => {
  await refused("counts", () => jsonScores(["{}"], []), /1 predictions and 0 references/);
  await refused("no rows", () => jsonScores([], []), /at least one prediction/);
  await refused("a reference", () => jsonScores(["{}"], ["Low"]), /Reference 1 is no JSON: there is no JSON/);
  await refused(
    "a schema",
    () => jsonScores(["{}"], [{}], { schema: { $ref: "#/$defs/no" } }),
    /The schema is none/,
  );
});

Deno.test("schemas are fulfilled as jsonschema says", async () => {
  const { cases } = JSON.parse(
    await Deno.readTextFile(new URL("reference/json_schema/cases.json", import.meta.url)),
  );
  for (const { schema, values, valid } of cases) {
    const answers = values.map((value: unknown) => JSON.stringify({ value }));
    const wrapped = { type: "object", properties: { value: schema }, required: ["value"] };
    const draft = schema.$schema ? { $schema: schema.$schema } : {};
    // References stay at the root of the schema in which they stand.
    const whole = { ...draft, ...wrapped, $defs: schema.$defs, definitions: schema.definitions };
    const rows = await jsonRows(answers, values.map((value: unknown) => ({ value })), {
      schema: JSON.parse(JSON.stringify(whole)),
    });
    assert.deepEqual(rows.map((row) => row.valid), valid, JSON.stringify(schema));
  }
});

Deno.test("JSON: a field that nothing has, nothing expected, a schema that cannot be are told before anything is scored", async () => {
  const answers = ['{"risk":"Low","at":{"day":1}}'], expected = [{ risk: "High", at: { day: 1 } }];
  await refused(
    "a field",
    () => jsonScores(answers, expected, { fields: ["riks"] }),
    /"riks": they have risk, at\.day/,
  );
  assert.equal((await jsonScores(answers, expected, { fields: ["at"] })).exact, 1);
  await refused("undefined", () => jsonScores(answers, [undefined]), /Reference 1 is undefined/);
  const properties = (risk: object) => ({ schema: { properties: { other: { items: risk } } } });
  for (
    const [part, message] of [
      [{ $ref: "#/$defs/no" }, /there is no #\/\$defs\/no/],
      [{ pattern: "(" }, /regular expression/],
      [{ type: "strng" }, /no type "strng", only array/],
    ] as const
  ) await refused("schema", () => jsonScores(answers, expected, properties(part)), message);
  const schema = { properties: { at: { $ref: "#/$defs/at" } }, $defs: { at: { type: ["object", "null"] } } };
  assert.equal((await jsonScores(answers, expected, { schema })).validRate, 1);
});
