// CSV: rows from text and text from rows. Every value read is text; nothing guesses types.

import { UserError } from "../errors.ts";
import type { Row } from "./row.ts";

/**
 * Parses CSV with a header line into rows of text fields.
 *
 * @param text the whole file
 * @param file its name, for messages
 * @param delimiter what stands between fields
 * @throws UserError for a row with more or fewer fields than the header, an unclosed quote, a repeated or empty column name
 */
export async function parseCsv(text: string, file: string, delimiter: string): Promise<Row[]> {
  const { CsvError, parse } = await import("csv-parse/sync");
  let records: string[][];
  try {
    records = parse(text, { delimiter, bom: true, skip_empty_lines: true });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new UserError(csvMessage(error, file));
  }
  const [header, ...rows] = records;
  if (!header) throw new UserError(`${file} is empty: a CSV file begins with a line of column names.`);
  header.forEach((name, i) => {
    if (name.trim() === "") throw new UserError(`${file}: column ${i + 1} has no name in the header.`);
    if (header.indexOf(name) !== i) {
      throw new UserError(`${file}: the header names the column "${name}" twice.`);
    }
  });
  return rows.map((fields) => Object.fromEntries(fields.map((value, i) => [header[i], value])));
}

function csvMessage(error: Error & Record<string, unknown>, file: string): string {
  const where = `${file}, line ${error.lines ?? "?"}`;
  if (error.code === "CSV_RECORD_INCONSISTENT_FIELDS_LENGTH" && Array.isArray(error.record)) {
    const expected = /expect (\d+)/.exec(error.message)?.[1] ?? "another number";
    return `${where}: ${error.record.length} fields where the header has ${expected}; quote fields that hold the delimiter or a line break.`;
  }
  if (error.code === "CSV_QUOTE_NOT_CLOSED") {
    return `${file}: a quote is opened and never closed (the file ends at line ${error.lines}).`;
  }
  return `${where}: ${error.message}.`;
}

/**
 * Writes rows as CSV: the columns are all fields in the order of their first appearance, an absent or null field is empty.
 *
 * @throws UserError for a field that a cell cannot hold (an object or a list)
 */
export function formatCsv(rows: Iterable<Row>, path: string): string {
  const all = [...rows];
  const columns = [...new Set(all.flatMap((row) => Object.keys(row)))];
  const lines = all.map((row, i) =>
    columns.map((column) => quoted(cell(row[column], `${path}, row ${i}, field "${column}"`)))
  );
  return [columns.map(quoted), ...lines].map((fields) => fields.join(",") + "\n").join("");
}

function cell(value: unknown, where: string): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "object") {
    throw new UserError(`${where}: CSV cannot hold an object or a list; save as .jsonl instead.`);
  }
  return String(value);
}

function quoted(text: string): string {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
