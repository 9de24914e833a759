// SQL: a query changed in one place. Wrong is what finds other rows; what finds the same on every database survives.
import { type SQLRow, sqlRows } from "../../lib/metrics/sql.ts";
import { readTables, type SQLTable } from "../../lib/metrics/sql_tables.ts";
import { type SQLToken, sqlTokens } from "../../lib/metrics/sql_text.ts";
import { type Changed, chooser, type Control, controlOf } from "./control.ts";

/** A query and its tables, in sql-create-context's names. */
export interface SQLGold {
  answer: string;
  context: string;
}

type Choose = ReturnType<typeof chooser>;

const COMPANY =
  "CREATE TABLE company (id INTEGER, name VARCHAR, sector VARCHAR, employees INTEGER, country VARCHAR)";
const FUND = "CREATE TABLE fund (id INTEGER, title VARCHAR, fee REAL, opened INTEGER, manager VARCHAR)";
const HOLDING = "CREATE TABLE holding (fund_id INTEGER, company_id INTEGER, shares INTEGER, price REAL)";

const QUERIES: ((choose: Choose) => SQLGold)[] = [
  ({ whole }) => ({
    answer: `SELECT name FROM company WHERE employees > ${whole(10, 900)}`,
    context: COMPANY,
  }),
  ({ pick }) => ({
    answer: `SELECT COUNT(*) FROM company WHERE sector = '${pick(["energy", "retail"])}'`,
    context: COMPANY,
  }),
  ({ whole }) => ({
    answer: `SELECT title, fee FROM fund WHERE opened >= ${whole(1990, 2020)} ORDER BY fee DESC LIMIT 3`,
    context: FUND,
  }),
  ({ pick }) => ({
    answer: `SELECT AVG(employees), MAX(employees) FROM company WHERE country = "${pick(["Peru", "Oman"])}"`,
    context: COMPANY,
  }),
  () => ({
    answer: "SELECT sector, COUNT(*) FROM company GROUP BY sector HAVING COUNT(*) > 1",
    context: COMPANY,
  }),
  () => ({
    answer: "SELECT DISTINCT manager FROM fund WHERE fee < 2 AND opened > 2000",
    context: FUND,
  }),
  ({ whole }) => ({
    answer: "SELECT T1.title, T2.shares FROM fund AS T1 JOIN holding AS T2 ON T1.id = T2.fund_id " +
      `WHERE T2.price > ${whole(2, 8)}`,
    context: `${FUND}; ${HOLDING}`,
  }),
  ({ pick }) => ({
    answer: "SELECT SUM(T2.shares) FROM company AS T1 JOIN holding AS T2 ON T1.id = T2.company_id " +
      `WHERE T1.sector = '${pick(["energy", "retail"])}' OR T1.country = 'Peru'`,
    context: `${COMPANY}; ${HOLDING}`,
  }),
  () => ({
    answer: "SELECT name FROM company WHERE employees = (SELECT MIN(employees) FROM company)",
    context: COMPANY,
  }),
  ({ whole }) => ({
    answer: `SELECT title FROM fund WHERE id NOT IN (SELECT fund_id FROM holding WHERE shares > ${
      whole(2, 9)
    })`,
    context: `${FUND}; ${HOLDING}`,
  }),
  ({ pick }) => ({
    answer: `SELECT manager FROM fund WHERE title LIKE '%${pick(["green", "bond"])}%' ORDER BY opened`,
    context: FUND,
  }),
  ({ whole }) => ({
    answer:
      `SELECT country, MIN(employees) FROM company WHERE id BETWEEN ${whole(1, 3)} AND ${whole(5, 8)} ` +
      "GROUP BY country",
    context: COMPANY,
  }),
];

/** Queries of this file's own making. */
export const generatedGold = (count: number): SQLGold[] =>
  Array.from({ length: count }, (_, i) => QUERIES[i % QUERIES.length](chooser(i)));

const SWAPPED: Record<string, string> = {
  "<": ">",
  ">": "<",
  "=": "<>",
  "<>": "=",
  "!=": "=",
  max: "min",
  min: "max",
  avg: "sum",
  sum: "avg",
  count: "max",
  asc: "desc",
  desc: "asc",
};
const BORDER: Record<string, string> = { "<": "<=", "<=": "<", ">": ">=", ">=": ">" };

const is = (token: SQLToken | undefined, ...texts: string[]) =>
  token !== undefined && token.kind !== "text" && token.kind !== "quoted" &&
  texts.includes(token.text.toLowerCase());

/** Each change that a query allows, at each place. */
function changesOf(tokens: readonly SQLToken[], tables: readonly SQLTable[]): [string, SQLToken[]][] {
  const columns = tables.map((table) => table.columns.map(({ name }) => name));
  const changes: [string, SQLToken[]][] = [];
  const put = (kind: string, at: number, count: number, ...texts: string[]) =>
    changes.push([
      kind,
      [
        ...tokens.slice(0, at),
        ...texts.map((text): SQLToken => ({ kind: "mark", text })),
        ...tokens.slice(at + count),
      ],
    ]);
  tokens.forEach((token, i) => {
    const lower = token.text.toLowerCase();
    if (token.kind === "number") put("number", i, 1, String(Number(token.text) + 1));
    const named = columns.find((names) => names.some((name) => name.toLowerCase() === lower));
    const value = token.kind === "text" || (token.kind === "quoted" && !named);
    if (value) {
      put(
        "text",
        i,
        1,
        quoted(/^\d+$/.test(token.text) ? String(Number(token.text) + 1) : otherText(token.text)),
      );
    }
    if (value || token.kind === "number") return;
    if (lower in SWAPPED && (token.kind === "mark" || is(tokens[i + 1], "(") || is(token, "asc", "desc"))) {
      const star = is(token, "count") && (is(tokens[i + 2], "*") || is(tokens[i + 2], "distinct"));
      // The join itself stays: a join on unequal keys is no likely mistake.
      if (!star && !is(tokens[i + 2], ".") && !is(tokens[i - 2], ".")) {
        put("operator or function", i, 1, SWAPPED[lower]);
      }
    }
    if (token.kind === "mark" && lower in BORDER) put("border", i, 1, BORDER[lower]);
    if (is(token, "and") && !between(tokens, i)) put("and", i, 1, "OR");
    if (is(token, "or")) put("or", i, 1, "AND");
    if (is(token, "distinct") && !is(tokens[i - 1], "(")) put("distinct dropped", i, 1);
    if (is(token, "not")) put("not dropped", i, 1);
    const other = named?.find((name) => name.toLowerCase() !== lower);
    if (other && !is(tokens[i + 1], ".") && beforeFrom(tokens, i)) put("column", i, 1, quoted(other, '"'));
  });
  const where = tokens.findIndex((token) => is(token, "where"));
  const end = tokens.findIndex((token, i) => i > where && is(token, "group", "order", "limit"));
  const plain = !tokens.some((token) => is(token, "intersect", "union", "except", "in", "exists")) &&
    tokens.filter((token) => is(token, "select")).length === 1;
  if (where > 0 && plain) put("condition dropped", where, (end < 0 ? tokens.length : end) - where);
  return changes;
}

const quoted = (text: string, mark = "'") => mark + text.replaceAll(mark, mark + mark) + mark;
const otherText = (text: string) => text.startsWith("%") ? `%x${text.slice(1)}` : `${text} 2`;
const between = (tokens: readonly SQLToken[], at: number) => is(tokens[at - 2], "between");

function beforeFrom(tokens: readonly SQLToken[], at: number): boolean {
  const from = tokens.findIndex((token) => is(token, "from"));
  return at < from;
}

const print = (tokens: readonly SQLToken[]) =>
  tokens.map(({ kind, text }) =>
    kind === "text" ? quoted(text) : kind === "quoted" ? quoted(text, '"') : text
  ).join(" ")
    .replaceAll(" . ", ".");

/** Each query with one change; queries that allow none are left out. */
export function changedQueries(gold: readonly SQLGold[], seed = 0): (Changed & { context: string })[] {
  return gold.flatMap(({ answer, context }, i) => {
    const changes = changesOf(sqlTokens(answer), readTables(context));
    if (changes.length === 0) return [];
    const { pick } = chooser(seed + i);
    // First the kind, so that long queries' many numbers do not crowd out the rest.
    const kind = pick([...new Set(changes.map(([kind]) => kind))]);
    const [, tokens] = pick(changes.filter((change) => change[0] === kind));
    return [{ kind, gold: answer, changed: print(tokens), context }];
  });
}

/** The control on 200 queries whose tables can be built; `right` says what each row's scores are taken for. */
export async function sqlControls(gold: readonly SQLGold[], name = "generated"): Promise<Control[]> {
  const contexts = gold.map(({ context }) => context), answers = gold.map(({ answer }) => answer);
  const identity = await sqlRows(answers, answers, contexts);
  if (!identity.every((row) => !row.referenceRuns || (row.execution && row.exact && row.normalized))) {
    throw new Error("right queries are not scored right");
  }
  const usable = gold.filter((_, i) => identity[i].referenceRuns);
  const items = changedQueries(usable).slice(0, 200);
  const rows = await sqlRows(
    items.map(({ changed }) => changed),
    items.map(({ gold }) => gold),
    items.map(({ context }) => context),
  );
  const control = (score: string, right: (row: SQLRow) => boolean) =>
    controlOf(`SQL, ${score} (${name})`, items, rows.map(right));
  return [
    control("exact", ({ exact }) => exact),
    control("normalized", ({ normalized }) => normalized),
    control("execution", ({ execution }) => execution),
  ];
}
