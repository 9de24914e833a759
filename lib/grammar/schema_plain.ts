// One JSON Schema object read into what it says of its own, without what it refers to; and two such sayings joined into one.
// A keyword that is not understood is refused by its name and place: nothing is ignored but annotations.

import { UserError } from "../errors.ts";
import { isObject, type JsonObject } from "../text/files.ts";
import { sameValue } from "./values.ts";

/** A schema and where it stands ("#/properties/name"). */
export interface Located {
  readonly schema: unknown;
  readonly place: string;
}

export type TypeName = "string" | "number" | "integer" | "boolean" | "null" | "object" | "array";
const TYPES: readonly TypeName[] = ["string", "number", "integer", "boolean", "null", "object", "array"];

/** What a value has to fulfil; schemas of parts are lists, each of which the part has to fulfil. */
export interface Plain {
  readonly place: string;
  types: readonly TypeName[];
  /** From enum and const. */
  values?: readonly unknown[];
  patterns: readonly { pattern: string; place: string }[];
  formats: readonly { format: string; place: string }[];
  multiples: readonly { of: number; place: string }[];
  lows: Partial<Record<LowName, number>>;
  highs: Partial<Record<HighName, number>>;
  properties: ReadonlyMap<string, readonly Located[]>;
  required: readonly string[];
  additional: readonly Located[];
  first: readonly (readonly Located[])[];
  items: readonly Located[];
}

const LOWS = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"] as const;
const HIGHS = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"] as const;
type LowName = typeof LOWS[number];
type HighName = typeof HIGHS[number];
const COUNTS = new Set<string>([
  "minLength",
  "minItems",
  "minProperties",
  "maxLength",
  "maxItems",
  "maxProperties",
]);
/** Texts and lists so long are nothing to generate, and take memory for each step. */
const HIGHEST_LEAST = 10_000;

const ANNOTATIONS = new Set([
  ..."$schema $comment title description default example examples deprecated readOnly writeOnly".split(" "),
  ..."$defs definitions discriminator markdownDescription".split(" "),
]);
/** Keywords that lead to other schemas for the same value; schema.ts follows them. */
const COMBINING = new Set(["$ref", "allOf", "anyOf", "oneOf"]);
const OWN = new Set<string>([
  ...LOWS,
  ...HIGHS,
  ..."type enum const pattern format multipleOf properties required additionalProperties".split(" "),
  ..."items prefixItems additionalItems uniqueItems".split(" "),
]);

/** What a schema object says itself. `true` and `{}` say nothing, `false` that there is no value. */
export function plainOf({ schema, place }: Located): Plain {
  const nothing: Plain = {
    place,
    types: schema === false ? [] : TYPES,
    patterns: [],
    formats: [],
    multiples: [],
    lows: {},
    highs: {},
    properties: new Map(),
    required: [],
    additional: [],
    first: [],
    items: [],
  };
  if (typeof schema === "boolean") return nothing;
  if (!isObject(schema)) throw new UserError(`The schema at ${place} must be an object, true or false.`);
  for (const keyword of Object.keys(schema)) checkKeyword(schema, keyword, place);
  const at = (keyword: string) => ({ schema: schema[keyword], place: `${place}/${keyword}` });
  return {
    ...nothing,
    types: typesOf(schema, place),
    ...("const" in schema || "enum" in schema ? { values: valuesOf(schema, place) } : {}),
    patterns: textOf(schema, "pattern", place).map((pattern) => ({ pattern, place: `${place}/pattern` })),
    formats: textOf(schema, "format", place).map((format) => ({ format, place: `${place}/format` })),
    multiples: multiplesOf(schema, place),
    lows: numbersOf(schema, LOWS, place),
    highs: numbersOf(schema, HIGHS, place),
    properties: propertiesOf(schema, place),
    required: listOf(schema, "required", place).map((name, i) => {
      if (typeof name !== "string") {
        throw new UserError(`The schema's ${place}/required/${i} must be a name.`);
      }
      return name;
    }),
    additional: "additionalProperties" in schema ? [at("additionalProperties")] : [],
    ...elementsOf(schema, place),
  };
}

function checkKeyword(schema: JsonObject, keyword: string, place: string): void {
  if (OWN.has(keyword) || COMBINING.has(keyword) || ANNOTATIONS.has(keyword) || keyword.startsWith("x-")) {
    if (keyword !== "uniqueItems" || schema.uniqueItems === false) return;
  }
  if (keyword === "$id" && place === "#") return;
  throw new UserError(
    `The schema's "${keyword}" at ${place} is not supported by constrained decoding: take it out (and check the answers for it).`,
  );
}

/** Whether the schema says something itself, beside what COMBINING leads to. */
export function saysOwn(schema: JsonObject): boolean {
  return Object.keys(schema).some((keyword) => OWN.has(keyword));
}

function typesOf(schema: JsonObject, place: string): readonly TypeName[] {
  if (!("type" in schema)) return TYPES;
  const list = Array.isArray(schema.type) ? schema.type : [schema.type];
  for (const type of list) {
    if (!TYPES.includes(type)) {
      throw new UserError(
        `The schema's type ${JSON.stringify(type)} at ${place} is none: use ${TYPES.join(", ")}.`,
      );
    }
  }
  return withInteger(list);
}

/** Every integer is a number. */
const withInteger = (types: TypeName[]): TypeName[] =>
  types.includes("number") && !types.includes("integer") ? [...types, "integer"] : types;

export function valuesOf(schema: JsonObject, place: string): readonly unknown[] {
  const choices = "enum" in schema ? listOf(schema, "enum", place) : [schema.const];
  return "const" in schema ? choices.filter((value) => sameValue(value, schema.const)) : choices;
}

function listOf(schema: JsonObject, keyword: string, place: string): readonly unknown[] {
  const list = schema[keyword] ?? [];
  if (!Array.isArray(list)) throw new UserError(`The schema's "${keyword}" at ${place} must be a list.`);
  return list;
}

function textOf(schema: JsonObject, keyword: string, place: string): string[] {
  const text = schema[keyword];
  if (text === undefined) return [];
  if (typeof text !== "string") throw new UserError(`The schema's "${keyword}" at ${place} must be a text.`);
  return [text];
}

function numbersOf<Name extends string>(
  schema: JsonObject,
  names: readonly Name[],
  place: string,
): Partial<Record<Name, number>> {
  const found: Partial<Record<Name, number>> = {};
  for (const name of names) {
    const value = schema[name];
    if (value === undefined) continue;
    const count = COUNTS.has(name);
    if (!Number.isFinite(value) || count && !(Number.isSafeInteger(value) && Number(value) >= 0)) {
      throw new UserError(
        `The schema's "${name}" at ${place} must be ${count ? "a whole number of at least 0" : "a number"}.`,
      );
    }
    if (count && name.startsWith("min") && Number(value) > HIGHEST_LEAST) {
      throw new UserError(
        `The schema's "${name}" at ${place} is above ${HIGHEST_LEAST}, which is not supported.`,
      );
    }
    found[name] = value as number;
  }
  return found;
}

function multiplesOf(schema: JsonObject, place: string): { of: number; place: string }[] {
  const of = schema.multipleOf;
  if (of === undefined) return [];
  if (typeof of !== "number" || !(of > 0)) {
    throw new UserError(`The schema's "multipleOf" at ${place} must be a number above 0.`);
  }
  return [{ of, place }];
}

function propertiesOf(schema: JsonObject, place: string): Map<string, Located[]> {
  const { properties = {} } = schema;
  if (!isObject(properties)) throw new UserError(`The schema's "properties" at ${place} must be an object.`);
  return new Map(
    Object.entries(properties).map(([name, inner]) => [
      name,
      [{ schema: inner, place: `${place}/properties/${escaped(name)}` }],
    ]),
  );
}

/** prefixItems and items; or, as drafts before 2020 had it, a list of items and additionalItems. */
function elementsOf(schema: JsonObject, place: string): Pick<Plain, "first" | "items"> {
  const old = Array.isArray(schema.items),
    [list, others] = old ? ["items", "additionalItems"] : ["prefixItems", "items"];
  if (!old && "additionalItems" in schema) return elementsOf(omitted(schema, "additionalItems"), place);
  return {
    first: listOf(schema, list, place).map((inner, i) => [{ schema: inner, place: `${place}/${list}/${i}` }]),
    items: others in schema ? [{ schema: schema[others], place: `${place}/${others}` }] : [],
  };
}

// additionalItems without a list of items says nothing.
const omitted = (schema: JsonObject, keyword: string) =>
  Object.fromEntries(Object.entries(schema).filter(([name]) => name !== keyword));

/** A name as a part of a place. */
export const escaped = (name: string): string => name.replaceAll("~", "~0").replaceAll("/", "~1");

/** What stands at a place of the schema; undefined where there is nothing. */
export function pointed(root: unknown, place: string): unknown {
  let schema = root;
  for (const part of place.split("/").slice(1)) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof schema !== "object" || schema === null || !Object.hasOwn(schema, name)) return undefined;
    schema = (schema as JsonObject)[name];
  }
  return schema;
}
