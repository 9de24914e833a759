// How well answers in JSON agree with the expected ones: parsed, valid by a schema, fields right, lists as sets.
import type { Schema } from "@cfworker/json-schema";
import { checkTexts } from "../arguments.ts";
import { isObject } from "../data/row.ts";
import { UserError } from "../errors.ts";
import { findJSON, kindOf } from "./json_find.ts";

/** A JSON Schema: plain JSON. */
export type JSONSchema = Record<string, unknown>;

/** Options of {@linkcode jsonScores} and {@linkcode jsonRows}. */
export interface JSONOptions {
  /** A JSON Schema (draft 4, 7, 2019-09 or 2020-12; its `$schema` says which, default 2020-12) that answers should fulfil. */
  schema?: JSONSchema;
  /** Fields that count, by path ("risk", "company.name"); default: all. */
  fields?: readonly string[];
}

/** The scores of one answer; shares between 0 and 1. */
export interface JSONRow {
  /** The value found in the answer; undefined where there is none. */
  value?: unknown;
  /** Why there is none. */
  missing?: string;
  /** Whether it fulfils the schema; undefined without one. */
  valid?: boolean;
  /** What the schema has against it. */
  violations?: string[];
  /** Whether all that counts is as expected. */
  exact: boolean;
  /** Of each field that the expected or the found value has: whether it is right. A list is right in any order. */
  fields: Record<string, boolean>;
  /** Share of these that are right. */
  fieldAccuracy: number;
  /** Of each list: F1 of its elements as a set. */
  lists: Record<string, number>;
}

/** What {@linkcode jsonScores} gives: means over the rows. */
export interface JSONScores {
  /** Share of the answers with a JSON value. */
  parseRate: number;
  /** Share of all answers that fulfil the schema; undefined without one. */
  validRate?: number;
  /** Share of the answers that are as expected. */
  exact: number;
  /** Mean share of right fields. */
  fieldAccuracy: number;
  /** Share of right answers of each field, over the rows that have it. */
  fields: Record<string, number>;
  /** Mean F1 of each list, over the rows that have it; none where no row has a list. */
  lists: Record<string, number>;
}

/**
 * Scores answers in JSON. The value is looked for in free text ({@linkcode findJSON}); an answer without one has every field
 * wrong. Objects are compared field by field, nested ones by path; texts without spaces around them and in Unicode's NFC,
 * otherwise to the letter; a number is never a text.
 *
 * @param predictions what the model wrote
 * @param references the expected values, or texts in which they are found
 * @throws {UserError} when the counts differ, there is no row, a reference has no JSON, no reference has one of the `fields`,
 *   or the schema is none
 *
 * @example
 * ```ts
 * import { jsonScores } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const expected = [{ risk: "High", causes: ["debt", "rates"] }, { risk: "Low", causes: [] }];
 * const scores = await jsonScores(['{"risk": "High", "causes": ["debt"]}', "Sorry, no."], expected, {
 *   schema: { type: "object", required: ["risk"] },
 * });
 * assert.deepEqual([scores.parseRate, scores.validRate, scores.exact], [0.5, 0.5, 0]);
 * assert.deepEqual(scores.fields, { risk: 0.5, causes: 0 });
 * assert.equal(scores.lists.causes, (2 / 3 + 0) / 2); // one of one right, one of two found
 * ```
 */
export async function jsonScores(
  predictions: Iterable<string>,
  references: Iterable<unknown>,
  options: JSONOptions = {},
): Promise<JSONScores> {
  const rows = await jsonRows(predictions, references, options);
  if (rows.length === 0) throw new UserError("jsonScores needs at least one prediction, and got none.");
  const share = (of: (row: JSONRow) => boolean | undefined) => rows.filter(of).length / rows.length;
  return {
    parseRate: share(({ missing }) => missing === undefined),
    ...(options.schema ? { validRate: share(({ valid }) => valid) } : {}),
    exact: share(({ exact }) => exact),
    fieldAccuracy: rows.reduce((sum, row) => sum + row.fieldAccuracy, 0) / rows.length,
    fields: meansByName(rows.map(({ fields }) => fields)),
    lists: meansByName(rows.map(({ lists }) => lists)),
  };
}

/**
 * The scores of each answer; see {@linkcode jsonScores} for what is computed.
 *
 * @param predictions what the model wrote
 * @param references the expected values, or texts in which they are found
 * @throws {UserError} when the counts differ, a reference has no JSON, no reference has one of the `fields`, or the schema is
 *   none
 *
 * @example
 * ```ts
 * import { jsonRows } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const [row] = await jsonRows(['{"risk": 3}'], [{ risk: "High" }], {
 *   schema: { properties: { risk: { enum: ["High", "Low"] } } },
 * });
 * assert.deepEqual([row.valid, row.exact, row.fields], [false, false, { risk: false }]);
 * ```
 */
export async function jsonRows(
  predictions: Iterable<string>,
  references: Iterable<unknown>,
  options: JSONOptions = {},
): Promise<JSONRow[]> {
  checkTexts("jsonScores", "predictions", predictions);
  checkTexts("jsonScores", "references", references);
  const answers = [...predictions], expected = [...references];
  if (answers.length !== expected.length) {
    throw new UserError(
      `jsonScores needs one reference for each prediction, and got ${answers.length} predictions and ` +
        `${expected.length} references.`,
    );
  }
  const violations = options.schema && await validator(options.schema);
  const values = expected.map(referenceOf);
  checkFields(values, options.fields);
  return answers.map((answer, row) => {
    const reference = values[row];
    const found = findJSON(String(answer ?? ""), kindAsked(reference));
    const value = "value" in found ? found.value : undefined;
    const against = violations && ("value" in found ? violations(value) : [found.missing]);
    return {
      ...("value" in found ? { value } : { missing: found.missing }),
      ...(against ? { valid: against.length === 0, violations: against } : {}),
      ...compared(value, reference, options.fields),
    };
  });
}

function referenceOf(reference: unknown, row: number): unknown {
  if (reference === undefined) {
    throw new UserError(`Reference ${row + 1} is undefined: give what is expected.`);
  }
  if (typeof reference !== "string") return reference;
  const found = findJSON(reference);
  if ("value" in found) return found.value;
  throw new UserError(`Reference ${row + 1} is no JSON: ${found.missing}.`);
}

/** A field that nothing has would make every answer right. */
function checkFields(references: readonly unknown[], fields: readonly string[] = []): void {
  if (fields.length === 0 || references.length === 0) return;
  const paths = new Set(references.flatMap((reference) => [...flatFields(reference).keys()]));
  const unknown = fields.find((field) => ![...paths].some((path) => isWithin(path, field)));
  if (unknown === undefined) return;
  throw new UserError(
    `No expected value has the field "${unknown}": they have ${[...paths].slice(0, 20).join(", ")}.`,
  );
}

const isWithin = (path: string, field: string): boolean => path === field || path.startsWith(field + ".");

function kindAsked(reference: unknown): "object" | "list" | undefined {
  const kind = kindOf(reference);
  return kind === "object" || kind === "list" ? kind : undefined;
}

/** What a schema has against a value. The validator interprets the schema: nothing is compiled, so no eval. */
export async function validator(schema: JSONSchema): Promise<(value: unknown) => string[]> {
  const { dereference, Validator } = await import("@cfworker/json-schema");
  const drafts = /draft-0?(4|7)|(2019-09|2020-12)/.exec(String(schema.$schema ?? "2020-12"));
  const draft = (drafts?.[1] ?? drafts?.[2] ?? "2020-12") as "4" | "7" | "2019-09" | "2020-12";
  try {
    const validator = new Validator(schema as Schema, draft, false);
    checkSchema(dereference(schema as Schema)); // not in the middle of the answers
    return (value) => {
      const { valid, errors } = validator.validate(value);
      return valid ? [] : errors.map(({ instanceLocation, error }) => `${instanceLocation}: ${error}`);
    };
  } catch (error) {
    throw new UserError(
      `The schema is none: ${(error as Error).message.replace(/\s+/g, " ").slice(0, 200)}.`,
    );
  }
}

const TYPES = ["array", "boolean", "integer", "null", "number", "object", "string"];

/** What the validator would find out only at an answer that leads there, or (types) never: throws an Error. */
function checkSchema(parts: Record<string, Schema | boolean>): void {
  for (const part of Object.values(parts)) {
    if (typeof part === "boolean") continue;
    const { $ref, __absolute_ref__: target = $ref, pattern, patternProperties = {}, type = [] } = part;
    if (target !== undefined && parts[target] === undefined) throw new Error(`there is no ${$ref}`);
    for (const source of [pattern ?? "", ...Object.keys(patternProperties)]) new RegExp(source, "u");
    const odd = [type].flat().find((one) => !TYPES.includes(one));
    if (odd !== undefined) {
      throw new Error(`there is no type ${JSON.stringify(odd)}, only ${TYPES.join(", ")}`);
    }
  }
}

type Compared = Pick<JSONRow, "exact" | "fields" | "fieldAccuracy" | "lists">;

function compared(value: unknown, reference: unknown, wanted?: readonly string[]): Compared {
  const counts = (path: string) => !wanted || wanted.some((field) => isWithin(path, field));
  const found = flatFields(value), expected = flatFields(reference);
  const fields: Record<string, boolean> = {}, lists: Record<string, number> = {};
  for (const path of new Set([...expected.keys(), ...found.keys()])) {
    // An answer that is nothing or of another kind altogether is wrong in the expected fields, and adds none.
    if (!counts(path) || (!expected.has(path) && kindOf(value) !== kindOf(reference))) continue;
    const is = found.get(path), should = expected.get(path);
    set(fields, path, expected.has(path) && found.has(path) && canonical(is) === canonical(should));
    if (Array.isArray(should)) set(lists, path, setF1(Array.isArray(is) ? is : undefined, should));
  }
  const right = Object.values(fields);
  const fieldAccuracy = right.length > 0 ? right.filter(Boolean).length / right.length : 1;
  return { exact: fieldAccuracy === 1, fields, fieldAccuracy, lists };
}

/** A field of a hostile answer may be called __proto__. */
function set<T>(record: Record<string, T>, name: string, value: T): void {
  Object.defineProperty(record, name, { value, enumerable: true, configurable: true, writable: true });
}

/** Fields by path; what is no object, or an empty one, is one value. */
function flatFields(value: unknown, path = "", fields = new Map<string, unknown>()): Map<string, unknown> {
  if (isObject(value) && Object.keys(value).length > 0) {
    for (const [name, inner] of Object.entries(value)) {
      flatFields(inner, path ? `${path}.${name}` : name, fields);
    }
  } else if (value !== undefined) fields.set(path || "value", value);
  return fields;
}

/** Equal for equal values: fields in order, lists sorted, as their order is not counted. */
function canonical(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.normalize("NFC").trim());
  if (Array.isArray(value)) return `[${value.map(canonical).sort().join()}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? "undefined";
  const fields = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${fields.join()}}`;
}

/** F1 of the elements as sets; two empty lists agree. */
function setF1(found: unknown[] | undefined, expected: unknown[]): number {
  if (!found) return 0;
  const has = new Set(found.map(canonical)), should = new Set(expected.map(canonical));
  if (has.size + should.size === 0) return 1;
  return 2 * has.intersection(should).size / (has.size + should.size);
}

/** The mean of each name over the records that have it. */
function meansByName(records: Record<string, number | boolean>[]): Record<string, number> {
  const sums = new Map<string, { sum: number; count: number }>();
  for (const [name, value] of records.flatMap(Object.entries<number | boolean>)) {
    const entry = sums.get(name) ?? { sum: 0, count: 0 };
    sums.set(name, { sum: entry.sum + Number(value), count: entry.count + 1 });
  }
  const means: Record<string, number> = {};
  for (const [name, { sum, count }] of sums) set(means, name, sum / count);
  return means;
}
