// Tables for questions: what finance keeps books of, with columns whose names a question can say in words.

import type { Random } from "../tiny/random.ts";
import { cities, months, people } from "../tiny/names.ts";

/** A column: its name in SQL, and how a question says it. */
export interface Column {
  name: string;
  words: string;
  type: "INTEGER" | "VARCHAR";
  /** A value that a question may ask for. */
  value(random: Random): string | number;
}

/** A table of two to five columns, in the order of its CREATE TABLE. */
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
  "fund share bond loan account branch/branches client trade invoice payment budget policy/policies claim " +
  "currency/currencies card broker bank firm insurer deposit warehouse product supplier report audit donor tenant " +
  "lease property/properties asset contract merger dividend auction customer partner office vendor project ledger " +
  "transfer receipt investor trust pension mortgage owner seller buyer lender debtor market shop factory/factories"
).split(" ").map(entity);

const whole = (name: string, low: number, high: number, step = 1): Column => ({
  name,
  words: name.replaceAll("_", " "),
  type: "INTEGER",
  value: (random) => low + step * random.int(0, Math.floor((high - low) / step)),
});

const oneOf = (name: string, values: readonly string[]): Column => ({
  name,
  words: name.replaceAll("_", " "),
  type: "VARCHAR",
  value: (random) => random.pick(values),
});

/** Columns that numbers are in. */
export const numbers: readonly Column[] = [
  ...["fee", "rate", "yield", "rating", "risk_score", "tax_rate", "growth"].map((name) => whole(name, 1, 20)),
  ...["price", "cost", "premium", "bonus", "share_price"].map((name) => whole(name, 10, 200, 5)),
  ...["amount", "balance", "profit", "revenue", "debt", "volume", "market_value", "credit_limit"].map((
    name,
  ) => whole(name, 100, 900, 50)),
  ...["age", "staff", "duration"].map((name) => whole(name, 10, 80)),
  whole("year", 1990, 2024),
];

/** Columns that words are in. */
export const texts: readonly Column[] = [
  ...["name", "owner", "manager", "agent"].map((name) => oneOf(name, people)),
  ...["city", "seat"].map((name) => oneOf(name, cities)),
  oneOf("month", months),
  oneOf("status", ["open", "closed", "late", "paid", "active"]),
  oneOf("currency_name", ["dollar", "euro", "yen", "pound", "franc"]),
  oneOf("sector", ["energy", "food", "steel", "software", "paper", "travel"]),
  oneOf("risk_class", ["low", "medium", "high"]),
  oneOf("country", ["Spain", "Norway", "Japan", "Kenya", "Chile", "India", "Canada", "Egypt"]),
];

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
