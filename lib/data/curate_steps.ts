// The steps that curations of every kind are put together from: by row, by fields, by a score, by percentiles.

import { UserError } from "../errors.ts";
import type { CurationStep, Decision } from "./curate.ts";
import { percentile } from "./lengths.ts";
import type { Row } from "./row.ts";

/**
 * A step that looks at one row after another.
 *
 * @param name what stays, in a few words
 * @param decide gives true (the row stays), a row (which takes its place), or the reason why it goes (false: "not " and
 * the step's name)
 *
 * @example
 * ```ts
 * import { curate, step } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const { stages } = curate([{ votes: 3 }, { votes: -1 }], [step("liked", (row) => row.votes > 0)]);
 * assert.deepEqual(stages, [{ step: "liked", before: 2, after: 1, reasons: { "not liked": 1 } }]);
 * ```
 */
export function step(name: string, decide: (row: Row) => Decision | boolean): CurationStep {
  const decided = (row: Row) => {
    const decision = decide(row);
    return decision === false ? `not ${name}` : decision;
  };
  return { name, decide: (rows, where) => rows.map((row, i) => located(where(i), () => decided(row))) };
}

/** What a field has to hold; with "?" it may be missing or null, and becomes "" or stays away. */
export type FieldKind = "text" | "number" | "text?" | "number?";

/** Options of {@linkcode fieldsStep}. */
export interface FieldsOptions {
  /** Texts of more characters (UTF-16) make the row go; default 50,000 (Reddit takes 40,000). */
  maxLength?: number;
  /** The step's name; default "fields are there". */
  name?: string;
}

/**
 * A step that keeps the rows whose fields are what the later steps need: texts that are not blank, finite numbers (also written
 * as text, as CSV files hold them). Everything else goes with its reason, such as `"body" is missing`. Optional texts that
 * are missing or null become "".
 *
 * @param fields what each field has to hold
 * @example
 * ```ts
 * import { curate, fieldsStep } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const rows = [{ body: "Buy.", score: 2 }, { score: 1 }, { body: "Sell.", score: "many" }];
 * const { dropped } = curate(rows, [fieldsStep({ body: "text", score: "number" })]);
 * assert.deepEqual(dropped.map(({ reason }) => reason), ['"body" is missing', '"score" is no number']);
 * ```
 */
export function fieldsStep(fields: Record<string, FieldKind>, options: FieldsOptions = {}): CurationStep {
  const { maxLength = 50_000, name = "fields are there" } = options;
  return step(name, (row) => {
    const read: Row = {};
    for (const [field, kind] of Object.entries(fields)) {
      const value = Object.hasOwn(row, field) ? row[field] : undefined;
      const fault = fieldFault(value, kind, maxLength);
      if (fault) return `"${field}" ${fault}`;
      if (kind.startsWith("number") && value !== undefined && value !== null) read[field] = Number(value);
      if (kind === "text?" && (value === undefined || value === null)) read[field] = "";
    }
    return { ...row, ...read };
  });
}

/** Options of {@linkcode scoreStep}. */
export interface ScoreOptions {
  /** The row's score: any function, such as one of a model. */
  score: (row: Row) => number;
  /** The row stays where its score is larger than this. */
  above: number;
  /** The field that keeps the score; default none. */
  field?: string;
}

/**
 * A step that keeps the rows whose score is above a threshold, and writes the score into a field.
 *
 * @param name the score's name; the step is called such as "quality above 0.6"
 * @throws UserError for a threshold that is no number; when it runs, for a score that is no finite one
 *
 * @example
 * ```ts
 * import { curate, scoreStep, textQuality } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const rows = [{ text: "Bonds are loans. They pay interest. Sell them early and you bear a risk." }, { text: "lol" }];
 * const quality = scoreStep("quality", { score: (row) => textQuality(row.text), above: 0.6, field: "quality" });
 * assert.equal(curate(rows, [quality]).rows.length, 1);
 * ```
 */
export function scoreStep(name: string, { score, above, field }: ScoreOptions): CurationStep {
  if (typeof above !== "number" || Number.isNaN(above)) {
    throw new UserError(`scoreStep: ${name} has to be above ${above}: give a number.`);
  }
  return step(`${name} above ${above}`, (row) => {
    const value = score(row);
    if (typeof value !== "number" || !Number.isFinite(value)) {
      throw new UserError(`its ${name} is ${value}: a score has to be a finite number.`);
    }
    if (!(value > above)) return `${name} at most ${above}`;
    return field === undefined ? true : { ...row, [field]: value };
  });
}

/**
 * A step that keeps the rows which lie above a percentile of those that reach it, in every one of the fields. The percentile is
 * numpy's (linear between two rows); a row exactly at it goes.
 *
 * @param fields fields with numbers
 * @param percent 0 to 100
 * @throws UserError (when it runs) for a field that holds no number
 *
 * @example
 * ```ts
 * import { curate, percentileStep } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const rows = [1, 2, 3, 4, 5].map((votes) => ({ votes }));
 * assert.equal(curate(rows, [percentileStep(["votes"], 20)]).rows.length, 4); // the 20th percentile is 1.8
 * ```
 */
export function percentileStep(fields: readonly string[], percent: number): CurationStep {
  if (!(percent >= 0 && percent <= 100)) {
    throw new UserError(`percentileStep: the percentile ${percent} is not between 0 and 100.`);
  }
  const decide: CurationStep["decide"] = (rows, where) => {
    const bars = fields.map((field) => {
      const values = rows.map((row, i) => numberIn(row, field, where(i)));
      return { field, bar: percentile(Float64Array.from(values).sort(), percent) };
    });
    return rows.map((row) => {
      const under = bars.find(({ field, bar }) => !(row[field] > bar));
      return under === undefined || `${under.field} not above its ${ordinal(percent)} percentile`;
    });
  };
  return { name: `above the ${ordinal(percent)} percentile`, decide };
}

function numberIn(row: Row, field: string, where: string): number {
  const value: unknown = row[field];
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new UserError(`${where}: field "${field}" is ${JSON.stringify(value) ?? "missing"}, not a number.`);
}

function fieldFault(value: unknown, kind: FieldKind, maxLength: number): string | undefined {
  if (value === undefined || value === null) return kind.endsWith("?") ? undefined : "is missing";
  if (kind.startsWith("number")) {
    const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    return typeof number === "number" && Number.isFinite(number) ? undefined : "is no number";
  }
  if (typeof value !== "string") return "is no text";
  if (value.length > maxLength) return `has more than ${maxLength.toLocaleString("en-US")} characters`;
  return kind === "text" && value.trim() === "" ? "is blank" : undefined;
}

function ordinal(number: number): string {
  const last = number % 10, teen = number % 100 > 10 && number % 100 < 14;
  return number + (teen || last < 1 || last > 3 || last % 1 ? "th" : ["st", "nd", "rd"][last - 1]);
}

/** A complaint about a row begins with its place. */
export function located<T>(where: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${where}: ${error.message}`);
    throw error;
  }
}

/** A row's text field. */
export function textIn(row: Row, field: string): string {
  const value: unknown = row[field];
  if (typeof value === "string") return value;
  const what = value === undefined ? "missing" : value === null ? "null" : `of type ${typeof value}`;
  throw new UserError(`field "${field}" is ${what}: it has to be text.`);
}
