// Reading the small JSON and text files of a model folder: an absent file is undefined, a broken one is a UserError.

import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";

/** A JSON object as it comes from a file: nothing about its fields is known yet. */
export type JsonObject = Record<string, unknown>;

/** The file's text, or undefined where there is no such file. */
export async function readOptionalText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw fileError(error, path, "read");
  }
}

/** The file's bytes, or undefined where there is no such file. */
export async function readOptionalBytes(path: string): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw fileError(error, path, "read");
  }
}

/** The file's JSON object, or undefined where there is no such file. */
export async function readOptionalJson(path: string): Promise<JsonObject | undefined> {
  const text = await readOptionalText(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${path} is not valid JSON (${(error as Error).message}): fetch the file again.`);
  }
  if (!isObject(value)) throw new UserError(`${path} should hold a JSON object.`);
  return value;
}

/** True for a plain JSON object: not null, not an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
