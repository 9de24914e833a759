// Tables for a question: CREATE TABLE statements read and merged, and rows that make the conditions of queries true for some
// rows and false for others.
import { seededRandom } from "../data/random.ts";
import { type SQLToken, sqlTokens } from "./sql_text.ts";

/** A table and the declared types of its columns. */
export interface SQLTable {
  name: string;
  columns: { name: string; type: string }[];
}

const isMark = (token: SQLToken | undefined, text: string) => token?.kind === "mark" && token.text === text;
const isWord = (token: SQLToken | undefined, text: string) =>
  token?.kind === "word" && token.text.toLowerCase() === text;

/** The tables of CREATE TABLE statements; several of one name are one table with the columns of all. */
export function readTables(context: string): SQLTable[] {
  const tokens = sqlTokens(context), tables = new Map<string, SQLTable>();
  for (let i = 0; i < tokens.length; i++) {
    if (!isWord(tokens[i], "create")) continue;
    const at = nameOfTable(tokens, i + 1);
    if (at === undefined) continue;
    i = at;
    const name = tokens[i].text, known = tables.get(name.toLowerCase());
    const table = known ?? { name, columns: [] };
    tables.set(name.toLowerCase(), table);
    let depth = 0, column: SQLToken[] = [];
    for (i++; i < tokens.length; i++) {
      if (isMark(tokens[i], "(") && depth++ === 0) continue;
      if (isMark(tokens[i], ")") && --depth === 0) break;
      if (depth === 1 && isMark(tokens[i], ",")) {
        addColumn(table, column);
        column = [];
      } else column.push(tokens[i]);
    }
    addColumn(table, column);
  }
  return [...tables.values()].filter(({ columns }) => columns.length > 0);
}

/** Where the table's name stands, behind CREATE: before it there may be TEMP, IF NOT EXISTS and a schema. */
function nameOfTable(tokens: readonly SQLToken[], start: number): number | undefined {
  let at = start;
  if (isWord(tokens[at], "temp") || isWord(tokens[at], "temporary")) at++;
  if (!isWord(tokens[at++], "table")) return undefined;
  if (isWord(tokens[at], "if") && isWord(tokens[at + 1], "not") && isWord(tokens[at + 2], "exists")) at += 3;
  if (isMark(tokens[at + 1], ".")) at += 2;
  return isMark(tokens[at + 1], "(") ? at : undefined;
}

const CONSTRAINTS = ["primary", "foreign", "unique", "check", "constraint"];

function addColumn({ columns }: SQLTable, [name, type]: SQLToken[]): void {
  if (
    !name || name.kind === "mark" || (name.kind === "word" && CONSTRAINTS.includes(name.text.toLowerCase()))
  ) return;
  if (columns.some((other) => other.name.toLowerCase() === name.text.toLowerCase())) return;
  columns.push({ name: name.text, type: type?.kind === "word" ? type.text : "" });
}

/** What queries compare a column with: `fits` make a condition true, `near` are on and about the border. */
interface Compared {
  fits: Value[];
  near: Value[];
}

export type Value = string | number | null;

/** The values that queries hold against each column (by its name in lower case). */
export function comparedValues(
  queries: readonly string[],
  tables: readonly SQLTable[],
): Map<string, Compared> {
  const names = new Set(tables.flatMap(({ columns }) => columns.map(({ name }) => name.toLowerCase())));
  const compared = new Map<string, Compared>();
  for (const query of queries) {
    let column: string | undefined, operator = "=";
    for (const { kind, text } of sqlTokens(query)) {
      const lower = text.toLowerCase();
      if ((kind === "word" || kind === "quoted") && names.has(lower)) column = lower;
      else if (/^(<|>|=|<=|>=|<>|!=|==|like|between|in|limit)$/.test(lower)) operator = lower;
      else if (column !== undefined && ["number", "text", "quoted"].includes(kind) && operator !== "limit") {
        const entry = compared.get(column) ?? { fits: [], near: [] };
        addValue(entry, kind === "number" ? Number(text) : text, operator);
        compared.set(column, entry);
      }
    }
  }
  return compared;
}

function addValue({ fits, near }: Compared, value: string | number, operator: string): void {
  if (operator === "like") {
    const core = String(value).replaceAll("%", "").replaceAll("_", "a");
    fits.push(core);
    near.push(core, `${core}s`, `a ${core}`, `a ${core}s`);
    return;
  }
  const number = typeof value === "number" || (value.trim() !== "" && Number.isFinite(Number(value)))
    ? Number(value)
    : undefined;
  const moved = (by: number) => typeof value === "number" ? number! + by : String(number! + by);
  if (number === undefined) {
    fits.push(value);
    near.push(value, String(value).toLowerCase(), `${value} 2`);
  } else {
    fits.push(
      operator.startsWith("<") && operator.length === 1 ? moved(-1) : operator === ">" ? moved(1) : value,
    );
    near.push(value, moved(-1), moved(1));
  }
}

const WORDS = ["amber", "birch", "cedar", "dune", "ember", "fjord"];

/** Rows of a table, the same for the same seed. Keys of all tables are drawn from the same few values, so that joins find some. */
export function generateRows(
  { columns }: SQLTable,
  compared: ReadonlyMap<string, Compared>,
  count: number,
  seed: number,
): Value[][] {
  const random = seededRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  const drawn = (type: string): Value => {
    if (/int|num|bool/i.test(type)) return 1 + Math.floor(random() * 9);
    // Fractions tell what rounds from what does not.
    if (/real|doub|float|dec/i.test(type)) return 1 + Math.floor(random() * 18) / 2;
    return random() < 0.5 ? String(1 + Math.floor(random() * 6)) : pick(WORDS);
  };
  return Array.from({ length: count }, () => {
    const fitting = random() < 0.5;
    return columns.map(({ name, type }) => {
      const known = compared.get(name.toLowerCase());
      if (known && fitting) return pick(known.fits);
      if (random() < 0.04) return null;
      return known && random() < 0.6 ? pick(known.near) : drawn(type);
    });
  });
}
