// Schemas for the tests of constraints, each with documents that fulfil it and documents that do not.
import { riskSchema } from "../examples/qwen2_risk/rows.ts";

export interface Case {
  name: string;
  schema: Record<string, unknown> | boolean;
  valid: unknown[];
  invalid: unknown[];
}

const closed = { additionalProperties: false };
const person = { name: { type: "string" }, age: { type: "integer", minimum: 0 } };

export const CASES: Case[] = [
  { name: "anything", schema: true, valid: [1, "a", null, [1, { a: [] }], { b: "c" }], invalid: [] },
  { name: "an empty schema", schema: {}, valid: [-0.5, true, { "": "" }], invalid: [] },
  {
    name: "risk notes",
    schema: riskSchema,
    valid: [{ entity: "某公司", sentiment: "Positive", risk: "Low", reasoning: '"a\\b\n😀' }, {
      risk: "None",
      reasoning: "x",
      sentiment: "Neutral",
      entity: "é",
    }],
    invalid: [{ entity: "", sentiment: "Positive", risk: "Low", reasoning: "a" }, {
      entity: "a",
      sentiment: "Positive",
      risk: "Low",
    }, { entity: "a", sentiment: "Positive", risk: "Low", reasoning: "a", more: 1 }],
  },
  {
    name: "a string",
    schema: { type: "string" },
    valid: ["", "a", "\u0000\u001f\u007f\u2028", "😀分", '\\"/'],
    invalid: [1, null],
  },
  {
    name: "lengths",
    schema: { type: "string", minLength: 2, maxLength: 4 },
    valid: ["ab", "😀😀😀😀", "\n\n"],
    invalid: ["", "a", "abcde", "😀"],
  },
  {
    name: "long strings",
    schema: { type: "string", minLength: 30 },
    valid: ["a".repeat(30), "分".repeat(99)],
    invalid: ["a".repeat(29)],
  },
  {
    name: "a pattern",
    schema: { type: "string", pattern: "^[A-Z]{2,5}(\\.[A-Z])?$" },
    valid: ["AB", "BRK.A"],
    invalid: ["A", "ab", "BRK.AB"],
  },
  {
    name: "a pattern somewhere",
    schema: { type: "string", pattern: "a+b" },
    valid: ["ab", "xxaaab分", "ab ab"],
    invalid: ["", "ba", "a b"],
  },
  {
    name: "pattern and lengths",
    schema: { type: "string", pattern: "^(?:ab)*$", minLength: 3, maxLength: 7 },
    valid: ["abab", "ababab"],
    invalid: ["ab", "aba", "abababab"],
  },
  {
    name: "looking ahead",
    schema: { type: "string", pattern: "^(?=.*\\d)(?!.*bad)[a-z0-9]{3,}$" },
    valid: ["ab1", "1xx"],
    invalid: ["abc", "bad1", "a1"],
  },
  {
    name: "Unicode classes",
    schema: { type: "string", pattern: "^\\p{Lu}\\p{Ll}+$" },
    valid: ["Éa", "Ab"],
    invalid: ["ab", "A"],
  },
  {
    name: "dates",
    schema: { type: "string", format: "date" },
    valid: ["2024-02-29", "2026-12-31", "2000-02-29"],
    invalid: ["2023-02-29", "2026-13-01", "1900-02-29", "2026-04-31"],
  },
  {
    name: "times",
    schema: { type: "string", format: "date-time" },
    valid: ["2024-02-29T23:59:59Z", "2024-01-01T00:00:00.123+01:00"],
    invalid: ["2024-02-29", "2024-02-29T24:00:00Z"],
  },
  {
    name: "addresses",
    schema: {
      anyOf: [{ type: "string", format: "email" }, { type: "string", format: "ipv4" }, {
        type: "string",
        format: "uuid",
      }],
    },
    valid: ["a.b@c-d.org", "10.0.255.1", "123e4567-e89b-12d3-a456-426614174000"],
    invalid: ["a@", "10.0.256.1", "1-2"],
  },
  {
    name: "an enum of all kinds",
    schema: { enum: ['a"b', "分", 1, -2.5, null, true, [1, "x"], { a: { b: 1 }, c: [] }] },
    valid: ['a"b', "分", 1, -2.5, null, true, [1, "x"], { c: [], a: { b: 1 } }],
    invalid: ["a", 2, false, [1], { a: { b: 1 } }],
  },
  {
    name: "an enum with a type",
    schema: { type: "string", enum: ["a", 1, "abc", null], minLength: 2 },
    valid: ["abc"],
    invalid: ["a", 1, null],
  },
  { name: "const", schema: { const: { v: 1 } }, valid: [{ v: 1 }], invalid: [{ v: 2 }, {}] },
  {
    name: "integers",
    schema: { type: "integer" },
    valid: [0, -1, 123456789012, -98765],
    invalid: [1.5, "1"],
  },
  {
    name: "bounded integers",
    schema: { type: "integer", minimum: -12, exclusiveMaximum: 105 },
    valid: [-12, 0, 9, 99, 104],
    invalid: [-13, 105, 1000],
  },
  {
    name: "numbers",
    schema: { type: "number" },
    valid: [0, 1e21, -1.5e-9, 5e-324, 0.1, 1.7976931348623157e307],
    invalid: ["1", null],
  },
  {
    name: "bounded numbers",
    schema: { type: "number", minimum: 0, maximum: 1 },
    valid: [0, 1, 0.5, 1e-7, 0.1234567890123456, 2.5e-10],
    invalid: [-0.1, 1.1, 1.0000000000000002, -1e-7],
  },
  {
    name: "exclusive bounds",
    schema: { type: "number", exclusiveMinimum: 0.3, exclusiveMaximum: 12.25 },
    valid: [0.30000000000000004, 12.249999999999998, 5],
    invalid: [0.3, 12.25, 13],
  },
  {
    name: "negative bounds",
    schema: { type: "number", minimum: -20.5, maximum: -3 },
    valid: [-20.5, -3, -3.001, -19],
    invalid: [-2.999, -20.51, 0, 3],
  },
  {
    name: "cents",
    schema: { type: "number", multipleOf: 0.01, minimum: 0 },
    valid: [0.01, 12.5, 3],
    invalid: [0.001, -1],
  },
  {
    name: "several types",
    schema: { type: ["integer", "null", "string"], maxLength: 2 },
    valid: [3, null, "ab"],
    invalid: [1.5, "abc", true],
  },
  {
    name: "a person",
    schema: { type: "object", properties: person, required: ["name"], ...closed },
    valid: [{ name: "a" }, { age: 3, name: "" }],
    invalid: [{}, { age: 3 }, { name: 1 }, { name: "a", x: 1 }],
  },
  {
    name: "an open object",
    schema: { type: "object", properties: person, required: ["age"] },
    valid: [{ age: 1 }, { age: 1, na: [1], 'a"b': {} }, { name: "x", age: 0, namer: null }],
    invalid: [{}, { age: -1 }, { age: 1, name: 2 }],
  },
  {
    name: "a map of numbers",
    schema: { type: "object", additionalProperties: { type: "integer" } },
    valid: [{}, { a: 1, "分": -2 }],
    invalid: [{ a: "1" }],
  },
  {
    name: "required without properties",
    schema: { type: "object", required: ["a", "b"] },
    valid: [{ b: 1, a: [] }],
    invalid: [{ a: 1 }],
  },
  {
    name: "numbers of members",
    schema: {
      type: "object",
      properties: { a: {}, b: {}, c: {} },
      ...closed,
      minProperties: 1,
      maxProperties: 2,
    },
    valid: [{ a: 1 }, { c: 1, b: 1 }],
    invalid: [{}, { a: 1, b: 1, c: 1 }],
  },
  {
    name: "names that begin alike",
    schema: {
      type: "object",
      properties: { a: { const: 1 }, ab: { const: 2 }, abc: { const: 3 } },
      ...closed,
    },
    valid: [{}, { abc: 3, a: 1 }, { ab: 2 }],
    invalid: [{ ab: 1 }, { abcd: 3 }],
  },
  {
    name: "odd names",
    schema: {
      type: "object",
      properties: { 'a/b~c%"\\': { type: "null" }, "é": { $ref: "#/properties/a~1b~0c%25%22%5C" } },
      required: ["é"],
    },
    valid: [{ "é": null }, { 'a/b~c%"\\': null, "é": null }],
    invalid: [{ "é": 1 }],
  },
  {
    name: "lists",
    schema: { type: "array", items: { type: "boolean" }, minItems: 1, maxItems: 3 },
    valid: [[true], [true, false, true]],
    invalid: [[], [1], [true, true, true, true]],
  },
  {
    name: "tuples",
    schema: {
      type: "array",
      prefixItems: [{ type: "string" }, { type: "integer" }],
      items: false,
      minItems: 1,
    },
    valid: [["a"], ["a", 1]],
    invalid: [[], [1], ["a", 1, 2]],
  },
  {
    name: "open tuples",
    schema: { type: "array", prefixItems: [{ const: "x" }], items: { type: "null" } },
    valid: [[], ["x"], ["x", null, null]],
    invalid: [[null], ["x", 1]],
  },
  {
    name: "a list of lists",
    schema: { type: "array", items: { type: "array", items: { enum: ["a", "b"] }, maxItems: 2 } },
    valid: [[], [[], ["a", "b"]]],
    invalid: [[["a", "b", "a"]], ["a"]],
  },
  {
    name: "alternatives",
    schema: {
      anyOf: [{ type: "string", maxLength: 2 }, {
        type: "object",
        properties: { k: { const: "v" } },
        required: ["k"],
      }, { type: "integer", minimum: 100 }],
    },
    valid: ["ab", { k: "v" }, 100],
    invalid: ["abc", { k: "w" }, 99],
  },
  {
    name: "alternatives that begin alike",
    schema: {
      anyOf: [{ type: "array", items: { const: 1 } }, { type: "array", items: { const: 12 }, minItems: 2 }],
    },
    valid: [[], [1, 1], [12, 12]],
    invalid: [[12], [1, 12]],
  },
  {
    name: "one of, by a field",
    schema: {
      oneOf: [{
        type: "object",
        properties: { kind: { const: "bond" }, rate: { type: "number" } },
        required: ["kind", "rate"],
        ...closed,
      }, { type: "object", properties: { kind: { const: "share" } }, required: ["kind"], ...closed }],
    },
    valid: [{ kind: "share" }, { rate: 1.5, kind: "bond" }],
    invalid: [{ kind: "bond" }, { kind: "share", rate: 1 }],
  },
  {
    name: "one of, by type",
    schema: { oneOf: [{ type: "string" }, { type: "null" }] },
    valid: ["a", null],
    invalid: [1],
  },
  {
    name: "all of",
    schema: {
      allOf: [{ type: "object", properties: { a: { type: "string", minLength: 1 } }, required: ["a"] }, {
        properties: { a: { maxLength: 2 }, b: { type: "integer" } },
        required: ["b"],
      }],
    },
    valid: [{ a: "x", b: 1 }, { b: 1, a: "xy", c: 0 }],
    invalid: [{ a: "", b: 1 }, { a: "xyz", b: 1 }, { a: "x" }],
  },
  {
    name: "all of lists",
    schema: {
      allOf: [{ type: "array", items: { minimum: 1 } }, {
        prefixItems: [{ type: "integer" }],
        items: { type: "string" },
        maxItems: 3,
      }],
    },
    valid: [[1], [2, "a"], []],
    invalid: [[0], [1, 2], [1, "a", "b", "c"]],
  },
  {
    name: "fields beside alternatives",
    schema: {
      type: "object",
      properties: { a: { type: "integer" }, b: { type: "integer" } },
      ...closed,
      anyOf: [{ required: ["a"] }, { required: ["b"] }],
    },
    valid: [{ a: 1 }, { b: 1 }, { b: 2, a: 1 }],
    invalid: [{}, { a: "1" }],
  },
  {
    name: "definitions",
    schema: {
      $defs: {
        money: {
          type: "object",
          properties: { amount: { type: "number", minimum: 0 }, currency: { enum: ["EUR", "USD"] } },
          required: ["amount", "currency"],
          ...closed,
        },
      },
      type: "object",
      properties: { price: { $ref: "#/$defs/money" }, cost: { $ref: "#/$defs/money" } },
      required: ["price"],
      ...closed,
    },
    valid: [{ price: { amount: 1.5, currency: "EUR" } }, {
      cost: { currency: "USD", amount: 0 },
      price: { amount: 1, currency: "USD" },
    }],
    invalid: [{ price: { amount: -1, currency: "EUR" } }, { price: {} }],
  },
  {
    name: "a tree",
    schema: {
      $defs: {
        tree: {
          type: "object",
          properties: {
            value: { type: "integer" },
            children: { type: "array", items: { $ref: "#/$defs/tree" } },
          },
          required: ["value"],
          ...closed,
        },
      },
      $ref: "#/$defs/tree",
    },
    valid: [{ value: 1 }, { value: 1, children: [{ value: 2, children: [{ children: [], value: 3 }] }] }],
    invalid: [{ value: 1, children: [{}] }, { children: [] }],
  },
  {
    name: "a chain",
    schema: {
      type: "object",
      properties: { next: { anyOf: [{ $ref: "#" }, { type: "null" }] } },
      required: ["next"],
      ...closed,
    },
    valid: [{ next: null }, { next: { next: { next: null } } }],
    invalid: [{}, { next: {} }],
  },
  {
    name: "a reference with more beside it",
    schema: {
      $defs: { s: { type: "string" } },
      type: "object",
      properties: { a: { $ref: "#/$defs/s", maxLength: 1, description: "short" } },
      ...closed,
    },
    valid: [{ a: "x" }, {}],
    invalid: [{ a: "xy" }],
  },
  {
    name: "what cannot be is left out",
    schema: {
      type: "object",
      properties: { a: false, b: { type: "string", minLength: 3, maxLength: 2 }, c: { const: 1 } },
      ...closed,
    },
    valid: [{}, { c: 1 }],
    invalid: [{ a: 1 }, { b: "" }],
  },
  {
    name: "annotations",
    schema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      title: "T",
      description: "D",
      default: 1,
      examples: [1],
      "x-order": 1,
      type: "integer",
      maximum: 3,
      uniqueItems: false,
    },
    valid: [3, -5],
    invalid: [4],
  },
  {
    name: "drafts before 2020",
    schema: {
      $schema: "http://json-schema.org/draft-07/schema#",
      definitions: { n: { type: "integer" } },
      type: "array",
      items: { $ref: "#/definitions/n" },
      minItems: 1,
    },
    valid: [[1, 2]],
    invalid: [[], ["a"]],
  },
];

/** Schemas that are refused, with what the sentence has to say. */
export const REFUSED: [schema: unknown, says: RegExp][] = [
  [
    { type: "object", properties: { a: { type: "array", uniqueItems: true } } },
    /"uniqueItems" at #\/properties\/a /,
  ],
  [{ patternProperties: { "^a": {} } }, /"patternProperties" at # /],
  [{ not: { type: "string" } }, /"not" at # /],
  [{ $defs: { x: { if: {} } }, items: { $ref: "#/$defs/x" } }, /"if" at #\/\$defs\/x /],
  [{ type: "strnig" }, /type "strnig" at # is none/],
  [{ type: "string", format: "colour" }, /format "colour" at #\/format is not supported: use date/],
  [{ type: "string", pattern: "(a)\\1" }, /pattern at #\/pattern cannot be used: it refers back to a group/],
  [{ type: "string", pattern: "(" }, /not a regular expression/],
  [{ type: "string", pattern: "\\bx" }, /edge of a word/],
  [{ type: "string", pattern: "(?<=a)b" }, /looks behind/],
  [{ type: "number", multipleOf: 7 }, /multipleOf 7 at # is not supported/],
  [{ type: "string", minLength: -1 }, /"minLength" at # must be a whole number/],
  [{ type: "integer", minimum: 5, maximum: 4 }, /No value fulfils the schema/],
  [false, /No value fulfils the schema/],
  [{ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }, /or only such as never end/],
  [{ $ref: "#" }, /No value fulfils/],
  [{ $ref: "#", type: "string" }, /refers to itself without end/],
  [{ $ref: "https://example.org/s" }, /only places inside the schema/],
  [{ $ref: "#/$defs/x" }, /names #\/\$defs\/x, which is not there/],
  [
    { oneOf: [{ type: "integer" }, { type: "number" }] },
    /"oneOf" at #: a value could fulfil alternatives 0 and 1/,
  ],
  [
    { type: "object", minProperties: 2 },
    /"minProperties" at # is supported only with additionalProperties: false/,
  ],
  [{ enum: [] }, /No value fulfils/],
  [{ required: "a" }, /"required" at # must be a list/],
  [{ properties: [] }, /"properties" at # must be an object/],
  [{ items: 3 }, /schema at #\/items must be an object, true or false/],
  [{ type: "object", properties: { a: { minimun: 3 } } }, /"minimun" at #\/properties\/a /],
];
