// The one error type for a user's mistake: its message is shown without a stack trace.

/**
 * Thrown for anything the user can mend: a wrong file, field, option or size. The message is one clear sentence that
 * says what was wrong, where, and what to do; programs print it without a stack trace.
 *
 * @example
 * ```ts
 * import { UserError } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.equal(new UserError("rows.jsonl, row 3: no field 'output'.").message, "rows.jsonl, row 3: no field 'output'.");
 * ```
 */
export class UserError extends Error {
  /** Always "UserError". */
  override name = "UserError";
}
