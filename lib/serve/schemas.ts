// response_format: a schema becomes a constraint once, and is kept for the next requests with the same schema.
import type { ConstraintSource } from "../generate/constraint.ts";
import { boundedMap } from "../text/bounded_map.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { EngineOptions } from "./engine.ts";

/** So many schemas of a tokenizer are kept: masks of one take up to some tens of megabytes. */
const kept = 4;

export function schemaConstraints(): EngineOptions["schemaConstraint"] {
  const known = new WeakMap<Tokenizer, ReturnType<typeof boundedMap<string, Promise<ConstraintSource>>>>();
  return async (tokenizer, schema) => {
    const { jsonSchemaConstraint } = await import("../grammar/grammar.ts");
    const own = known.get(tokenizer) ?? boundedMap<string, Promise<ConstraintSource>>(kept);
    known.set(tokenizer, own);
    const text = JSON.stringify(schema);
    const source = own.get(text) ?? jsonSchemaConstraint(tokenizer, schema);
    own.set(text, source);
    return await source;
  };
}
