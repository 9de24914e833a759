// Single values of a GGUF file's metadata, by key and type.
import { UserError } from "../errors.ts";
import type { Metadata } from "./values.ts";

/** Typed values of the metadata; complaints name file and key. */
export interface MetadataReader {
  number(key: string): number | undefined;
  text(key: string): string | undefined;
  flag(key: string): boolean | undefined;
  list<T>(key: string, of: "string" | "number"): T[] | undefined;
}

/** Reads single values. */
export function metadataReader(metadata: Metadata, path: string): MetadataReader {
  const typed = <T>(key: string, type: string): T | undefined => {
    const found = metadata.get(key);
    if (found === undefined) return undefined;
    if (found.type !== "array" && typeof found.value === type) return found.value as T;
    throw new UserError(
      `${path}: ${key} must be a ${type}, but it is ${JSON.stringify(found.value)?.slice(0, 80)}.`,
    );
  };
  return {
    number: (key) => typed(key, "number"),
    text: (key) => typed(key, "string"),
    flag: (key) => typed(key, "boolean"),
    list<T>(key: string, of: string) {
      const found = metadata.get(key);
      if (found === undefined) return undefined;
      if (found.type === "array" && found.value.every((value) => typeof value === of)) {
        return found.value as T[];
      }
      throw new UserError(`${path}: ${key} must be a list of ${of}s.`);
    },
  };
}
