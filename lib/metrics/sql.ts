// How well generated SQL agrees with the expected query: to the letter, but for spelling, and by what it finds.
import { checkTexts } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { textPairs } from "./pairs.ts";
import { comparedValues, generateRows, readTables, type SQLTable } from "./sql_tables.ts";
import { normalizeSQL } from "./sql_normal.ts";
import { findSQL, sqlTokens } from "./sql_text.ts";
import { createDatabases, type QueryDatabase, type QueryLimits, type QueryResult } from "./sqlite.ts";

/** Options of {@linkcode sqlScores} and {@linkcode sqlRows}. */
export interface SQLOptions extends QueryLimits {
  /** How many databases of generated rows both queries run on; queries agree where they agree on all. Default 4. */
  databases?: number;
}

/** The scores of one query. */
export interface SQLRow {
  /** The query found in the answer. */
  query: string;
  /** The same text as the expected query, but for spaces around it and a semicolon. */
  exact: boolean;
  /** The same but for spelling: {@linkcode normalizeSQL}. */
  normalized: boolean;
  /** Whether the expected query runs on its tables; where it does not, nothing can be said by running. */
  referenceRuns: boolean;
  /** Whether the answer's query runs. */
  runs: boolean;
  /** Whether both find the same rows on all databases, in the same order where the expected query orders them. */
  execution: boolean;
  /** The same, in the same order in any case. */
  sameOrdered: boolean;
  /** The same, in any order. */
  sameUnordered: boolean;
  /** Whether the expected query finds anything on any of the databases: two that find nothing agree too easily. */
  informative: boolean;
  /** Why a query did not run. */
  reason?: string;
}

/** What {@linkcode sqlScores} gives: shares of the rows. */
export interface SQLScores {
  /** To the letter. */
  exact: number;
  /** But for spelling. */
  normalized: number;
  /** Same rows found; of the rows whose expected query runs (NaN where none does). */
  execution: number;
  /** Of the same rows: those whose query runs at all. */
  runs: number;
  /** Rows whose expected query runs on its tables, of all. */
  referenceRuns: number;
}

/**
 * Scores generated SQL. Both queries run on small databases made for them from the CREATE TABLE statements: generated rows,
 * the same in every run, in which the values that the queries name and their neighbours occur. Answers are untrusted: they
 * run in memory, may only read, and are cut after so many steps and rows; a second statement is never run.
 *
 * @param predictions what the model wrote; the query is found by {@linkcode findSQL}
 * @param references the expected queries
 * @param contexts the CREATE TABLE statements of each; several of one name are merged
 * @throws {UserError} when the counts differ or there is no row
 *
 * Source: the databases are a small kind of test suite as in Zhong, Yu, Klein, "Semantic evaluation for text-to-SQL with
 * distilled test suites", 2020.
 *
 * @example
 * ```ts
 * import { sqlScores } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const table = "CREATE TABLE fund (name VARCHAR, fee INTEGER)";
 * const scores = await sqlScores(
 *   ["SELECT name FROM fund WHERE NOT fee >= 2", "SELECT name FROM fund WHERE fee <= 2"],
 *   ["SELECT name FROM fund WHERE fee < 2", "SELECT name FROM fund WHERE fee < 2"],
 *   [table, table],
 * );
 * assert.deepEqual([scores.exact, scores.normalized, scores.execution], [0, 0.5, 0.5]);
 * ```
 */
export async function sqlScores(
  predictions: Iterable<string>,
  references: Iterable<unknown>,
  contexts: Iterable<string>,
  options: SQLOptions = {},
): Promise<SQLScores> {
  const rows = await sqlRows(predictions, references, contexts, options);
  if (rows.length === 0) throw new UserError("sqlScores needs at least one prediction, and got none.");
  const usable = rows.filter(({ referenceRuns }) => referenceRuns);
  const share = (of: SQLRow[], is: (row: SQLRow) => boolean) => of.filter(is).length / of.length;
  return {
    exact: share(rows, ({ exact }) => exact),
    normalized: share(rows, ({ normalized }) => normalized),
    execution: share(usable, ({ execution }) => execution),
    runs: share(usable, ({ runs }) => runs),
    referenceRuns: usable.length / rows.length,
  };
}

/**
 * The scores of each query; see {@linkcode sqlScores} for what is computed.
 *
 * @param predictions what the model wrote
 * @param references the expected queries
 * @param contexts the CREATE TABLE statements of each
 * @throws {UserError} when the counts differ
 *
 * @example
 * ```ts
 * import { sqlRows } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const [row] = await sqlRows(["DROP TABLE fund"], ["SELECT name FROM fund"], ["CREATE TABLE fund (name VARCHAR)"]);
 * assert.deepEqual([row.runs, row.execution, row.reason], [false, false, "refused: it may only read"]);
 * ```
 */
export async function sqlRows(
  predictions: Iterable<string>,
  references: Iterable<unknown>,
  contexts: Iterable<string>,
  options: SQLOptions = {},
): Promise<SQLRow[]> {
  checkTexts("sqlScores", "predictions", predictions);
  checkTexts("sqlScores", "references", references);
  checkTexts("sqlScores", "contexts", contexts);
  const pairs = textPairs("sqlScores", predictions, references), tables = [...contexts];
  if (tables.length !== pairs.length) {
    throw new UserError(
      `sqlScores needs the tables of each query, and got ${pairs.length} queries and ${tables.length} contexts.`,
    );
  }
  const odd = tables.findIndex((context) => typeof context !== "string");
  if (odd >= 0) {
    throw new UserError(
      `sqlScores: the context of query ${odd + 1} is no text with CREATE TABLE statements.`,
    );
  }
  for (const name of ["databases", "maxSteps", "maxRows", "maxSeconds"] as const) {
    const limit = options[name] ?? 1;
    if (!(limit > 0) || (name === "databases" && !Number.isInteger(limit))) {
      throw new UserError(
        `sqlScores: ${name} is ${limit}; it must be above 0${name === "databases" ? " and whole" : ""}.`,
      );
    }
  }
  const open = await createDatabases();
  const rows: SQLRow[] = [];
  for (const [i, { prediction, references: [expected] }] of pairs.entries()) {
    rows.push(await scoreRow(open, findSQL(prediction), findSQL(expected), readTables(tables[i]), options));
  }
  return rows;
}

type Open = Awaited<ReturnType<typeof createDatabases>>;

async function scoreRow(
  open: Open,
  query: string,
  expected: string,
  tables: SQLTable[],
  options: SQLOptions,
): Promise<SQLRow> {
  const names = new Set(
    tables.flatMap(({ name, columns }) => [name, ...columns.map((column) => column.name)]).map((name) =>
      name.toLowerCase()
    ),
  );
  const row: SQLRow = {
    query,
    exact: query === expected,
    normalized: query === expected ||
      await normalizeSQL(query, names) === await normalizeSQL(expected, names),
    referenceRuns: true,
    runs: true,
    execution: true,
    sameOrdered: true,
    sameUnordered: true,
    informative: false,
  };
  const compared = comparedValues([expected, query], tables);
  const count = options.databases ?? 4;
  for (let i = 0; i < count && row.referenceRuns && row.runs && row.sameUnordered; i++) {
    const filled = tables.map((table, t) => ({
      table,
      rows: generateRows(table, compared, 6 + 8 * i, 1000 * i + t),
    }));
    using database = closing(open(filled, options));
    compareOn(database.run, row, expected);
  }
  row.execution = row.referenceRuns && row.runs &&
    (isOrdered(expected) ? row.sameOrdered : row.sameUnordered);
  return row;
}

/** ORDER BY inside parentheses orders nothing that is returned. */
function isOrdered(query: string): boolean {
  let depth = 0;
  return sqlTokens(query).some(({ kind, text }, i, tokens) => {
    if (kind === "mark") depth += text === "(" ? 1 : text === ")" ? -1 : 0;
    return depth === 0 && kind === "word" && /^order$/i.test(text) && /^by$/i.test(tokens[i + 1]?.text ?? "");
  });
}

const closing = (database: QueryDatabase) => ({ ...database, [Symbol.dispose]: database.close });

function compareOn(run: (query: string) => QueryResult, row: SQLRow, expected: string): void {
  const should = run(expected), is = row.query === expected ? should : run(row.query);
  if ("error" in should) {
    row.reason = `expected query ${should.error}: ${should.reason}`;
    row.referenceRuns =
      row.runs =
      row.sameOrdered =
      row.sameUnordered =
        false;
  } else if ("error" in is) {
    row.reason = `${is.error}: ${is.reason}`;
    row.runs = row.sameOrdered = row.sameUnordered = false;
  } else {
    const lines = (rows: unknown[]) => rows.map((line) => JSON.stringify(line));
    const [a, b] = [lines(should.rows), lines(is.rows)];
    row.informative ||= a.length > 0;
    row.sameOrdered &&= a.join("\n") === b.join("\n");
    row.sameUnordered &&= a.sort().join("\n") === b.sort().join("\n");
  }
}
