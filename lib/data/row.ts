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
