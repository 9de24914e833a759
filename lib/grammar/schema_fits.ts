// Whether a value that a schema lists (enum, const) fulfils the rest of what is said about it. A library's validator would run a
// stranger's patterns as regular expressions, some of which never end, and throw what is no answer to a user.

import { UserError } from "../errors.ts";
import { isObject } from "../text/files.ts";
import { typeOf } from "./schema_join.ts";
import { escaped, type Located, type Plain, plainOf } from "./schema_plain.ts";
import { members, referred } from "./schema_places.ts";
import { among } from "./values.ts";

/** What the question is asked with. */
export interface Fitting {
  /** The whole schema, which references point into. */
  readonly root: unknown;
  /** Whether a text is as patterns and formats say. */
  matches(text: string, plain: Plain): boolean;
}

/** What is known of each part of a value by the place of the schema; undefined while it is asked. */
type Known = Map<string, Map<string, boolean | undefined>>;

/** Asks each part once about each place: what refers to it several times, in layers, would multiply. */
export function fulfils(
  value: unknown,
  located: Located,
  fitting: Fitting,
  path: string = "",
  known: Known = new Map(),
): boolean {
  const own = known.get(path) ?? new Map<string, boolean | undefined>(), { place } = located;
  known.set(path, own);
  const before = own.get(place);
  if (before !== undefined) return before;
  if (own.has(place)) throw new UserError(`The schema at ${place} refers to itself without end.`);
  own.set(place, undefined);
  const found = fulfilsOwn(
    value,
    plainOf(located),
    (part, key, schemas) =>
      schemas.every((one) => fulfils(part, one, fitting, `${path}/${escaped(key)}`, known)),
    fitting,
  ) &&
    fulfilsOthers(located, fitting.root, (one) => fulfils(value, one, fitting, path, known));
  own.set(place, found);
  return found;
}

/** What $ref, allOf, anyOf and oneOf lead to. */
function fulfilsOthers(
  { schema, place }: Located,
  root: unknown,
  holds: (one: Located) => boolean,
): boolean {
  if (!isObject(schema)) return true; // true, or false, which has no types
  if ("$ref" in schema && !holds(referred(root, schema.$ref, place))) return false;
  if (!members(schema, "allOf", place).every(holds)) return false;
  if ("anyOf" in schema && !members(schema, "anyOf", place).some(holds)) return false;
  return !("oneOf" in schema) || members(schema, "oneOf", place).filter(holds).length === 1;
}

type Part = (part: unknown, key: string, schemas: readonly Located[]) => boolean;

function fulfilsOwn(value: unknown, plain: Plain, part: Part, { matches }: Fitting): boolean {
  const { types, values, lows, highs } = plain;
  if (!types.includes(typeOf(value)) || values && !among(values)(value)) return false;
  const between = (count: number, least: number = 0, most: number = Infinity) =>
    count >= least && count <= most;
  if (typeof value === "number") return fulfilsNumber(value, plain);
  if (typeof value === "string") {
    return between([...value].length, lows.minLength, highs.maxLength) && matches(value, plain);
  }
  if (Array.isArray(value)) {
    return between(value.length, lows.minItems, highs.maxItems) &&
      value.every((one, i) => part(one, String(i), plain.first[i] ?? plain.items));
  }
  if (!isObject(value)) return true;
  const names = Object.keys(value);
  return between(names.length, lows.minProperties, highs.maxProperties) &&
    plain.required.every((name) => Object.hasOwn(value, name)) &&
    names.every((name) => part(value[name], name, plain.properties.get(name) ?? plain.additional));
}

function fulfilsNumber(value: number, { lows, highs, multiples }: Plain): boolean {
  const { minimum = -Infinity, exclusiveMinimum = -Infinity } = lows;
  const { maximum = Infinity, exclusiveMaximum = Infinity } = highs;
  if (value < minimum || value <= exclusiveMinimum || value > maximum || value >= exclusiveMaximum) {
    return false;
  }
  // 0.3 / 0.1 is a hair beside 3.
  return multiples.every(({ of }) => Number.isInteger(Number((value / of).toPrecision(15))));
}
