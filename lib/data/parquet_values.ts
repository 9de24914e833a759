// Parquet's types as values that JSON, prompts and comparisons know: numbers where they are exact, text for dates.

import type { SchemaTree } from "hyparquet";
import { DEFAULT_PARSERS } from "hyparquet/src/convert.js";

const strict = new TextDecoder("utf-8", { fatal: true });
const isoDay = (ms: number) => new Date(ms).toISOString().slice(0, 10);

function isoTime(ticks: bigint, perSecond: bigint, digits: number): string {
  const second = BigInt.asIntN(64, ticks) / perSecond - (ticks % perSecond < 0n ? 1n : 0n);
  const fraction = (ticks - second * perSecond).toString().padStart(digits, "0");
  return `${new Date(Number(second) * 1000).toISOString().slice(0, -5)}.${
    fraction.slice(0, Math.max(3, digits))
  }Z`;
}

/** How hyparquet shall turn raw values into ours: timestamps keep all their digits, text must be UTF-8. */
export const PARSERS: typeof DEFAULT_PARSERS = {
  ...DEFAULT_PARSERS,
  timestampFromMilliseconds: (value) => isoTime(BigInt(value), 1000n, 3),
  timestampFromMicroseconds: (value) => isoTime(BigInt(value), 1_000_000n, 6),
  timestampFromNanoseconds: (value) => isoTime(BigInt(value), 1_000_000_000n, 9),
  dateFromDays: (days) => isoDay(days * 86_400_000),
  stringFromBytes: (bytes) => bytes && strict.decode(bytes),
  jsonFromBytes: (bytes) => bytes && JSON.parse(strict.decode(bytes)),
};

/** Changes a value of a column into what a row holds; undefined where nothing needs to change but a missing value. */
export type Finish = (value: unknown) => unknown;

/** What is left to do with a column's values: 64-bit integers, decimals, bytes that are text, missing values. */
export function finisher(node: SchemaTree): Finish {
  const { type, converted_type: kind, logical_type: logical, scale = 0 } = node.element;
  if (node.children.length > 0) return nested(node);
  if (kind === "DECIMAL" || logical?.type === "DECIMAL") {
    return each((value) => typeof value === "number" ? Number(value.toFixed(Math.min(100, scale))) : value);
  }
  if (type === "INT64" || logical?.type === "TIME") return each(safeNumber);
  // Older writers store text without saying so.
  if (type === "BYTE_ARRAY") return each((value) => value instanceof Uint8Array ? textOrBytes(value) : value);
  return each((value) => value);
}

// Repeated fields come as lists of the values of one node.
function each(change: Finish): Finish {
  const finish: Finish = (value) =>
    value === undefined || value === null ? null : Array.isArray(value) ? value.map(finish) : change(value);
  return finish;
}

// hyparquet gives lists as arrays, structs and maps as objects, without the nodes that only hold them together.
function nested(node: SchemaTree): Finish {
  const kind = node.element.converted_type ?? node.element.logical_type?.type;
  if (kind === "LIST") {
    const item = node.children[0];
    return finisher(item.children.length === 1 && !isStruct(item) ? item.children[0] : item);
  }
  if (kind === "MAP" || kind === "MAP_KEY_VALUE") {
    const value = finisher(node.children[0].children.at(-1)!);
    return each((map) =>
      Object.fromEntries(Object.entries(map as object).map(([key, inner]) => [key, value(inner)]))
    );
  }
  const fields = node.children.map((child) => [child.element.name, finisher(child)] as const);
  return each((struct) =>
    Object.fromEntries(
      fields.map(([name, finish]) => [name, finish((struct as Record<string, unknown>)[name])]),
    )
  );
}

// A list's repeated group of one field is the struct itself when it is named like one (Parquet's backward compatibility).
function isStruct(item: SchemaTree): boolean {
  return item.element.name === "array" || item.element.name.endsWith("_tuple");
}

function safeNumber(value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function textOrBytes(bytes: Uint8Array): string | Uint8Array {
  try {
    return strict.decode(bytes);
  } catch {
    return bytes.slice(); // a copy: the page it lies in may go
  }
}
