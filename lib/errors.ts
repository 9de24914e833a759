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

  /** Names and values of damaged or hostile files stand in messages: what is too long loses its middle, control characters are shown. */
  constructor(message: string, options?: ErrorOptions) {
    super(shortened(message), options);
  }
}

const LONGEST_MESSAGE = 1000, HEAD = 600, TAIL = 350;

function shortened(message: string): string {
  const short = message.length <= LONGEST_MESSAGE
    ? message
    : `${message.slice(0, HEAD)} [...] ${message.slice(-TAIL)}`;
  // An escape sequence in a file's name or field must not reach the terminal.
  return short.replace(
    /(?![\t\n])\p{Cc}/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
