// What values a schema allows, as shapes that the machine walks through; and the shortest text of each.

import { UserError } from "../errors.ts";
import type { CharState } from "./characters.ts";

/** A value of any of these shapes. `parts` are other nodes whose shapes it has as well (anyOf, $ref). */
export interface Node {
  readonly id: number;
  /** Where in the schema it stands, for messages. */
  readonly place: string;
  shapes: Shape[];
  parts: Node[];
  /** The shortest text of a value; undefined where there is no value. */
  shortest?: string;
}

export type Shape =
  | { kind: "string"; start: CharState }
  | { kind: "plain"; start: CharState } // numbers, true, false, null: as they are written
  | ObjectShape
  | ArrayShape;

export interface ObjectShape {
  readonly kind: "object";
  readonly id: number;
  /** `key` is the name's state behind the quote. */
  properties: { name: string; key: CharState; node: Node; required: boolean }[];
  /** Keys that are none of the properties'. */
  others?: { keys: CharState; node: Node; sample: string /* such a key, as JSON */ };
  least: number;
  most: number;
}

export interface ArrayShape {
  readonly kind: "array";
  readonly id: number;
  /** What the first elements are. */
  first: Node[];
  /** What the others are; without it there are no others. */
  others?: Node;
  least: number;
  most: number;
}

/** The shortest text from a state on: the rest of a string behind its opening quote, or of a plain value. */
export type Ending = (kind: "string" | "plain", state: CharState) => string;

/** Gives every node the shapes of its parts too, and its shortest text; takes out what can never be finished. */
export function settle(nodes: readonly Node[], ending: Ending): void {
  const shapes = nodes.map((node) => {
    const all = new Set<Node>([node]);
    for (const one of all) for (const part of one.parts) all.add(part); // a Set goes on to what is added
    return [...all].flatMap((one) => one.shapes);
  });
  nodes.forEach((node, i) => [node.shapes, node.parts] = [shapes[i], []]);
  const finite = new Set<Shape>();
  for (let changed = true; changed;) {
    changed = false;
    for (const node of nodes) {
      for (const shape of node.shapes) {
        const text = shortestOf(shape, ending);
        if (text === undefined) continue;
        finite.add(shape);
        if (node.shortest !== undefined && node.shortest.length <= text.length) continue;
        node.shortest = text;
        changed = true;
      }
    }
  }
  for (const node of nodes) {
    node.shapes = node.shapes.filter((shape) => finite.has(shape));
    node.shapes.forEach(prune);
  }
}

function shortestOf(shape: Shape, ending: Ending): string | undefined {
  if (shape.kind === "string") return `"${ending("string", shape.start)}`;
  if (shape.kind === "plain") return ending("plain", shape.start);
  if (shape.kind === "object") {
    const members = missingMembers(shape, 0n, 0);
    return members && `{${joined(members)}}`;
  }
  const elements = Array.from({ length: shape.least }, (_, i) => elementAt(shape, i)?.shortest);
  if (shape.least > shape.most || elements.includes(undefined)) return undefined;
  return `[${joined(elements as string[])}]`;
}

/** Lists of lists that may not be empty grow beyond memory before anything is written. */
const LONGEST = 1_000_000;

function joined(texts: readonly string[]): string {
  if (texts.reduce((sum, { length }) => sum + length + 1, 0) <= LONGEST) return texts.join(",");
  throw new UserError(
    `The shortest value of the schema has more than ${LONGEST} characters: lower its minItems or minLength.`,
  );
}

/**
 * The shortest members that an object still needs; undefined where it cannot get them.
 *
 * @param seen a bit for each property that it has
 * @param count how many members it has
 */
export function missingMembers(shape: ObjectShape, seen: bigint, count: number): string[] | undefined {
  const member = ({ name, node }: ObjectShape["properties"][number]) =>
    node.shortest === undefined ? undefined : `${JSON.stringify(name)}:${node.shortest}`;
  const members: (string | undefined)[] = [];
  shape.properties.forEach((property, i) => {
    if (property.required && !(seen >> BigInt(i) & 1n)) members.push(member(property));
  });
  const wanted = shape.least - count - members.length;
  const more = wanted <= 0 ? [] : openProperties(shape, seen)
    .map(([, property]) => property.required ? undefined : member(property))
    .filter((text) => text !== undefined).sort((a, b) => a.length - b.length).slice(0, wanted);
  const total = count + members.length + more.length;
  const whole = members.every((text) => text !== undefined);
  return whole && total >= shape.least && total <= shape.most ? [...members as string[], ...more] : undefined;
}

/** Properties that an object does not have yet, by their numbers. */
export function openProperties(
  { properties }: Pick<ObjectShape, "properties">,
  seen: bigint,
): [number, ObjectShape["properties"][number]][] {
  const bits = seen.toString(2); // thousands of shifts would each make a number of thousands of bits
  return [...properties.entries()].filter(([i]) => bits[bits.length - 1 - i] !== "1");
}

/** The shortest member that is not there yet; some key is always left where this is asked. */
export function shortestMember({ properties, others }: ObjectShape, seen: bigint): string {
  const texts = openProperties({ properties }, seen)
    .map(([, { name, node }]) => `${JSON.stringify(name)}:${node.shortest}`);
  if (others) texts.push(`${others.sample}:${others.node.shortest}`);
  return texts.reduce((best, text) => text.length < best.length ? text : best);
}

export function elementAt({ first, others }: ArrayShape, index: number): Node | undefined {
  return first[index] ?? others;
}

function prune(shape: Shape): void {
  if (shape.kind === "object") {
    shape.properties = shape.properties.filter(({ node }) => node.shortest !== undefined);
    if (shape.others?.node.shortest === undefined) delete shape.others;
  } else if (shape.kind === "array") {
    if (shape.others?.shortest === undefined) delete shape.others;
    const end = shape.first.findIndex(({ shortest }) => shortest === undefined);
    if (end >= 0) shape.most = Math.min(shape.most, end);
    if (!shape.others) shape.most = Math.min(shape.most, shape.first.length);
  }
}
