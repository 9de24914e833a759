// Curation: rows go through a list of steps; what stays, what went and why is counted at each.

import { checkRows } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { markdownTable } from "../report/table.ts";
import { Dataset } from "./dataset.ts";
import { isObject, type Row } from "./row.ts";

/** What a step says of a row: true (it stays), another row in its place, or the reason why it goes. */
export type Decision = true | Row | string;

/** One step of {@linkcode curate}: `step` and its kin make them; one that needs all rows at once is written out. */
export interface CurationStep {
  /** What stays, in a few words: the name in tables and charts. */
  name: string;
  /**
   * Decides about all rows that reached the step, in their order. `where(i)` names the row `rows[i]` for messages:
   * "sample.jsonl, row 17".
   */
  decide(rows: readonly Row[], where: (index: number) => string): readonly Decision[];
}

/** What one step did. */
export interface CurationStage {
  /** The step's name. */
  step: string;
  /** Rows that reached it. */
  before: number;
  /** Rows that stayed. */
  after: number;
  /** How many rows went for each reason, the most frequent first. */
  reasons: Record<string, number>;
}

/** A row that went. */
export interface DroppedRow {
  /** Its place among the rows that curation began with, from 0. */
  row: number;
  /** The step at which it went. */
  step: string;
  /** Why. */
  reason: string;
}

/** What {@linkcode curate} gives. */
export interface Curated {
  /** The rows that stayed, as the steps changed them. */
  rows: Dataset;
  /** For each of them its place among the rows that curation began with, from 0. */
  origins: number[];
  /** What each step did, in order. */
  stages: CurationStage[];
  /** Every row that went, in the order in which they went. */
  dropped: DroppedRow[];
  /** The stages as a Markdown table. */
  toString(): string;
}

/**
 * Puts rows through steps, one after another, and counts what each of them leaves. The rows given are not changed.
 *
 * @param rows a Dataset, or any rows
 * @param steps in order; see `step`, `scoreStep`, `percentileStep`, `fieldsStep`, `similarStep`, and `redditSteps`
 * @throws UserError for a row that is no object, or as a step throws it; both name file and row
 *
 * @example
 * ```ts
 * import { curate, Dataset, step } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const rows = new Dataset([{ body: " Buy low. " }, { body: "" }, { body: "lol" }], "posts.jsonl");
 * const curated = curate(rows, [
 *   step("trimmed", (row) => ({ ...row, body: row.body.trim() })),
 *   step("not empty", (row) => row.body !== "" || "an empty body"),
 *   step("two words", (row) => row.body.includes(" ") || "a single word"),
 * ]);
 * assert.deepEqual(curated.rows.toArray(), [{ body: "Buy low." }]);
 * assert.deepEqual(curated.dropped.map(({ row, reason }) => [row, reason]), [[1, "an empty body"], [2, "a single word"]]);
 * console.log(String(curated));
 * ```
 */
export function curate(rows: Iterable<Row>, steps: readonly CurationStep[]): Curated {
  checkRows("curate", rows);
  const name = rows instanceof Dataset ? rows.name : "the rows";
  let current = Array.from(rows), origins = current.map((_, i) => i);
  current.forEach((row, i) => {
    if (isObject(row)) return;
    throw new UserError(
      `${name}, row ${i} is ${JSON.stringify(row)?.slice(0, 40)}, not an object with fields.`,
    );
  });
  const stages: CurationStage[] = [], dropped: DroppedRow[] = [];
  for (const each of steps) {
    const decisions = each.decide(current, (i) => `${name}, row ${origins[i]}`);
    checkDecisions(each.name, decisions, current.length);
    const gone = decisions.flatMap((decision, i) =>
      typeof decision === "string" ? [{ row: origins[i], step: each.name, reason: decision }] : []
    );
    const stay = decisions.flatMap((decision, i) => typeof decision === "string" ? [] : [i]);
    stages.push({ step: each.name, before: current.length, after: stay.length, reasons: countReasons(gone) });
    dropped.push(...gone);
    const before = current, places = origins;
    current = stay.map((i) => decisions[i] === true ? before[i] : decisions[i] as Row);
    origins = stay.map((i) => places[i]);
  }
  return {
    rows: new Dataset(current, name),
    origins,
    stages,
    dropped,
    toString: () => curationTable(stages),
  };
}

/**
 * The stages of a curation as a Markdown table: rows before and after each step, the share that stayed, and the reason for which
 * most went.
 *
 * @example
 * ```ts
 * import { curationTable } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const table = curationTable([{ step: "not empty", before: 10, after: 8, reasons: { "an empty body": 2 } }]);
 * assert.equal(table.split("\n")[2], "| not empty |     10 |     8 | 80.0 % | an empty body (2)     |");
 * ```
 */
export function curationTable(stages: readonly CurationStage[]): string {
  return markdownTable(stages.map(({ step, before, after, reasons }) => ({
    step,
    before,
    after,
    stayed: shareOf(after, before),
    "most frequent reasons": Object.entries(reasons).slice(0, 3).map(([reason, count]) =>
      `${reason} (${count})`
    ).join("; "),
  })));
}

/** A share in percent that says 100 or 0 only where that is true. */
function shareOf(part: number, all: number): string {
  if (all === 0) return "";
  const percent = (100 * part / all).toFixed(1);
  if (percent === "100.0" && part < all) return "over 99.9 %";
  return percent === "0.0" && part > 0 ? "below 0.1 %" : `${percent} %`;
}

function checkDecisions(name: string, decisions: readonly Decision[], count: number): void {
  if (decisions.length !== count) {
    throw new UserError(`The step "${name}" decided about ${decisions.length} of ${count} rows.`);
  }
  const odd = decisions.find((one) => one !== true && typeof one !== "string" && !isRow(one));
  if (odd === undefined && !decisions.includes(undefined as unknown as Decision)) return;
  throw new UserError(
    `The step "${name}" gives ${odd instanceof Promise ? "a promise" : JSON.stringify(odd)} for a row: ` +
      "give true, a row, or the reason why the row goes.",
  );
}

const isRow = (value: unknown): boolean => isObject(value) && !(value instanceof Promise);

function countReasons(gone: readonly DroppedRow[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { reason } of gone) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
}
