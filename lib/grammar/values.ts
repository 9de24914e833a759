// JSON values that a schema lists, compared.

import { isObject } from "../text/files.ts";

/** Equal as JSON, in any order of fields. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((one, i) => sameValue(one, b[i]));
  }
  if (!isObject(a) || !isObject(b)) return a === b;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length &&
    names.every((name) => name in b && sameValue(a[name], b[name]));
}

/** Whether a value is one of a list, which may be long. */
export function among(list: readonly unknown[]): (value: unknown) => boolean {
  const all = new Set(list), whole = list.filter((one) => typeof one === "object");
  return (value) => all.has(value) || whole.some((one) => sameValue(one, value));
}
