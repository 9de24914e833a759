// Which rows a parsed JSON value holds: a list, an object with a list, or columns in the forms that pandas writes.

import { UserError } from "../errors.ts";
import { checkRow, isObject, type Row } from "./row.ts";

/**
 * Rows of a JSON value. Understood are a list of objects; an object with one list of objects (or `field`); columns as lists of
 * one length; and pandas' to_json forms "columns", "index" and "split".
 *
 * @throws UserError naming file and row for anything else
 */
export function rowsOfValue(value: unknown, file: string, field?: string): Row[] {
  const rows = Array.isArray(value)
    ? value
    : field === undefined && isObject(value)
    ? columnRows(value, file) ?? listInside(value, file)
    : listInside(value, file, field);
  rows.forEach((row, i) => checkRow(row, `${file}, row ${i}`));
  return rows;
}

function listInside(value: unknown, file: string, field?: string): Row[] {
  const lists = Object.entries(value ?? {}).filter(([, inner]) => Array.isArray(inner)) as [string, Row[]][];
  const wanted = field === undefined ? lists : lists.filter(([name]) => name === field);
  if (wanted.length === 1) return wanted[0][1];
  const names = lists.map(([name]) => `"${name}"`).join(", ");
  if (field !== undefined) {
    throw new UserError(`${file} has no list "${field}"; its lists: ${names || "none"}.`);
  }
  throw new UserError(
    lists.length === 0
      ? `${file} holds neither a list of rows nor an object with one.`
      : `${file} holds several lists: say which one with { field } (${names}).`,
  );
}

function columnRows(value: Row, file: string): Row[] | undefined {
  const { columns, data } = value;
  if (Array.isArray(columns) && Array.isArray(data) && data.every(Array.isArray)) {
    return data.map((cells: unknown[], i) => {
      if (cells.length === columns.length) return rowOf(columns, (_, at) => cells[at]);
      throw new UserError(
        `${file}, row ${i}: ${cells.length} fields where there are ${columns.length} columns.`,
      );
    });
  }
  const names = Object.keys(value), inner = Object.values(value);
  if (names.length === 0) return undefined;
  if (inner.every((list) => Array.isArray(list) && list.length > 0 && !isObject(list[0]))) {
    const short = names.find((name) => value[name].length !== inner[0].length);
    if (short === undefined) {
      return inner[0].map((_: unknown, i: number) => rowOf(names, (name) => value[name][i]));
    }
    throw new UserError(
      `${file}: the column "${short}" has ${value[short].length} values where "${names[0]}" has ${
        inner[0].length
      }.`,
    );
  }
  if (!inner.every(isObject)) return undefined;
  const numbered = (object: Row) => Object.keys(object).every((key) => /^\d+$/.test(key));
  if (numbered(value)) return inner;
  if (!numbered(inner[0])) return undefined;
  return Object.keys(inner[0]).map((index) => rowOf(names, (name) => value[name][index]));
}

function rowOf(names: string[], valueOf: (name: string, at: number) => unknown): Row {
  return Object.fromEntries(names.map((name, at) => [name, valueOf(name, at)]));
}
