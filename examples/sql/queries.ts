// Questions about tables and the queries that answer them: each kind draws a table, a question in one of several wordings
// and its query, in the spelling of sql-create-context.

import type { Random } from "../tiny/random.ts";
import { type Column, createTables, drawTable, type Entity, type Table } from "./schemas.ts";

/** A row as in sql-create-context, with the kind of its query. */
export interface SQLQuestion {
  question: string;
  /** CREATE TABLE statements. */
  context: string;
  answer: string;
  kind: QueryKind;
}

export type QueryKind = keyof typeof kinds;

type Draft = { question: string; tables: Table[]; answer: string };
type Drawer = (random: Random, about: readonly Entity[]) => Draft;

/** A comparison, in words and in SQL. */
interface Condition {
  words: string;
  sql: string;
}

const comparisons: readonly [words: string, operator: string][] = [
  ["above", ">"],
  ["more than", ">"],
  ["over", ">"],
  ["below", "<"],
  ["less than", "<"],
  ["under", "<"],
  ["at least", ">="],
  ["at most", "<="],
];

/** A word stands in quotes in the question too. */
function drawCondition(random: Random, column: Column, prefix = ""): Condition {
  const value = column.value(random);
  const [words, operator] = typeof value === "string" ? ["", "="] : random.pick(comparisons);
  const literal = typeof value === "string" ? `"${value}"` : `${value}`;
  return {
    words: `${column.name} is ${words}${words && " "}${literal}`,
    sql: `${prefix}${column.name} ${operator} ${literal}`,
  };
}

/** The table's columns, in random order, that `is` holds for. */
const someColumns = (random: Random, { columns }: Table, is: (column: Column) => boolean = () => true) =>
  random.shuffle(columns).filter(is);
const isNumber = ({ type }: Column) => type === "INTEGER";
const isText = ({ type }: Column) => type === "VARCHAR";

const list: Drawer = (random, about) => {
  const table = drawTable(random, about, random.int(1, 2), random.int(1, 2)), { name, plural } = table;
  const [a, b] = someColumns(random, table);
  const two = random.chance(0.6);
  const asked = two ? `the ${a.name} and ${b.name}` : `the ${a.name}`;
  const question = random.pick([
    `List ${asked} of all ${plural}.`,
    `Show ${asked} of each ${name}.`,
    `What is ${asked} of every ${name}?`,
    `Give ${asked} of the ${plural}.`,
  ]);
  return { question, tables: [table], answer: `SELECT ${a.name}${two ? `, ${b.name}` : ""} FROM ${name}` };
};

const filter: Drawer = (random, about) => {
  const table = drawTable(random, about, random.int(1, 2), random.int(1, 2)), { name, plural } = table;
  const [a, b] = someColumns(random, table);
  const condition = drawCondition(random, b);
  const question = random.pick([
    `What is the ${a.name} of the ${plural} whose ${condition.words}?`,
    `List the ${a.name} of all ${plural} whose ${condition.words}.`,
    `Show the ${a.name} of each ${name} whose ${condition.words}.`,
    `Find the ${a.name} of every ${name} whose ${condition.words}.`,
  ]);
  return { question, tables: [table], answer: `SELECT ${a.name} FROM ${name} WHERE ${condition.sql}` };
};

const both: Drawer = (random, about) => {
  const table = drawTable(random, about, 2, 2), { name, plural } = table;
  const [a, b, c] = someColumns(random, table);
  const joint = random.pick(["and", "or"]);
  const first = drawCondition(random, b), second = drawCondition(random, c);
  const conditions = `${first.words} ${joint} whose ${second.words}`;
  const question = random.pick([
    `What is the ${a.name} of the ${plural} whose ${conditions}?`,
    `List the ${a.name} of all ${plural} whose ${conditions}.`,
    `Find the ${a.name} of every ${name} whose ${conditions}.`,
  ]);
  const where = `${first.sql} ${joint.toUpperCase()} ${second.sql}`;
  return { question, tables: [table], answer: `SELECT ${a.name} FROM ${name} WHERE ${where}` };
};

const count: Drawer = (random, about) => {
  const table = drawTable(random, about, random.int(1, 2), random.int(1, 2)), { name, plural } = table;
  if (random.chance(0.15)) {
    const question = random.pick([`How many ${plural} are there?`, `Count the ${plural}.`]);
    return { question, tables: [table], answer: `SELECT COUNT(*) FROM ${name}` };
  }
  const [a] = someColumns(random, table), condition = drawCondition(random, a);
  const question = random.pick([
    `How many ${plural} are there whose ${condition.words}?`,
    `Count the ${plural} whose ${condition.words}.`,
    `What is the number of ${plural} whose ${condition.words}?`,
  ]);
  return { question, tables: [table], answer: `SELECT COUNT(*) FROM ${name} WHERE ${condition.sql}` };
};

const aggregates: readonly [words: string, name: string][] = [
  ["average", "AVG"],
  ["mean", "AVG"],
  ["total", "SUM"],
  ["highest", "MAX"],
  ["largest", "MAX"],
  ["lowest", "MIN"],
  ["smallest", "MIN"],
];

const aggregate: Drawer = (random, about) => {
  const table = drawTable(random, about, random.int(1, 2), random.int(1, 2)), { name, plural } = table;
  const [words, call] = random.pick(aggregates);
  const [a] = someColumns(random, table, isNumber);
  const others = someColumns(random, table).filter((column) => column !== a);
  const condition = random.chance(0.6) ? drawCondition(random, others[0]) : undefined;
  const of = `the ${words} ${a.name} of ${random.pick(["the", "all"])} ${plural}${
    condition ? ` whose ${condition.words}` : ""
  }`;
  const question = random.pick([`What is ${of}?`, `Show ${of}.`, `Find ${of}.`]);
  const where = condition ? ` WHERE ${condition.sql}` : "";
  return { question, tables: [table], answer: `SELECT ${call}(${a.name}) FROM ${name}${where}` };
};

const group: Drawer = (random, about) => {
  const table = drawTable(random, about, random.int(1, 2), random.int(1, 2)), { name, plural } = table;
  const [by] = someColumns(random, table, isText), [sum] = someColumns(random, table, isNumber);
  const [words, call] = random.pick(aggregates);
  const counted = random.chance(0.5);
  const asked = counted ? `the number of ${plural}` : `the ${words} ${sum.name} of the ${plural}`;
  const question = random.pick([
    `What is ${asked} for each ${by.name}?`,
    `Show ${asked} for every ${by.name}.`,
    `For each ${by.name}, find ${asked}.`,
  ]);
  const result = counted ? "COUNT(*)" : `${call}(${sum.name})`;
  return {
    question,
    tables: [table],
    answer: `SELECT ${by.name}, ${result} FROM ${name} GROUP BY ${by.name}`,
  };
};

const order: Drawer = (random, about) => {
  const table = drawTable(random, about, random.int(1, 2), random.int(1, 2)), { name, plural } = table;
  const [by] = someColumns(random, table, isNumber);
  const [a] = someColumns(random, table).filter((column) => column !== by);
  const down = random.chance(0.5), limit = random.int(1, 9);
  if (random.chance(0.5)) {
    const question = random.pick([
      `List the ${a.name} of the ${plural} ordered by ${by.name}, ${down ? "highest" : "lowest"} first.`,
      `Show the ${a.name} of all ${plural} by ${down ? "falling" : "rising"} ${by.name}.`,
    ]);
    const answer = `SELECT ${a.name} FROM ${name} ORDER BY ${by.name}${down ? " DESC" : ""}`;
    return { question, tables: [table], answer };
  }
  const question = limit === 1
    ? `What is the ${a.name} of the ${name} with the ${down ? "highest" : "lowest"} ${by.name}?`
    : `List the ${a.name} of the ${limit} ${plural} with the ${down ? "highest" : "lowest"} ${by.name}.`;
  const answer = `SELECT ${a.name} FROM ${name} ORDER BY ${by.name}${down ? " DESC" : ""} LIMIT ${limit}`;
  return { question, tables: [table], answer };
};

const join: Drawer = (random, about) => {
  const first = drawTable(random, about, 1, 1);
  const second = drawTable(random, about.filter(({ name }) => name !== first.name), 1, 1);
  const key: Column = { name: "id", type: "INTEGER", value: () => 0 };
  const [a] = someColumns(random, first), [c] = someColumns(random, second);
  const condition = drawCondition(random, c, "T2.");
  const question = random.pick([
    `What is the ${a.name} of the ${first.plural} with a ${second.name} whose ${condition.words}?`,
    `List the ${a.name} of all ${first.plural} with a ${second.name} whose ${condition.words}.`,
    `Find the ${a.name} of every ${first.name} with a ${second.name} whose ${condition.words}.`,
  ]);
  const joined = `${first.name} AS T1 JOIN ${second.name} AS T2 ON T1.id = T2.id`;
  return {
    question,
    tables: [{ ...first, columns: [...first.columns, key] }, {
      ...second,
      columns: [key, ...second.columns],
    }],
    answer: `SELECT T1.${a.name} FROM ${joined} WHERE ${condition.sql}`,
  };
};

const kinds = { list, filter, "and, or": both, count, aggregate, group, order, join };

/** The names of the kinds, in the order in which scores are shown. */
export const queryKinds = Object.keys(kinds) as QueryKind[];

/** A question of a kind about tables of these names. */
export function drawQuestion(random: Random, kind: QueryKind, about: readonly Entity[]): SQLQuestion {
  const { question, tables, answer } = kinds[kind](random, about);
  return { question, context: createTables(...tables), answer, kind };
}
