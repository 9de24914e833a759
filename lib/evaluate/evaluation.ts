// What an evaluation found, as plain data, as a Markdown table and as CSV.
import { csvHeader, csvLines } from "../data/csv.ts";
import type { Row } from "../data/row.ts";
import { markdownTable } from "../report/table.ts";
import type { Interval } from "./bootstrap.ts";

/** A measure of every model. */
export interface MeasuredScore {
  /** As tables and charts name it. */
  name: string;
  /** The largest possible value. */
  max: number;
  /** True for losses and the like. */
  lowerIsBetter: boolean;
  /** By model. */
  values: Record<string, Interval>;
  /** By model, against the first one; none of the first itself. */
  changes: Record<string, Interval>;
}

/** The models' answers to a row. */
export interface EvaluatedRow {
  /** Its index in the dataset, from 0. */
  index: number;
  /** What was asked. */
  question: string;
  /** What should have been answered. */
  reference: string;
  /** By model. */
  predictions: Record<string, string>;
  /** By measure and model, where the row has a number of its own. */
  values: Record<string, Record<string, number>>;
}

/** What an evaluation found. */
export interface Evaluated {
  /** The models' names; changes are against the first. */
  models: string[];
  /** Rows that were answered. */
  rows: number;
  /** Draws of the bootstrap. */
  resamples: number;
  /** Share of them that the intervals hold. */
  confidence: number;
  /** In the order of the scores. */
  measures: MeasuredScore[];
  /** In the order of the dataset. */
  answers: EvaluatedRow[];
}

/**
 * The table of an evaluation: models side by side, each number with its interval.
 *
 * @example
 * ```ts
 * import { evaluationTable } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const value = { value: 0.5, low: 0.25, high: 0.75 };
 * const table = evaluationTable({
 *   models: ["base"],
 *   measures: [{ name: "ROUGE-L", max: 1, lowerIsBetter: false, values: { base: value }, changes: {} }],
 * });
 * assert.match(table, /\| ROUGE-L \| 0.5000 \[0.2500, 0.7500\] \|/);
 * ```
 */
export function evaluationTable({ models, measures }: Pick<Evaluated, "models" | "measures">): string {
  return markdownTable(measures.map((measure) => ({
    score: measure.name,
    ...Object.fromEntries(
      models.map((model) => [model, shown(measure.values[model], measure.max)]),
    ),
    ...Object.fromEntries(
      models.slice(1).map((
        model,
      ) => [changeName(models, model), shown(measure.changes[model], measure.max, true)]),
    ),
  })));
}

/** The heading of a change. */
export const changeName = (models: readonly string[], model: string): string =>
  models.length === 2 ? "change" : `${model} - ${models[0]}`;

/** A number with the digits that its scale deserves; changes with their sign. */
export function digits(value: number, max: number, signed: boolean = false): string {
  const text = value.toFixed(max > 10 ? 2 : 4);
  return signed && value >= 0 ? `+${text}` : text;
}

function shown({ value, low, high }: Interval, max: number, signed: boolean = false): string {
  const [middle, from, to] = [value, low, high].map((number) => digits(number, max, signed));
  return `${middle} [${from}, ${to}]`;
}

/**
 * The table with a column for each number, for other programs.
 *
 * @example
 * ```ts
 * import { evaluationCSV } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const measure = { name: "BLEU", max: 100, lowerIsBetter: false, changes: {} };
 * const csv = evaluationCSV({ models: ["base"], measures: [{ ...measure, values: { base: { value: 5, low: 4, high: 6.5 } } }] });
 * assert.equal(csv, "score,base,base low,base high\nBLEU,5,4,6.5\n");
 * ```
 */
export function evaluationCSV({ models, measures }: Pick<Evaluated, "models" | "measures">): string {
  const numbers = (name: string, { value, low, high }: Interval) => ({
    [name]: value,
    [`${name} low`]: low,
    [`${name} high`]: high,
  });
  const rows = measures.map((measure): Row => {
    const values = models.map((model) => numbers(model, measure.values[model]));
    const changes = models.slice(1).map((model) =>
      numbers(changeName(models, model), measure.changes[model])
    );
    return Object.assign({ score: measure.name }, ...values, ...changes);
  });
  const columns = Object.keys(rows[0] ?? { score: "" });
  return csvHeader(columns, ",") + csvLines(rows, columns, { path: "scores.csv", first: 0, delimiter: "," });
}
