// Two sayings of a schema about the same value: joined into one, or told apart.

import { isObject } from "../text/files.ts";
import { type Located, type Plain, type TypeName, valuesOf } from "./schema_plain.ts";
import { among } from "./values.ts";

/** What fulfils both. */
export function both(a: Plain, b: Plain): Plain {
  const names = new Set([...a.properties.keys(), ...b.properties.keys()]);
  const property = (one: Plain, name: string) => one.properties.get(name) ?? one.additional;
  const element = (one: Plain, i: number) => one.first[i] ?? one.items;
  const { values } = a, others = b.values;
  return {
    place: a.place,
    types: a.types.filter((type) => b.types.includes(type)),
    values: values && others ? values.filter(among(others)) : values ?? others,
    patterns: once(a.patterns, b.patterns),
    formats: once(a.formats, b.formats),
    multiples: once(a.multiples, b.multiples),
    lows: strictest(a.lows, b.lows, Math.max),
    highs: strictest(a.highs, b.highs, Math.min),
    properties: new Map([...names].map((name) => [name, once(property(a, name), property(b, name))])),
    required: [...new Set([...a.required, ...b.required])],
    additional: once(a.additional, b.additional),
    first: Array.from(
      { length: Math.max(a.first.length, b.first.length) },
      (_, i) => once(element(a, i), element(b, i)),
    ),
    items: once(a.items, b.items),
  };
}

/** What stands at any place, once. */
function once<T extends { place: string }>(a: readonly T[], b: readonly T[]): T[] {
  return [...new Map([...a, ...b].map((one) => [one.place, one])).values()];
}

function strictest<Name extends string>(
  a: Partial<Record<Name, number>>,
  b: Partial<Record<Name, number>>,
  choose: (x: number, y: number) => number,
): Partial<Record<Name, number>> {
  const joined = { ...a };
  for (const [name, value] of Object.entries(b) as [Name, number][]) {
    joined[name] = choose(value, joined[name] ?? value);
  }
  return joined;
}

/** Whether no value can fulfil both, as far as types, listed values and a property that tells them apart show it. */
export function apart(a: Plain, b: Plain): boolean {
  const types = (one: Plain): readonly TypeName[] => one.values?.map(typeOf) ?? one.types;
  const shared = types(a).filter((type) => types(b).includes(type));
  if (shared.length === 0) return true;
  if (a.values && b.values) return !a.values.some(among(b.values));
  if (shared.some((type) => type !== "object")) return false;
  return a.required.filter((name) => b.required.includes(name)).some((name) => {
    const [one, two] = [a, b].map((plain) => listed(plain.properties.get(name) ?? []));
    return one && two && !one.some(among(two));
  });
}

/** Whether values that are listed may be of any form, as long as their type is right. */
export function onlyLists(
  { patterns, formats, multiples, lows, highs, properties, required, ...rest }: Plain,
): boolean {
  const lists = [patterns, formats, multiples, required, rest.additional, rest.first, rest.items];
  return lists.every(({ length }) => length === 0) && properties.size === 0 &&
    Object.keys(lows).length + Object.keys(highs).length === 0;
}

/** A value's type, the narrower one for whole numbers. */
export function typeOf(value: unknown): TypeName {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value as TypeName;
}

function listed(schemas: readonly Located[]): readonly unknown[] | undefined {
  for (const { schema, place } of schemas) {
    if (isObject(schema) && ("const" in schema || "enum" in schema)) return valuesOf(schema, place);
  }
  return undefined;
}
