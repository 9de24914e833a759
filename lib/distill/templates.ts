// Training rows without a teacher: a template's blanks filled in every way.

import { Dataset } from "../data/dataset.ts";
import { permutation } from "../data/random.ts";
import type { Row } from "../data/row.ts";
import { UserError } from "../errors.ts";

/** Options of {@linkcode fillTemplates}. */
export interface TemplateOptions {
  /** What the blanks may be: { company: ["Vanke", "BYD"] } fills {company}. */
  values: Record<string, readonly string[]>;
  /** How many rows; default every combination once. More than there are repeat them. */
  count?: number;
  /** Decides the order. Default 42. */
  seed?: number;
}

/**
 * Fills {blanks} of templates with every combination of values, in an order that the seed decides. Texts inside a template's
 * lists and objects are filled too, so that a structured answer can be written as an object: fields that are no text become
 * JSON, as instruction rows want them.
 *
 * @param templates rows with {blanks}
 * @param options see {@linkcode TemplateOptions}
 * @throws UserError for a blank without values, values without a blank, an empty list, or more than a million ways to fill one
 *
 * @example
 * ```ts
 * import { fillTemplates } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const rows = fillTemplates([{
 *   instruction: "分析金融文本风险，输出JSON。",
 *   input: "{company}的{target}大幅下降。",
 *   output: { entity: "{company}", sentiment: "negative", risk: "High", reasoning: "{target}下降。" },
 * }], { values: { company: ["万科", "比亚迪"], target: ["毛利率", "现金流"] } });
 * assert.equal(rows.length, 4);
 * assert.ok(rows.toArray().some((row) => row.input === "万科的现金流大幅下降。" && JSON.parse(row.output).entity === "万科"));
 * ```
 */
export function fillTemplates(templates: readonly Row[], options: TemplateOptions): Dataset<Row> {
  const { values, seed = 42 } = options, names = Object.keys(values);
  const all = templates.flatMap((template, i) => {
    const blanks = blanksOf(template), missing = [...blanks].find((blank) => !names.includes(blank));
    if (missing !== undefined) {
      throw new UserError(`template ${i} has the blank {${missing}}, which has no values.`);
    }
    checkCount(i, names.filter((name) => blanks.has(name)), values);
    return combinations(names.filter((name) => blanks.has(name)), values).map((filling) =>
      fill(template, filling)
    );
  });
  const used = new Set(templates.flatMap((template) => [...blanksOf(template)]));
  const idle = names.find((name) => !used.has(name) || values[name].length === 0);
  if (idle !== undefined || all.length === 0) {
    throw new UserError(
      `fillTemplates: ${
        idle === undefined ? "no template" : `"${idle}" is no template's blank, or has no values`
      }.`,
    );
  }
  const { count = all.length } = options;
  if (!Number.isInteger(count) || count < 1) {
    throw new UserError(`count is ${count}: give a number of rows, 1 or more.`);
  }
  const order = permutation(all.length, seed);
  return new Dataset(Array.from({ length: count }, (_, i) => all[order[i % all.length]]), "templates");
}

/** More rows than this are a slip: eight lists of ten values would be a hundred million. */
const MOST_ROWS = 1_000_000;

function checkCount(template: number, names: string[], values: TemplateOptions["values"]): void {
  const odd = names.find((name) => !Array.isArray(values[name]));
  if (odd !== undefined) throw new UserError(`the values of {${odd}} should be a list of texts.`);
  const count = names.reduce((product, name) => product * values[name].length, 1);
  if (count <= MOST_ROWS) return;
  throw new UserError(
    `template ${template} can be filled in ${
      count.toLocaleString("en-US")
    } ways, more than a million: give fewer values.`,
  );
}

const BLANK = /\{(\w+)\}/g;

/** The blanks of all texts in a row. */
function blanksOf(value: unknown): Set<string> {
  return new Set(texts(value).flatMap((text) => Array.from(text.matchAll(BLANK), (match) => match[1])));
}

const texts = (value: unknown): string[] =>
  typeof value === "string"
    ? [value]
    : value && typeof value === "object"
    ? Object.values(value).flatMap(texts)
    : [];

function combinations(names: string[], values: TemplateOptions["values"]): Record<string, string>[] {
  return names.reduce<Record<string, string>[]>(
    (found, name) => found.flatMap((filling) => values[name].map((value) => ({ ...filling, [name]: value }))),
    [{}],
  );
}

function fill(template: Row, filling: Record<string, string>): Row {
  const filled = (value: unknown): unknown => {
    if (typeof value === "string") return value.replace(BLANK, (_, name) => filling[name]);
    if (Array.isArray(value)) return value.map(filled);
    if (!value || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, filled(inner)]));
  };
  const asField = (value: unknown) => typeof value === "string" ? value : JSON.stringify(value);
  return Object.fromEntries(Object.entries(template).map(([name, value]) => [name, asField(filled(value))]));
}
