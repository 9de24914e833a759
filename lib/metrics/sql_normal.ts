// A form of SQL in which queries that differ only in how they are written are equal, by way of their syntax tree.
import { sqlTokens } from "./sql_text.ts";
import { type Fields, isNode, mapFields, parseQuery, type Tree } from "./sql_tree.ts";

/** The names that a SELECT knows, inside the one around it. */
interface Scope {
  /** Of columns and tables; any other text in double quotes is a value. */
  names: ReadonlySet<string>;
  /** SELECTs around it. */
  depth: number;
  /** From the name that the query has for a table to the one that stands for it. */
  tables: Map<string, string>;
  /** One table only: its columns need no name before them. */
  single: boolean;
  /** From an alias of an output column to its expression. */
  outputs: Map<string, Tree>;
  outer?: Scope;
}

/**
 * A query in a form to compare with: equal for queries that differ only in how they are written. Case of keywords and names,
 * needless parentheses, aliases of tables and of results, quotes, joins or conditions, the order of operands that may change
 * places, `a < b` or `b > a` or `NOT a >= b`, BETWEEN or two comparisons: none of it counts. Queries of one form find the same;
 * of others running them has to say whether they do. A text that does not parse comes back with one space between its words.
 *
 * @param names columns and tables, in lower case: they may stand in double quotes; every other such text is a value
 * @returns the syntax tree as JSON
 *
 * @example
 * ```ts
 * import { normalizeSQL } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.equal(
 *   await normalizeSQL('select T1.Name from Fund AS T1 where (T1.kind != "ETF") and 2.0 > fee;'),
 *   await normalizeSQL("SELECT name FROM fund WHERE fee < 2 AND kind <> 'ETF'"),
 * );
 * ```
 */
export async function normalizeSQL(sql: string, names: ReadonlySet<string> = new Set()): Promise<string> {
  const tree = await parseQuery(sql);
  if (tree) return JSON.stringify(query(tree, scopeIn({ names, depth: -1 }), true));
  return sqlTokens(sql).map(({ kind, text }) => kind === "word" ? text.toLowerCase() : JSON.stringify(text))
    .join(" ");
}

const scopeIn = (outer: Pick<Scope, "names" | "depth">): Scope => ({
  names: outer.names,
  depth: outer.depth + 1,
  tables: new Map(),
  single: false,
  outputs: new Map(),
  outer: "tables" in outer ? outer as Scope : undefined,
});

const nameOf = (ident: Tree | undefined) => String((ident as Fields)?.value ?? "").toLowerCase();
const nodes = (tree: Tree | undefined) => (tree ?? []) as Fields[];

/** A query with what surrounds its SELECTs; `free`: nobody refers to its output columns by name. */
function query(node: Fields, outer: Scope, free: boolean): Tree {
  const { with: ctes, body, ...around } = node;
  const { tree, scope } = selects(body as Fields, outer, free);
  return {
    ...(isNode(ctes)
      ? {
        with: {
          ...ctes,
          cte_tables: nodes(ctes.cte_tables).map((cte) => ({
            ...lowered(cte) as Fields,
            query: query(cte.query as Fields, outer, false),
          })),
        },
      }
      : {}),
    body: tree,
    ...mapFields(around, (inner) => expression(inner, scope)),
  };
}

/** One SELECT, or several put together. */
function selects(node: Fields, outer: Scope, free: boolean): { tree: Tree; scope: Scope } {
  if (isNode(node.Select)) return select(node.Select, scopeIn(outer), free);
  if (isNode(node.Query)) return { tree: query(node.Query, outer, free), scope: outer };
  const { SetOperation } = node;
  if (!isNode(SetOperation)) return { tree: lowered(node), scope: outer };
  const left = selects(SetOperation.left as Fields, outer, free);
  const right = selects(SetOperation.right as Fields, outer, free);
  return { tree: { ...SetOperation, left: left.tree, right: right.tree }, scope: left.scope };
}

function select(node: Fields, scope: Scope, free: boolean): { tree: Tree; scope: Scope } {
  const { from, selection, projection, ...rest } = node;
  const { tables, conditions } = relations(nodes(from), scope);
  if (selection !== undefined) conditions.push(selection);
  const where = conditions.map((condition) => expression(condition, scope));
  const columns = nodes(projection).map((column) => {
    if (Array.isArray(column.QualifiedWildcard)) return wildcard(column, scope);
    if (!isNode(column.ExprWithAlias)) return expression(column, scope);
    const alias = nameOf(column.ExprWithAlias.alias), found = expression(column.ExprWithAlias.expr, scope);
    // An alias that is also a column's name could mean either where it is used.
    if (!free || scope.names.has(alias)) return { ExprWithAlias: { expr: found, alias } };
    scope.outputs.set(alias, found);
    return { UnnamedExpr: found };
  });
  const tree = {
    ...mapFields(rest, (inner) => expression(inner, scope)),
    projection: columns,
    from: tables,
    ...(where.length > 0 ? { selection: chain("And", where) } : {}),
  };
  return { tree, scope };
}

/** All columns of one table: with no other table, simply all. */
function wildcard({ QualifiedWildcard }: Fields, scope: Scope): Tree {
  const [{ ObjectName }] = nodes(QualifiedWildcard);
  const name = nodes(ObjectName).map(({ Identifier }) => nameOf(Identifier)).join(".");
  return { Wildcard: scope.single ? {} : { table: scope.tables.get(name) ?? name } };
}

/** The tables of FROM, each under one name; inner joins become tables and conditions. */
function relations(from: readonly Fields[], scope: Scope): { tables: Tree[]; conditions: Tree[] } {
  const uses = new Map<string, number>(), conditions: Tree[] = [];
  const named = from.map(({ relation, joins }) => ({
    relation: table(relation as Fields, scope, uses),
    joins: nodes(joins).map((join) =>
      ({ ...join, relation: table(join.relation as Fields, scope, uses) }) as Fields
    ),
  }));
  scope.single = named.length === 1 && named[0].joins.length === 0;
  const tables = named.flatMap(({ relation, joins }): Tree[] => {
    const inner = joins.map(({ join_operator: operator }) => innerCondition(operator));
    if (inner.includes(undefined)) {
      const operators = joins.map((join) => ({
        ...join,
        join_operator: joinOperator(join.join_operator, scope),
      }));
      return [{ relation, joins: operators }];
    }
    conditions.push(...inner.filter((condition) => condition !== undefined && condition !== null));
    return [relation, ...joins.map((join) => join.relation)];
  });
  return { tables, conditions };
}

/** A table by a name of its own, which tells apart the same table further out and a second use. */
function table(relation: Fields, scope: Scope, uses: Map<string, number>): Tree {
  const { Table, Derived } = relation;
  if (isNode(Derived)) {
    const alias = nameOf((Derived.alias as Fields)?.name);
    scope.tables.set(alias, alias);
    return { alias, subquery: query(Derived.subquery as Fields, scope, false) };
  }
  if (!isNode(Table)) return lowered(relation);
  const name = nodes(Table.name).map(({ Identifier }) => nameOf(Identifier)).join(".");
  const use = (uses.get(name) ?? 0) + 1, unique = `${name} ${scope.depth} ${use}`;
  uses.set(name, use);
  const alias = isNode(Table.alias) ? nameOf(Table.alias.name) : nameOf(nodes(Table.name).at(-1)?.Identifier);
  scope.tables.set(alias, unique);
  return unique;
}

/** The condition of an inner join, null for one without; undefined for any other join. */
function innerCondition(operator: Tree): Tree | undefined {
  if (!isNode(operator)) return undefined;
  const constraint = operator.Join ?? operator.Inner ?? operator.CrossJoin;
  if (constraint === "None") return null;
  return isNode(constraint) ? constraint.On : undefined;
}

/** LEFT JOIN and LEFT OUTER JOIN are one, JOIN and INNER JOIN too. */
function joinOperator(operator: Tree, scope: Scope): Tree {
  if (!isNode(operator)) return operator;
  const kind = Object.keys(operator)[0];
  return { [kind.replace(/Outer$|^Inner$/, "")]: expression(operator[kind], scope) };
}

/** What follows from NOT, and from changing sides. */
const NEGATED: Tree = { Eq: "NotEq", NotEq: "Eq", Lt: "GtEq", GtEq: "Lt", Gt: "LtEq", LtEq: "Gt" };
const TURNED: Tree = { Gt: "Lt", GtEq: "LtEq" };
const EITHER_WAY = ["Eq", "NotEq", "Plus", "Multiply"];

function expression(tree: Tree, scope: Scope): Tree {
  if (Array.isArray(tree)) return tree.map((inner) => expression(inner, scope));
  if (!isNode(tree)) return tree;
  const { Nested, BinaryOp, UnaryOp, Identifier, CompoundIdentifier, Value, Between, InList } = tree;
  if (Nested !== undefined) return expression(Nested, scope);
  if (isNode(BinaryOp)) return binary(BinaryOp, scope);
  if (isNode(UnaryOp)) return unary(UnaryOp, scope);
  if (isNode(Identifier)) return identifier(Identifier, scope);
  if (Array.isArray(CompoundIdentifier)) return compound(CompoundIdentifier, scope);
  if (isNode(Value)) return value(Value.value);
  if (isNode(Between) && !Between.negated) return between(Between, scope);
  if (isNode(InList)) {
    const inner = expression(InList.expr, scope), list = expression(InList.list, scope) as Tree[];
    return { InList: { ...InList, expr: inner, list: sorted(list) } };
  }
  if (isNode(tree.body)) return query(tree, scope, true);
  return mapFields(tree, (inner, field) => field === "name" ? lowered(inner) : expression(inner, scope));
}

const operation = (op: Tree, left: Tree, right: Tree): Tree => ({ BinaryOp: { left, op, right } });

function binary({ left, op, right }: Fields, scope: Scope): Tree {
  if (op === "And" || op === "Or") return chain(op, [expression(left, scope), expression(right, scope)]);
  if (op === "Divide") return operation(op, divided(left, scope), divided(right, scope));
  return ordered(op, expression(left, scope), expression(right, scope));
}

/** A whole number is divided as one: 3 / 2 is 1, 3 / 2.0 is not. */
function divided(tree: Tree, scope: Scope): Tree {
  const literal = isNode(tree) && isNode(tree.Value) ? tree.Value.value : undefined;
  const digits = isNode(literal) && Array.isArray(literal.Number) ? String(literal.Number[0]) : "";
  return /[.e]/i.test(digits) ? { real: Number(digits) } : expression(tree, scope);
}

/** An operation with its operands in the one order, where there are two. */
function ordered(op: Tree, left: Tree, right: Tree): Tree {
  const turned = (TURNED as Fields)[String(op)];
  if (turned !== undefined) return operation(turned, right, left);
  return EITHER_WAY.includes(String(op))
    ? operation(op, ...sorted([left, right]) as [Tree, Tree])
    : operation(op, left, right);
}

function between({ expr, low, high }: Fields, scope: Scope): Tree {
  const [middle, least, most] = [expr, low, high].map((inner) => expression(inner, scope));
  return chain("And", [operation("LtEq", least, middle), operation("LtEq", middle, most)]);
}

function unary({ op, expr }: Fields, scope: Scope): Tree {
  const inner = expression(expr, scope);
  const BinaryOp = isNode(inner) && op === "Not" ? inner.BinaryOp : undefined;
  const negated = isNode(BinaryOp) && (NEGATED as Fields)[String(BinaryOp.op)];
  return negated ? ordered(negated, BinaryOp.left, BinaryOp.right) : { UnaryOp: { op, expr: inner } };
}

/** Conditions that are joined by the same word, however they are bracketed and ordered. */
function chain(op: "And" | "Or", operands: readonly Tree[]): Tree {
  const flat = sorted(
    operands.flatMap((operand) => isNode(operand) && Array.isArray(operand[op]) ? operand[op] : [operand]),
  );
  return flat.length === 1 ? flat[0] : { [op]: flat };
}

const sorted = (trees: readonly Tree[]): Tree[] =>
  trees.map((tree) => JSON.stringify(tree)).sort().map((text) => JSON.parse(text));

function identifier(node: Fields, scope: Scope): Tree {
  const name = nameOf(node);
  if (node.quote_style === '"' && !scope.names.has(name)) return { text: node.value };
  return scope.outputs.get(name) ?? { column: name };
}

/** table.column, with the table's own name, or none where there is only one. */
function compound(parts: Tree[], scope: Scope): Tree {
  const table = nameOf(parts.at(-2)), column = nameOf(parts.at(-1));
  for (let at: Scope | undefined = scope; at; at = at.outer) {
    const name = at.tables.get(table);
    if (name !== undefined) return at === scope && scope.single ? { column } : { table: name, column };
  }
  return { table, column };
}

function value(literal: Tree): Tree {
  if (!isNode(literal)) return { literal };
  if (Array.isArray(literal.Number)) return { number: Number(literal.Number[0]) };
  const text = literal.SingleQuotedString ?? literal.DoubleQuotedString;
  return text === undefined ? { literal } : { text };
}

/** Names in lower case and without quotes, all else as it is. */
function lowered(tree: Tree): Tree {
  if (Array.isArray(tree)) return tree.map(lowered);
  if (!isNode(tree)) return tree;
  return typeof tree.value === "string" ? nameOf(tree) : mapFields(tree, lowered);
}
