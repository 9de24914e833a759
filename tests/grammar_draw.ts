// Schemas, patterns and choices drawn at random for the long test of constraints.
import type { Random } from "../examples/tiny/random.ts";

type Schema = Record<string, unknown>;

const NAMES = ["name", "a", "ab", "price", "é", 'q"t', "key/1", "items", "风险"];
const TEXTS = ["", "High", "Low", "a", "ab", "分析", '"', "a\\b", "\n", "😀 x"];
const STRING_PATTERNS = [
  "^[A-Z]{2,5}$",
  "\\d",
  "^(?:ab|c)+$",
  "^(?!x)[a-z]*$",
  "^\\p{Lu}",
  "[é分]",
  "^(?=.*[0-9])\\w{3,12}$",
  "^-?\\d{1,3}(?:\\.\\d)?$",
];
const FORMATS = ["date", "time", "date-time", "email", "hostname", "ipv4", "uuid"];

/** A schema whose keywords are all supported; some are contradictions. */
export function drawSchema(random: Random): Schema {
  const schema = drawValue(random, 3);
  // What refers to them needs something that ends: each definition has a way without a reference.
  schema.$defs = {
    text: drawString(random),
    tree: {
      type: "object",
      properties: { value: drawValue(random, 0), next: { $ref: "#/$defs/tree" } },
      required: random.chance(0.5) ? ["value"] : [],
      additionalProperties: false,
    },
    list: { anyOf: [{ type: "null" }, { type: "array", items: { $ref: "#/$defs/list" }, maxItems: 2 }] },
  };
  return schema;
}

function drawValue(random: Random, depth: number): Schema {
  const flat = [drawString, drawNumber, drawEnum, () => ({ type: random.pick(["boolean", "null"]) })];
  const deep = [drawObject, drawObject, drawArray, drawAlternatives, drawBoth, drawReference];
  const draw = random.pick(depth > 0 ? [...flat, ...deep] : flat);
  return draw(random, depth - 1);
}

function drawString(random: Random): Schema {
  if (random.chance(0.2)) return { type: "string", format: random.pick(FORMATS) };
  const minLength = random.pick([0, 0, 1, 3, 20]);
  return {
    type: "string",
    ...random.chance(0.3) && { pattern: random.pick(STRING_PATTERNS) },
    ...minLength > 0 && { minLength },
    ...random.chance(0.5) && { maxLength: minLength + random.pick([0, 1, 2, 10, 200]) },
  };
}

function drawNumber(random: Random): Schema {
  const type = random.pick(["number", "integer"]);
  const bound = () => {
    const value = (random.next() - 0.5) * 10 ** random.int(0, 6);
    return random.chance(0.6) ? Math.round(value) : Number(value.toFixed(random.int(0, 4)));
  };
  const [low, high] = [bound(), bound()].sort((a, b) => a - b);
  return {
    type,
    ...random.chance(0.5) && { [random.pick(["minimum", "exclusiveMinimum"])]: low },
    ...random.chance(0.5) && { [random.pick(["maximum", "exclusiveMaximum"])]: high },
    ...random.chance(0.15) && { multipleOf: random.pick([1, 0.1, 0.01]) },
  };
}

function drawEnum(random: Random): Schema {
  const all = [...TEXTS, 0, -1, 12, 1.5, null, true, ["a", 1], { a: { b: [] } }, []];
  if (random.chance(0.2)) return { const: random.pick(all) };
  return { enum: random.shuffle(all).slice(0, random.int(1, all.length)) };
}

function drawObject(random: Random, depth: number): Schema {
  const names = random.shuffle(NAMES).slice(0, random.int(0, 4));
  const closed = random.chance(0.6), required = names.filter(() => random.chance(0.5));
  const rest = random.chance(0.3) && { additionalProperties: drawValue(random, 0) };
  return {
    type: "object",
    properties: Object.fromEntries(names.map((name) => [name, drawValue(random, depth)])),
    ...required.length > 0 && { required },
    ...closed ? { additionalProperties: false } : rest,
    ...closed && random.chance(0.2) && { minProperties: random.int(0, names.length) },
    ...random.chance(0.2) && { maxProperties: required.length + random.int(0, 2) },
  };
}

function drawArray(random: Random, depth: number): Schema {
  const minItems = random.pick([0, 0, 1, 2]);
  return {
    type: "array",
    ...random.chance(0.3) && { prefixItems: [drawValue(random, depth), drawValue(random, 0)] },
    items: random.chance(0.1) ? false : drawValue(random, depth),
    ...minItems > 0 && { minItems },
    ...random.chance(0.4) && { maxItems: minItems + random.int(0, 3) },
  };
}

function drawAlternatives(random: Random, depth: number): Schema {
  if (random.chance(0.3)) {
    return {
      oneOf: [drawString(random), { type: "integer", minimum: 5 }, {
        type: "array",
        items: drawEnum(random),
      }],
    };
  }
  return { anyOf: Array.from({ length: random.int(1, 3) }, () => drawValue(random, depth)) };
}

/** Two schemas that both have to hold, as allOf or as alternatives beside an object's own fields. */
function drawBoth(random: Random, depth: number): Schema {
  const object = drawObject(random, depth), names = Object.keys(object.properties as Schema);
  if (random.chance(0.5) || names.length === 0) {
    return {
      allOf: [{ type: "string", maxLength: 30 }, { ...drawString(random), type: ["string", "null"] }],
    };
  }
  return { ...object, anyOf: names.map((name) => ({ required: [name] })) };
}

const drawReference = (random: Random): Schema => ({
  $ref: `#/$defs/${random.pick(["text", "tree", "list"])}`,
});

/** An expression of what automata can tell. */
export function drawPattern(random: Random, depth: number = 3): string {
  const atom = () =>
    random.pick([
      "a",
      "b",
      "[a-f]",
      "\\d",
      "[^a]",
      ".",
      "é",
      "分",
      "\\s",
      "\\p{L}",
      "0",
      "\\.",
      "[\\w-]",
      "😀",
    ]);
  if (depth === 0) return atom();
  const inner = () => drawPattern(random, depth - 1);
  return random.pick([
    atom,
    () => `${inner()}${inner()}`,
    () => `${inner()}${inner()}${inner()}`,
    () => `(?:${inner()}|${inner()})`,
    () => `(?:${inner()})${random.pick(["*", "+", "?", "{2}", "{1,3}", "{2,}"])}`,
    () => `(?=.{1,9}$)${inner()}`,
    () => `(?!${inner()})${inner()}`,
  ])();
}

/** Some labels, some of which begin alike. */
export function drawChoices(random: Random): string[] {
  const pieces = ["a", "ab", "pos", "neg", "itive", " ", "中性", "\n", "😀", "-1"];
  const count = random.int(1, 30);
  return Array.from(
    { length: count },
    () => Array.from({ length: random.int(1, 4) }, () => random.pick(pieces)).join(""),
  );
}
