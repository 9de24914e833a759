// Tables for questions: what finance keeps books of. Names are single words, and numbers short, so that a model of half a
// million parameters has a token for each and copies it in one step.

import type { Random } from "../tiny/random.ts";
import { cities, months, people } from "../tiny/names.ts";

/** A column: its name, which a question says too, and what is in it. */
export interface Column {
  name: string;
  type: "INTEGER" | "VARCHAR";
  /** A value that a question may ask for. */
  value(random: Random): string | number;
}

/** A table of two to four columns, in the order of its CREATE TABLE. */
export interface Table {
  name: string;
  plural: string;
  columns: Column[];
}

/** What one row of a table is about. */
export interface Entity {
  name: string;
  plural: string;
}

const entity = (words: string): Entity => {
  const [name, plural] = words.split("/");
  return { name, plural: plural ?? `${name}s` };
};

/** Names of tables, one word each, and none of SQL's. */
export const entities: readonly Entity[] = (
  "fund share bond loan account branch/branches client trade invoice payment budget policy/policies claim card broker " +
  "bank firm insurer deposit warehouse product supplier report audit donor tenant lease property/properties asset " +
  "contract merger dividend auction customer partner office vendor project ledger transfer"
).split(" ").map(entity);

/** All numbers of questions and queries. */
export const amounts: readonly number[] = Array.from(
  { length: 35 },
  (_, i) => i < 20 ? i + 1 : 25 + 5 * (i - 20),
);

/** Columns that numbers are in. */
export const numbers: readonly Column[] = (
  "fee rate yield rating growth price cost premium bonus amount balance profit revenue debt volume age staff duration"
).split(" ").map((name) => ({ name, type: "INTEGER", value: (random) => random.pick(amounts) }));

/** Columns that words are in, and the words. */
export const words: Readonly<Record<string, readonly string[]>> = {
  name: people.slice(0, 12),
  manager: people.slice(12, 24),
  agent: people.slice(24, 36),
  city: cities.slice(0, 12),
  seat: cities.slice(12, 24),
  month: months,
  status: ["open", "closed", "late", "paid", "active"],
  currency: ["dollar", "euro", "yen", "pound", "franc"],
  sector: ["energy", "food", "steel", "software", "paper", "travel"],
  country: ["Spain", "Norway", "Japan", "Kenya", "Chile", "India", "Canada", "Egypt"],
};

/** Columns that words are in. */
export const texts: readonly Column[] = Object.entries(words).map(([name, values]) => ({
  name,
  type: "VARCHAR",
  value: (random) => random.pick(values),
}));

/** A table about one of `about`: `words` columns of words and `sums` of numbers, in any order. */
export function drawTable(random: Random, about: readonly Entity[], words: number, sums: number): Table {
  const columns = [...random.shuffle(texts).slice(0, words), ...random.shuffle(numbers).slice(0, sums)];
  return { ...random.pick(about), columns: random.shuffle(columns) };
}

/** CREATE TABLE statements, as the data sets write them. */
export function createTables(...tables: readonly Table[]): string {
  return tables.map(({ name, columns }) =>
    `CREATE TABLE ${name} (${columns.map((column) => `${column.name} ${column.type}`).join(", ")})`
  ).join("; ");
}
