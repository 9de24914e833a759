// SQL's syntax trees: the parser (sqlparser, Rust's, as WebAssembly), and its trees without what does not matter.

import { type SQLToken, sqlTokens } from "./sql_text.ts";

/** What the parser gives: plain JSON. A node of one field is an expression, the field its kind. */
export type Tree = null | boolean | number | string | Tree[] | Fields;
/** A tree's node. */
export interface Fields {
  [field: string]: Tree;
}

export const isNode = (tree: Tree | undefined): tree is Fields =>
  typeof tree === "object" && tree !== null && !Array.isArray(tree);

/** A node with every field changed. */
export function mapFields(node: Fields, change: (inner: Tree, field: string) => Tree): Fields {
  return Object.fromEntries(Object.entries(node).map(([field, inner]) => [field, change(inner, field)]));
}

/** Longer texts are no query, and would keep the parser busy. */
const LONGEST = 20_000;
/** The parser's stack is small: from some 500 operators in a row on it breaks down, and stays so for every later query. */
const MOST_OPERATORS = 200;
const OPERATORS = new Set(
  "and or not is isnull notnull like glob in between collate union except intersect over".split(" "),
);

const isOperator = ({ kind, text }: SQLToken): boolean =>
  kind === "mark" ? !"(),.;".includes(text) : kind === "word" && OPERATORS.has(text.toLowerCase());

/** The parser limits nesting itself. Reads its WebAssembly file, so needs --allow-read. */
async function loadParser() {
  const { init, parse } = await import("@guanmingchiu/sqlparser-ts");
  await init();
  return (sql: string) => parse(sql, "sqlite") as unknown as Fields[];
}

let parser: ReturnType<typeof loadParser> | undefined;

/** The tree of a text that is one query; undefined for any other. */
export async function parseQuery(sql: string): Promise<Fields | undefined> {
  parser ??= loadParser();
  const parse = await parser;
  if (sql.length > LONGEST || sqlTokens(sql).filter(isOperator).length > MOST_OPERATORS) return undefined;
  try {
    const statements = parse(sql);
    if (statements.length !== 1 || !isNode(statements[0].Query)) return undefined;
    return stripped(statements[0].Query) as Fields;
  } catch (error) {
    if (!/out of bounds|unreachable|call stack|null function/.test((error as Error).message)) {
      return undefined; // no SQL
    }
    throw new Error(`the parser of SQL broke down at ${sql.slice(0, 200)}`, { cause: error });
  }
}

/** Without places in the text, what is not there (null, false, empty lists), and ASC, which is what is meant without it. */
function stripped(tree: Tree): Tree {
  if (Array.isArray(tree)) return tree.map(stripped);
  if (!isNode(tree)) return tree;
  const fields = Object.entries(tree);
  const absent = (inner: Tree) =>
    inner === null || inner === false || (Array.isArray(inner) && inner.length === 0);
  const kept = fields.filter(([field, inner]) =>
    field !== "span" && !field.endsWith("_token") &&
    // A kind without contents, such as { Int: null }, is no absent field; NULLS LAST is no absent NULLS FIRST.
    (field === "asc"
      ? inner === false
      : fields.length === 1 || field === "nulls_first" && inner !== null || !absent(inner))
  );
  return Object.fromEntries(kept.map(([field, inner]) => [field, stripped(inner)]));
}
