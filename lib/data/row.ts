// What a row is, and how a complaint about one says which.

import { UserError } from "../errors.ts";

/**
 * A row as it comes from a file: its fields are whatever the file held. As with JSON.parse their type is not known, and
 * checked where it matters.
 */
// deno-lint-ignore no-explicit-any
export type Row = Record<string, any>;

/** Runs a function on a row; a {@linkcode UserError} that it throws gets the row's place in front. */
export function atRow<R>(name: string, index: number, run: () => R): R {
  try {
    return run();
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${name}, row ${index}: ${error.message}`);
    throw error;
  }
}

/** Whether a value is an object with fields, and no list. */
export function isObject(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a filter's function says about a row; a promise would pass for true. */
export function checkKept(kept: unknown): boolean {
  if (!(kept instanceof Promise)) return Boolean(kept);
  throw new UserError(
    "the filter's function gives a promise: it cannot be async, so await what it needs before.",
  );
}

/** Refuses what is no row; `where` begins the sentence. */
export function checkRow(value: unknown, where: string): void {
  if (isObject(value)) return;
  throw new UserError(`${where} is ${JSON.stringify(value)?.slice(0, 40)}, not an object with fields.`);
}

/** What makes two rows the same: a field's name, or a function that gives the key. */
export type RowKey<T> = (keyof T & string) | ((row: T) => unknown);

/** A row's key as text; keys that are not text are compared as JSON. */
export function keyText<T>(row: T, key: RowKey<T>): string {
  const value = typeof key === "function" ? key(row) : row[key];
  if (value === undefined) {
    throw new UserError(typeof key === "function" ? "its key is undefined." : `no field "${key}".`);
  }
  return typeof value === "string" ? value : `\0${JSON.stringify(value)}`;
}

/** Checks the count of a `take` or `skip`. */
export function checkedCount(count: number, name: string): number {
  if (Number.isInteger(count) && count >= 0) return count;
  throw new UserError(`${name}(${count}): give a number of rows, 0 or more.`);
}
