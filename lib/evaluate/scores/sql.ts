// Queries of SQL.
import { UserError } from "../../errors.ts";
import { exchangeOf } from "../../data/shapes.ts";
import type { Row } from "../../data/row.ts";
import { type SQLOptions, type SQLRow, sqlRows } from "../../metrics/sql.ts";
import { meanMeasure, type Score } from "../score.ts";

/**
 * Queries, as {@linkcode sqlScores} has them: the share that is the expected query to the letter, and but for spelling; and,
 * of the rows whose expected query runs on its tables, the shares that find the same and that run at all.
 *
 * @param options see {@linkcode SQLOptions}; `context`: a row's CREATE TABLE statements, default those beside its question
 *
 * @throws {UserError} when scoring, where no expected query runs on its tables
 *
 * @example
 * ```ts
 * import { bySQL } from "@fintune/fintune";
 * console.log(bySQL({ context: (row) => row.schema }).name); // SQL
 * ```
 */
export function bySQL(options: SQLOptions & { context?: (row: Row) => string } = {}): Score {
  const { context = (row: Row) => exchangeOf(row).context, ...limits } = options;
  return {
    name: "SQL",
    async check(answers) {
      const expected = answers.map(({ reference }) => reference);
      const rows = await sqlRows(expected, expected, answers.map(({ row }) => context(row)), limits);
      if (rows.some(({ referenceRuns }) => referenceRuns)) return;
      throw new UserError(
        `SQL: no expected query runs on its row's tables (row ${answers[0].index}: ${
          rows[0].reason
        }): give a context.`,
      );
    },
    async measure(answers) {
      const rows = await sqlRows(
        answers.map(({ prediction }) => prediction),
        answers.map(({ reference }) => reference),
        answers.map(({ row }) => context(row)),
        limits,
      );
      const mean = (name: string, of: (row: SQLRow) => boolean | undefined) =>
        meanMeasure(name, rows.map(of).map((value) => value === undefined ? undefined : Number(value)));
      return [
        mean("SQL exact", ({ exact }) => exact),
        mean("SQL normalized", ({ normalized }) => normalized),
        mean("SQL execution", ({ execution, referenceRuns }) => referenceRuns ? execution : undefined),
        mean("SQL runs", ({ runs, referenceRuns }) => referenceRuns ? runs : undefined),
      ];
    },
  };
}
