// Schemas, patterns and choices made to hurt: each ends in one sentence, or in an answer that is right, with bounded work.
import assert from "node:assert/strict";
import process from "node:process";
import { type Schema, Validator } from "@cfworker/json-schema";
import { choiceConstraint, jsonSchemaConstraint, regexConstraint } from "../lib/grammar/grammar.ts";
import { UserError } from "../lib/errors.ts";
import type { ConstraintSource } from "../lib/generate/constraint.ts";
import { drawFrom } from "../examples/tiny/random.ts";
import { isWhole, randomAnswer, toyTokenizer } from "./grammar_toy.ts";

const toy = toyTokenizer();
const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const nested = (depth: number, inner: unknown, wrap: (inner: unknown) => unknown): unknown =>
  range(depth).reduce(wrap, inner);
const object = (inner: unknown) => ({ type: "object", properties: { a: inner }, required: ["a"] });
const chain = (wrap: (inner: { $ref: string }) => unknown) => ({
  $defs: Object.fromEntries(
    range(30).map((
      i,
    ) => [`d${i}`, i === 0 ? { type: "string", maxLength: 2 } : wrap({ $ref: `#/$defs/d${i - 1}` })]),
  ),
  $ref: "#/$defs/d29",
});
/** In itself, as JSON never is. */
const circle: Record<string, unknown> = { type: "array" };
circle.items = circle;

/** Schemas, with what the sentence has to say; without it an answer comes. */
const SCHEMAS: [name: string, schema: unknown, says?: RegExp][] = [
  ["objects 150 deep", nested(150, { const: 1 }, object), /shortest answer that is allowed takes \d+ tokens/],
  ["objects 3,000 deep", nested(3000, { const: 1 }, object), /nested more than 400 deep/],
  [
    "alternatives 3,000 deep",
    nested(3000, true, (inner) => ({ anyOf: [inner] })),
    /nested more than 400 deep/,
  ],
  ["a circle", circle, /nested more than 400 deep/],
  [
    "twice itself, 40 times",
    nested(40, true, (inner) => ({ allOf: [inner, inner] })),
    /more than 500000 parts/,
  ],
  ["30 references, each two", chain((inner) => ({ allOf: [inner, inner] })), /^an answer: "/],
  [
    "a listed value, and 30 references, each two",
    {
      enum: [{ a: "aa" }, { a: "aaa" }],
      $defs: chain((inner) => ({ allOf: [inner, inner] })).$defs,
      properties: { a: { $ref: "#/$defs/d29" } },
    },
    /^an answer: \{/,
  ],
  [
    "one $id twice",
    { type: "object", properties: { a: { $id: "x" }, b: { $id: "x" } } },
    /^The schema's "\$id" at #\/properties\/a is not supported/,
  ],
  [
    "one $id twice, and a reference",
    { $id: "http://a.example", $defs: { b: { $id: "http://a.example", const: 1 } }, $ref: "#/$defs/b" },
    /^The schema's "\$id" at #\/\$defs\/b is not supported/,
  ],
  [
    "addresses that are none, where nobody looks",
    { $id: "http://[", const: 1, $defs: { a: { $id: "//" }, b: { $id: "//", $ref: "//" } } },
    /^an answer: \s*1$/,
  ],
  [
    "a pattern that would try forever",
    { enum: [`${"a".repeat(60)}!`, "aaa"], pattern: "^(a+)+$" },
    /^an answer: "(a|\\u0061){3}"$/,
  ],
  [
    "the same inside a value",
    {
      enum: [{ x: `${"a".repeat(60)}!` }, { x: 1 }],
      properties: { x: { pattern: "^(a+)+$" } },
    },
    /^an answer: \{[^!]*1\s*\}$/,
  ],
  ["a listed value and a pattern that is none", { const: "a", pattern: "[" }, /pattern at #\/pattern cannot/],
  [
    "a value that is asked about itself",
    { enum: [{ a: 1 }], properties: { a: { allOf: [{ $ref: "#/properties/a" }] } } },
    /refers to itself without end/,
  ],
  [
    "30 references, each one of two",
    chain((inner) => ({ minLength: 1, anyOf: [inner, inner] })),
    /multiply to more/,
  ],
  [
    "a tree of 2^29 texts",
    chain((inner) => ({ type: "object", properties: { a: inner, b: inner }, required: ["a", "b"] })),
    /./,
  ],
  ["30,000 labels", { enum: range(30_000).map((i) => `label ${i}`) }],
  [
    "30,000 labels and a length",
    { enum: range(30_000).map(String), maxLength: 3 },
    /lists more than 2000 values/,
  ],
  ["3,000 objects", { enum: range(3000).map((i) => ({ i })) }, /More than 256 kinds of objects/],
  ["a long label", { const: "a".repeat(300_000) }, /too many states/],
  ["labels that begin alike", { enum: range(800).map((i) => "a".repeat(i)) }],
  ["many fields", { type: "object", required: range(2000).map(String) }, /more than 1000 properties/],
  [
    "lists of lists of lists",
    nested(4, true, (items) => ({ type: "array", items, minItems: 100 })),
    /more than 1000000 characters/,
  ],
  ["a text of 1e9 characters at most", { type: "string", maxLength: 1e9 }],
  ["a text too short for its pattern", { type: "string", pattern: "^.{10000}$", maxLength: 9999 }, /./],
  ["2^18 states", { type: "string", pattern: "^(a|b)*a(a|b){18}$" }],
  ["patterns that exclude each other", {
    allOf: [{ type: "string", pattern: "a.{9}$" }, { pattern: "^[ab]*$" }, { pattern: "^(?!.*a.{9}$)" }],
  }, /./],
  [
    "no number between",
    { type: "number", exclusiveMinimum: 1, exclusiveMaximum: 1.0000000000000002 },
    /No value/,
  ],
  ["the largest bounds", { type: "number", minimum: -Number.MAX_VALUE, maximum: Number.MAX_VALUE }],
  ["integers above the largest", { type: "integer", minimum: 1e308 }, /No value fulfils the schema/],
  ["integers with nothing above them", { type: "integer", minimum: 3, maximum: 1.7e308 }],
  ["numbers above the smallest", { type: "number", minimum: 5e-324, maximum: 1e-7 }],
  ["numbers under the smallest", { type: "number", minimum: -1e-7, exclusiveMaximum: -5e-324 }],
  ["numbers around 0", { type: "number", minimum: -5e-324, maximum: 5e-324 }],
  ["a reference in a circle", {
    $defs: { a: { anyOf: [{ $ref: "#/$defs/b" }] }, b: { anyOf: [{ $ref: "#/$defs/a" }] } },
    $ref: "#/$defs/a",
  }, /No value/],
  [
    "names of JavaScript's own",
    JSON.parse(
      '{"type":"object","properties":{"__proto__":{"type":"null"}},"required":["__proto__","toString"],"additionalProperties":{"type":"boolean"}}',
    ),
  ],
];

const PATTERNS: [pattern: string, says?: RegExp][] = [
  ["((a*)*)*b"],
  ["(?:a|aa|aaa)+c"],
  ["[ab]*a[ab]{20}"],
  ["(?:(?:(?:a{1,100}){1,100}){1,100}){1,100}"],
  ["(?:(?:a{100000}){100000}){100000}", /./],
  [`${"a?".repeat(3000)}${"a".repeat(30)}`, /optional parts/],
  [`${"(".repeat(3000)}a${")".repeat(3000)}`, /nested more than 200 deep/],
  ["ab?".repeat(30_000), /more than 50000 characters/],
  [`${range(6).map((i) => `(?=.*${String.fromCharCode(97 + i)})`).join("")}[a-z]{6}`],
];

/** An answer of at most 200 tokens, or the sentence. */
async function ending(
  make: Promise<ConstraintSource>,
  seed: number,
): Promise<{ text?: string; error?: UserError }> {
  try {
    const source = await make, random = drawFrom(seed);
    return { text: toy.decode(randomAnswer(source.start(200), toy.vocabSize, 200, random)) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { error };
  }
}

/** Seconds of work that a case may take: far above what any takes, far below a hang. */
const MOST = 20;

async function held(
  name: string,
  make: () => Promise<ConstraintSource>,
  says: RegExp | undefined,
  right: (text: string) => boolean,
): Promise<void> {
  const begin = process.cpuUsage(),
    { text, error } = await ending(make(), 1),
    { user } = process.cpuUsage(begin);
  assert.ok(user < MOST * 1e6, `${name} took ${user / 1e6} s`);
  if (says) assert.match(error?.message ?? `an answer: ${text}`, says, name);
  else assert.ok(text !== undefined && right(text), `${name}: ${error?.message ?? text?.slice(0, 200)}`);
}

Deno.test("hostile schemas", async () => {
  for (const [name, schema, says] of SCHEMAS) {
    const given = schema as Record<string, unknown>;
    await held(name, () => jsonSchemaConstraint(toy, given), says, (text) => {
      return new Validator(structuredClone(given) as Schema, "2020-12").validate(JSON.parse(text)).valid;
    });
  }
});

Deno.test("listed values are those that the validator takes", async () => {
  const values = [
    null,
    true,
    0,
    -1,
    1,
    2.5,
    0.3,
    1e21,
    "",
    "a",
    "ab",
    "2026-01-31",
    "2026-02-31",
    "日本",
    "🙂🙂",
    [],
    [1],
  ]
    .concat([["a", 1], [[]], {}, { a: 1 }, { a: "ab" }, { a: 1, b: null }, { b: { a: 3 } }] as never[]);
  const rests: Record<string, unknown>[] = [
    { type: ["string", "integer"], minLength: 1 },
    { minLength: 2, maxLength: 2 },
    { minimum: 0, exclusiveMaximum: 2.5 },
    { multipleOf: 0.1, maximum: 1e6 },
    { multipleOf: 2.5, type: ["number", "string"] },
    { pattern: "^a", type: "string" },
    { format: "date" },
    { format: "unheard-of", maxLength: 3 },
    { minItems: 1, items: { type: "integer" } },
    { prefixItems: [{ type: "string" }], items: { const: 1 }, maxItems: 2 },
    { items: [{ type: "string" }], additionalItems: false },
    { required: ["a"], properties: { a: { type: "integer" } } },
    { properties: { a: { pattern: "b$" } }, additionalProperties: { type: "null" } },
    { minProperties: 1, maxProperties: 1, additionalProperties: false, properties: { a: {} } },
    { anyOf: [{ type: "null" }, { type: "string", maxLength: 1 }] },
    { allOf: [{ minLength: 1 }, { maxLength: 1 }], required: ["a"] },
    {
      $ref: "#/$defs/tree",
      $defs: { tree: { properties: { b: { $ref: "#/$defs/tree" }, a: { maximum: 2 } } } },
    },
    { oneOf: [{ type: "string", pattern: "a" }, { type: "integer" }] },
  ];
  for (const rest of rests) {
    const schema = JSON.parse(JSON.stringify({ ...rest, enum: values })), says = JSON.stringify(rest);
    const source = await jsonSchemaConstraint(toy, schema), validator = new Validator(schema, "2020-12");
    const old = Array.isArray(rest.items) ? new Validator(schema, "7") : validator;
    for (const value of values) {
      const text = JSON.stringify(value);
      assert.equal(
        isWhole(source.start(), text, toy.eosId!),
        old.validate(value).valid,
        `${text} under ${says}`,
      );
    }
  }
});

Deno.test("hostile patterns", async () => {
  for (const [pattern, says] of PATTERNS) {
    const short = pattern.slice(0, 40), whole = () => new RegExp(`^(?:${pattern})$`, "u");
    // RegExp itself would take forever on some of these.
    const right = (text: string) => /^\(\(|\{1,100\}/.test(pattern) || whole().test(text);
    await held(short, () => regexConstraint(toy, pattern), says, right);
  }
});

Deno.test("hostile choices", async () => {
  const many = range(20_000).map((i) => `choice ${7919 * i}`);
  await held("20,000", () => choiceConstraint(toy, many), undefined, (text) => many.includes(text));
  const long = range(3).map((i) => `${"x".repeat(1e6)}${i}`);
  await held("of a million characters", () => choiceConstraint(toy, long), /too many states/, () => false);
  await held(
    "half a character",
    () => choiceConstraint(toy, ["\ud800"]),
    undefined,
    (text) => text === "\ufffd",
  );
});
