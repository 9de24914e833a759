// What every refusal has to be: a UserError of one clear sentence.
import assert from "node:assert/strict";
import { UserError } from "../lib/errors.ts";

/** One sentence, or two: no stack, no line break, ends with a full stop. */
export async function refused(what: string, action: () => unknown, pattern: RegExp): Promise<void> {
  try {
    await action();
  } catch (error) {
    assert.ok(error instanceof UserError, `${what}: ${error}`);
    assert.match(error.message, pattern, what + ": " + error.message);
    assert.match(error.message, /^[^\n]{10,400}\.$/, what);
    return;
  }
  assert.fail(`${what} was accepted`);
}
