// Queries that nobody has looked at, run in SQLite as WebAssembly: in memory, without files, with a limit on steps, rows and
// memory. Not node:sqlite: a query there cannot be interrupted, and runs on after its Worker was terminated.
import type { SQLTable, Value } from "./sql_tables.ts";

/** What became of a query. */
export type QueryResult =
  | { rows: Cell[][] }
  /** `refused`: forbidden; `cut`: too much work; `failed`: SQLite's message. */
  | { error: "refused" | "cut" | "failed"; reason: string };

/** Bounds of one query. Steps and rows are the same on every machine; time is for steps that each take long. */
export interface QueryLimits {
  /** Steps of SQLite's virtual machine; default 2,000,000 (some 0.1 s). */
  maxSteps?: number;
  /** Rows of a result; default 10,000. */
  maxRows?: number;
  /** Seconds; default 5. */
  maxSeconds?: number;
}

/** An open database of generated rows. */
export interface QueryDatabase {
  run(query: string): QueryResult;
  close(): void;
}

const STEP_BLOCK = 200, LONGEST_VALUE = 20_000, LONGEST_RESULT = 10_000_000, MOST_MEMORY = 64_000_000;
/** The result differs from run to run, or files would be read. */
const FORBIDDEN_FUNCTIONS = ["random", "randomblob", "load_extension", "sqlite_compileoption_get"];

type SQLite = Awaited<ReturnType<typeof import("@sqlite.org/sqlite-wasm").default>>;
type Database = InstanceType<SQLite["oo1"]["DB"]>;
type Cell = string | number | null;
let sqlite: Promise<SQLite> | undefined;

/** What is watched while a query runs. */
interface Watch extends Required<QueryLimits> {
  steps: number;
  /** In performance.now's time. */
  until: number;
  /** What was refused. */
  forbidden: string;
}

/** Opens a database with these tables and rows; needs --allow-read for the WebAssembly file. */
export async function createDatabases(): Promise<
  (tables: readonly { table: SQLTable; rows: Value[][] }[], limits?: QueryLimits) => QueryDatabase
> {
  sqlite ??= import("@sqlite.org/sqlite-wasm").then(({ default: load }) => load());
  const library = await sqlite;
  return (tables, { maxSteps = 2_000_000, maxRows = 10_000, maxSeconds = 5 } = {}) => {
    const db = new library.oo1.DB(":memory:", "c");
    db.exec(`PRAGMA hard_heap_limit=${MOST_MEMORY}`);
    const unbuilt = failure(() => {
      for (const { table, rows } of tables) db.exec(createStatement(table) + insertStatement(table, rows));
    });
    const watch: Watch = { maxSteps, maxRows, maxSeconds, steps: 0, until: 0, forbidden: "" };
    guard(library, db, watch);
    return {
      run: (query) =>
        unbuilt === undefined ? runQuery(library, db, query, watch) : { error: "failed", reason: unbuilt },
      close: () => db.close(),
    };
  };
}

/** From here on the database is read only, and its queries are counted. */
function guard({ capi }: SQLite, db: Database, watch: Watch): void {
  // Double quotes around a text are SQLite's own habit, and that of the data sets.
  capi.sqlite3_db_config(db.pointer!, capi.SQLITE_DBCONFIG_DQS_DML, 1, 0);
  capi.sqlite3_limit(db.pointer!, capi.SQLITE_LIMIT_LENGTH, LONGEST_VALUE);
  const interrupts = () =>
    (watch.steps += STEP_BLOCK) > watch.maxSteps || performance.now() > watch.until ? 1 : 0;
  capi.sqlite3_progress_handler(db.pointer!, STEP_BLOCK, interrupts, 0);
  const harmless: number[] = [capi.SQLITE_SELECT, capi.SQLITE_READ, capi.SQLITE_RECURSIVE];
  capi.sqlite3_set_authorizer(db.pointer!, (_, action, _first, second) => {
    const isFunction = action === capi.SQLITE_FUNCTION;
    const allowed = isFunction
      ? !FORBIDDEN_FUNCTIONS.includes(String(second).toLowerCase())
      : harmless.includes(action);
    if (!allowed) watch.forbidden = isFunction ? `the function ${second} is not allowed` : "it may only read";
    return allowed ? capi.SQLITE_OK : capi.SQLITE_DENY;
  }, 0);
}

function runQuery({ capi }: SQLite, db: Database, query: string, watch: Watch): QueryResult {
  Object.assign(watch, { steps: 0, until: performance.now() + 1000 * watch.maxSeconds, forbidden: "" });
  let prepared: ReturnType<typeof db.prepare> | undefined;
  const reason = failure(() => prepared = db.prepare(query));
  if (watch.forbidden !== "") return { error: "refused", reason: watch.forbidden };
  if (reason !== undefined) return { error: "failed", reason };
  const statement = prepared!, rows: Cell[][] = [];
  let size = 0;
  try {
    for (;;) {
      const code = capi.sqlite3_step(statement.pointer!);
      if (code === capi.SQLITE_DONE) return { rows };
      if (code !== capi.SQLITE_ROW) return stopped(capi, code, capi.sqlite3_errmsg(db.pointer!), watch);
      if (rows.length >= watch.maxRows) return { error: "cut", reason: `more than ${watch.maxRows} rows` };
      const cells = Array.from(
        { length: statement.columnCount },
        (_, i) => plain(capi.sqlite3_column_js(statement.pointer!, i)),
      );
      size += cells.reduce((sum: number, cell) => sum + (typeof cell === "string" ? cell.length : 8), 0);
      if (size > LONGEST_RESULT) return { error: "cut", reason: `more than ${LONGEST_RESULT} letters` };
      rows.push(cells);
    }
  } finally {
    statement.finalize();
  }
}

function stopped(capi: SQLite["capi"], code: number, reason: string, watch: Watch): QueryResult {
  if (code === capi.SQLITE_INTERRUPT) {
    const { steps, maxSteps, maxSeconds } = watch;
    return {
      error: "cut",
      reason: `more than ${steps > maxSteps ? `${maxSteps} steps` : `${maxSeconds} s`}`,
    };
  }
  const large = code === capi.SQLITE_NOMEM || code === capi.SQLITE_TOOBIG;
  return { error: large ? "cut" : "failed", reason };
}

/** SQLite's message, if this fails. */
function failure(action: () => void): string | undefined {
  try {
    action();
  } catch (error) {
    return (error as Error).message.replace(/^SQLITE_\w+: sqlite3 result code \d+: /, "");
  }
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

function createStatement({ name, columns }: SQLTable): string {
  const list = columns.map((column) => `${quoted(column.name)} ${quoted(column.type)}`);
  return `CREATE TABLE ${quoted(name)} (${list.join(", ")});`;
}

function insertStatement({ name }: SQLTable, rows: Value[][]): string {
  const value = (value: Value) =>
    typeof value === "string" ? `'${value.replaceAll("'", "''").replaceAll("\0", "")}'` : String(value);
  const list = rows.map((row) => `(${row.map(value).join()})`);
  return list.length > 0 ? `INSERT INTO ${quoted(name)} VALUES ${list.join()};` : "";
}

/** Sums in another order differ in their last digits. */
function plain(value: unknown): Cell {
  if (typeof value === "number") return Number(value.toPrecision(12));
  if (value === null || typeof value === "string") return value;
  return value instanceof Uint8Array ? `x'${value.toHex()}'` : String(value);
}
