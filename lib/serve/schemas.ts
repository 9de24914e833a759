// response_format: a schema becomes a constraint once, and is kept for the next request with the same schema.
import { UserError } from "../errors.ts";
import type { Context } from "./handler.ts";

export function schemaConstraints(): Context["schemaConstraint"] {
  return () => Promise.reject(new UserError("This server cannot hold answers to a schema."));
}
