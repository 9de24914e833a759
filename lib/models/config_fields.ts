// Reading the fields of a config.json, each with its own complaint.
import { UserError } from "../errors.ts";

export type Json = Record<string, unknown>;

/** Checked values by name. */
export interface FieldReader {
  /** A whole number from 1 to `most`. */
  size(name: string, most: number, absent?: number): number;
  /** A number above 0. */
  positive(name: string, absent: number): number;
  /** True or false. */
  flag(name: string): boolean;
}

/** Reads single fields; complaints name them. null counts as absent, as in Transformers. */
export function fieldReader(json: Json, where: string): FieldReader {
  const wrong = (name: string, expected: string) =>
    new UserError(
      `${where}: ${name} must be ${expected}, but it is ${JSON.stringify(json[name]) ?? "missing"}.`,
    );
  return {
    size(name: string, most: number, absent?: number): number {
      const value = json[name] ?? absent;
      if (Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= most) return Number(value);
      throw wrong(name, `a whole number from 1 to ${most}`);
    },
    positive(name: string, absent: number): number {
      const value = json[name] ?? absent;
      if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
      throw wrong(name, "a positive number");
    },
    flag(name: string): boolean {
      const value = json[name] ?? false;
      if (typeof value === "boolean") return value;
      throw wrong(name, "true or false");
    },
  };
}

/** One id, a list, or none; -1 stands for none in some old files. */
export function tokenIds(value: unknown, where: string): number[] {
  const ids = value == null ? [] : [value].flat().filter((id) => id !== -1);
  if (ids.every((id) => Number.isSafeInteger(id) && Number(id) >= 0)) return ids as number[];
  throw new UserError(`${where} must be a token id or a list of them, but it is ${JSON.stringify(value)}.`);
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
