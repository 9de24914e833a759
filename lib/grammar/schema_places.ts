// Schemas by their places: what lists of them hold, and what a $ref names.

import { UserError } from "../errors.ts";
import { type Located, pointed } from "./schema_plain.ts";

/** The schemas of a list such as anyOf's. */
export function members(schema: Record<string, unknown>, name: string, place: string): Located[] {
  const list = schema[name] ?? [];
  if (!Array.isArray(list) || name in schema && list.length === 0) {
    throw new UserError(`The schema's "${name}" at ${place} must be a list of schemas.`);
  }
  return list.map((inner, i) => ({ schema: inner, place: `${place}/${name}/${i}` }));
}

/** What a $ref names inside the schema. */
export function referred(root: unknown, ref: unknown, place: string): Located {
  if (typeof ref !== "string" || !/^#(?:$|\/)/.test(ref)) {
    throw new UserError(
      `The schema's "$ref" at ${place} is ${
        JSON.stringify(ref)
      }: only places inside the schema ("#/$defs/name") are followed.`,
    );
  }
  const pointer = pointerOf(ref), schema = pointer === undefined ? undefined : pointed(root, pointer);
  if (schema === undefined) {
    throw new UserError(`The schema's "$ref" at ${place} names ${ref}, which is not there.`);
  }
  return { schema, place: pointer! };
}

function pointerOf(ref: string): string | undefined {
  try {
    return decodeURIComponent(ref);
  } catch {
    return undefined;
  }
}
