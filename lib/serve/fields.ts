// Checking the fields of a request: each is there or not, of one type and in one range, or the request is refused by name.
import { isObject } from "../data/row.ts";
import { Refusal } from "./errors.ts";

/** A JSON object of which nothing is known yet. */
export type Fields = Readonly<Record<string, unknown>>;

/** Throws the refusal of a field. */
export function refuse(param: string, wanted: string): never {
  throw new Refusal(400, `${param} must be ${wanted}.`, { param, code: "invalid_value" });
}

/** No request is nested so deeply; what walks through one may count on it. */
const MOST_NESTED = 100;

/** The brackets that are open at the deepest place of a JSON text. */
function nesting(text: string): number {
  let open = 0, most = 0, inText = false;
  for (let i = 0; i < text.length; i++) {
    const letter = text.charCodeAt(i);
    if (inText && letter === 0x5c) i++; // a backslash and what it is before
    else if (letter === 0x22) inText = !inText;
    else if (inText) continue;
    else if (letter === 0x5b || letter === 0x7b) most = Math.max(most, ++open);
    else if (letter === 0x5d || letter === 0x7d) open--;
  }
  return most;
}

/** The request's body as an object. */
export function parseBody(text: string): Fields {
  if (nesting(text) > MOST_NESTED) {
    throw new Refusal(400, `The body is nested deeper than ${MOST_NESTED} levels.`);
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Refusal(400, "The body is no valid JSON.");
  }
  if (!isObject(body)) throw new Refusal(400, "The body must be a JSON object.");
  return body;
}

/** A field that is absent or null is undefined. */
function given(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] ?? undefined : undefined;
}

export function numberField(
  fields: Fields,
  name: string,
  { least, most, whole = false }: { least: number; most: number; whole?: boolean },
): number | undefined {
  const value = given(fields, name);
  if (value === undefined) return undefined;
  const fits = typeof value === "number" && value >= least && value <= most &&
    (!whole || Number.isSafeInteger(value));
  return fits ? value : refuse(name, `a ${whole ? "whole " : ""}number from ${least} to ${most}`);
}

export function booleanField(fields: Fields, name: string): boolean | undefined {
  const value = given(fields, name);
  return value === undefined || typeof value === "boolean" ? value : refuse(name, "true or false");
}

export function textField(fields: Fields, name: string): string | undefined {
  const value = given(fields, name);
  return value === undefined || typeof value === "string" ? value : refuse(name, "a text");
}

export function objectField(fields: Fields, name: string): Fields | undefined {
  const value = given(fields, name);
  return value === undefined || isObject(value) ? value : refuse(name, "an object");
}

export function listField(fields: Fields, name: string): unknown[] | undefined {
  const value = given(fields, name);
  return value === undefined || Array.isArray(value) ? value : refuse(name, "a list");
}

/** Refuses a field that asks for something that is not done here, rather than answer something else. */
export function unsupported(fields: Fields, name: string, harmless: (value: unknown) => boolean): void {
  const value = given(fields, name);
  if (value === undefined || harmless(value)) return;
  throw new Refusal(400, `${name} is not supported by this server.`, {
    param: name,
    code: "unsupported_value",
  });
}
