// A JSON Schema as nodes that the machine walks through. Schemas for the same value (allOf, $ref with something beside it) are
// joined; alternatives become alternatives; what a $ref names is one node, however often and deep it is named.

import { UserError } from "../errors.ts";
import { isObject } from "../text/files.ts";
import { apart, both } from "./schema_join.ts";
import { fulfils } from "./schema_fits.ts";
import { members, referred } from "./schema_places.ts";
import { type Located, type Plain, plainOf, saysOwn } from "./schema_plain.ts";
import { type Node, settle } from "./shapes.ts";
import { type Builder, matching, shapesOf } from "./schema_shapes.ts";

/** Joining alternatives multiplies them; and as long as they read alike, objects are followed side by side. */
const MOST_ALTERNATIVES = 256, MOST_NODES = 20_000, DEEPEST_REFERENCES = 100;

/** The whole schema, which references point into, and what was found out about its places. */
interface Root {
  readonly schema: unknown;
  /** Each place's ways: asked again by everyone who refers to it, they would multiply. */
  readonly ways: Map<string, Plain[]>;
}

/** The node of a schema, ready for the machine. */
export function schemaNode(schema: unknown, builder: Omit<Builder, "node" | "fits">): Node {
  const root: Root = { schema, ways: new Map() };
  const nodes = new Map<string, Node>(), waiting: { node: Node; list: readonly Located[] }[] = [];
  const nodeOf = (given: readonly Located[]): Node => {
    const list = [...new Map(given.map((one) => [one.place, one])).values()];
    const key = list.map(({ place }) => place).sort().join(" ");
    let node = nodes.get(key);
    if (!node) {
      if (nodes.size >= MOST_NODES) {
        throw new UserError(`The schema has more than ${MOST_NODES} parts: make it simpler.`);
      }
      node = { id: nodes.size, place: list[0]?.place ?? "anything", shapes: [], parts: [] };
      nodes.set(key, node);
      waiting.push({ node, list });
    }
    return node;
  };
  const fitting = { root: schema, matches: matching(builder.strings) };
  const start = nodeOf([{ schema, place: "#" }]);
  for (const { node, list } of waiting) { // a list goes on to what is pushed
    const parts = list.length === 1 ? alternativesAlone(root, list[0]) : undefined;
    if (parts) node.parts = parts.map((part) => nodeOf([part]));
    else {
      const whole = list.length === 0 ? [plainOf({ schema: true, place: "anything" })] : joined(root, list);
      const fits = (value: unknown) => list.every((one) => fulfils(value, one, fitting));
      node.shapes = whole.flatMap((plain) => shapesOf(plain, { ...builder, node: nodeOf, fits }));
    }
  }
  settle([...nodes.values()], builder.ending);
  for (const { shapes, place } of nodes.values()) {
    if (shapes.filter(({ kind }) => kind === "object" || kind === "array").length <= MOST_ALTERNATIVES) {
      continue;
    }
    throw new UserError(
      `More than ${MOST_ALTERNATIVES} kinds of objects and arrays could stand at ${place}: make the schema simpler.`,
    );
  }
  if (start.shortest === undefined) {
    throw new UserError(
      "No value fulfils the schema (or only such as never end): check its bounds and required fields.",
    );
  }
  return start;
}

/** Schemas of which one has to be fulfilled, where the schema says nothing else; undefined where it does. */
function alternativesAlone(root: Root, located: Located): Located[] | undefined {
  const { schema, place } = located;
  if (!isObject(schema) || saysOwn(schema)) return undefined;
  const names = ["$ref", "allOf", "anyOf", "oneOf"].filter((name) => name in schema);
  if (names.length !== 1) return undefined;
  plainOf(located); // refuses what is not supported
  if (names[0] === "$ref") return [referred(root.schema, schema.$ref, place)];
  const list = members(schema, names[0], place);
  if (names[0] === "oneOf") checkApart(root, list, place);
  return names[0] === "allOf" && list.length > 1 ? undefined : list;
}

/** All ways to fulfil all of a list of schemas. */
function joined(root: Root, list: readonly Located[], depth = 0): Plain[] {
  return list.map((located) => waysOf(root, located, depth)).reduce(product);
}

function product(left: readonly Plain[], right: readonly Plain[]): Plain[] {
  const all = left.flatMap((a) => right.map((b) => both(a, b))).filter(({ types }) => types.length > 0);
  if (all.length > MOST_ALTERNATIVES) {
    throw new UserError(
      `The schema's alternatives at ${
        all[0].place
      } multiply to more than ${MOST_ALTERNATIVES}: make it simpler.`,
    );
  }
  return all;
}

function waysOf(root: Root, located: Located, depth: number): Plain[] {
  const before = root.ways.get(located.place);
  if (before) return before;
  const found = findWays(root, located, depth);
  root.ways.set(located.place, found);
  return found;
}

function findWays(root: Root, located: Located, depth: number): Plain[] {
  const { schema, place } = located, own = plainOf(located);
  if (!isObject(schema)) return [own];
  if (depth > DEEPEST_REFERENCES) throw new UserError(`The schema at ${place} refers to itself without end.`);
  const ways: Plain[][] = [[own]];
  const inside = (one: Located): Plain[] => waysOf(root, one, depth + 1);
  if ("$ref" in schema) ways.push(inside(referred(root.schema, schema.$ref, place)));
  for (const one of members(schema, "allOf", place)) ways.push(inside(one));
  for (const name of ["anyOf", "oneOf"]) {
    if (!(name in schema)) continue;
    const list = members(schema, name, place);
    if (name === "oneOf") checkApart(root, list, place);
    ways.push(list.flatMap(inside));
  }
  return ways.reduce(product);
}

/** oneOf is anyOf where at most one can be fulfilled; that is asked of the schemas, as no mask could count. */
function checkApart(root: Root, list: readonly Located[], place: string): void {
  const ways = list.map((one) => waysOf(root, one, 1));
  ways.forEach((own, i) =>
    ways.slice(0, i).forEach((other, j) => {
      if (own.every((a) => other.every((b) => apart(a, b)))) return;
      throw new UserError(
        `The schema's "oneOf" at ${place}: a value could fulfil alternatives ${j} and ${i}, which constrained decoding cannot ` +
          "exclude; use anyOf, or tell them apart by type or by a required property with const.",
      );
    })
  );
}
