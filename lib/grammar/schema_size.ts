// A schema that comes from a stranger is looked through once, before anything walks into it: nothing behind this meets one that
// is deeper than the stack or larger than memory.

import { UserError } from "../errors.ts";

/** Far beyond any schema that people write; each level takes a few calls on the stack wherever a schema is walked through. */
const DEEPEST = 400, LARGEST = 500_000, LONGEST = 10_000_000;

/** @throws UserError for a schema nested too deep (or into itself), or with too many parts or characters */
export function checkSize(schema: unknown): void {
  let parts = 0, characters = 0;
  const look = (value: unknown, depth: number): void => {
    if (depth > DEEPEST) {
      throw new UserError(`The schema is nested more than ${DEEPEST} deep: make it flatter.`);
    }
    if (typeof value === "string") characters += value.length;
    if (++parts > LARGEST || characters > LONGEST) {
      throw new UserError(
        `The schema has more than ${LARGEST} parts or ${LONGEST} characters: make it smaller.`,
      );
    }
    if (typeof value !== "object" || value === null) return;
    for (const [name, inner] of Object.entries(value)) {
      if (!Array.isArray(value)) characters += name.length;
      look(inner, depth + 1);
    }
  };
  look(schema, 0);
}
