// CSV: rows from text, and a cell's text from a value. Every value read is text; nothing guesses types.

import type { InfoRecord, Options } from "csv-parse/sync";
import { UserError } from "../errors.ts";
import type { Row } from "./row.ts";
import { countLines } from "./text.ts";

/** How a CSV text is cut into fields. */
export interface CsvOptions {
  delimiter: string;
  /** null: quotes are ordinary characters. */
  quote: string | null;
}

// Named, since csv-parse would take the first it sees for all: a file that was put together of others has several kinds.
const LINE_ENDS = ["\r\n", "\n", "\r"];
const LONGEST_RECORD = 2 ** 26; // characters: a quote that is never closed must not swallow a file of any size

/**
 * Parses CSV with a header line into rows of text fields, in blocks. Empty lines are passed over; in a file of one column,
 * where they are empty cells, only those at its end.
 *
 * @param text the file's text in pieces
 * @param file its name, for messages
 * @throws UserError for a row with more or fewer fields than the header, an unclosed quote, a repeated or empty column name
 */
export async function* readCsv(
  text: AsyncIterable<string>,
  file: string,
  options: CsvOptions,
): AsyncGenerator<Row[]> {
  const { CsvError, parse } = await import("csv-parse/sync");
  const parsed = (part: Part, more: Record<string, unknown>) => {
    try {
      return parse(
        part.text,
        {
          ...options,
          escape: options.quote,
          record_delimiter: LINE_ENDS,
          relax_column_count: true,
          ...more,
        } as Options,
      ) as unknown[];
    } catch (error) {
      if (error instanceof CsvError) throw new UserError(csvMessage(error, file, part, options.quote));
      throw error;
    }
  };
  let columns: string[] | undefined;
  const blanks = { held: 0 };
  for await (const part of wholeRecords(text, options.quote, file)) {
    const header = columns ? undefined : parsed(part, { to: 1, skip_empty_lines: true })[0] as string[];
    columns ??= header && checkedHeader(header, file, options.delimiter);
    if (!columns) continue; // nothing but empty lines so far
    const onRecord = rowMaker(columns, header !== undefined, file, part, options.quote);
    if (columns.length > 1) yield parsed(part, { on_record: onRecord, skip_empty_lines: true }) as Row[];
    else yield keepBlanks(parsed(part, { on_record: onRecord, cast: unquotedEmpty }) as Row[], blanks);
  }
  if (!columns) throw new UserError(`${file} is empty: a CSV file begins with a line of column names.`);
}

interface Part {
  text: string;
  /** The number of its first line. */
  line: number;
}

// Cuts between records: at the last line end that an even number of quotes stands before.
async function* wholeRecords(
  text: AsyncIterable<string>,
  quote: string | null,
  file: string,
): AsyncGenerator<Part> {
  let open: string[] = [], length = 0, odd = false, line = 1;
  for await (const piece of text) {
    if (quote !== null) odd = odd !== (count(piece, quote) % 2 === 1);
    const end = recordEnd(piece, quote, odd);
    length += piece.length;
    if (end === 0 && length > LONGEST_RECORD) {
      throw new UserError(
        `${file}, line ${line}: a record of more than 64 MB begins here; is a quote opened and never closed? { quote: false } reads quotes as they are.`,
      );
    }
    if (end > 0) {
      const whole = open.join("") + piece.slice(0, end);
      yield { text: whole, line };
      line += countLines(whole);
      open = [];
      length = piece.length - end;
    }
    open.push(end > 0 ? piece.slice(end) : piece);
  }
  const last = open.join("");
  if (last !== "") yield { text: last, line };
}

function recordEnd(piece: string, quote: string | null, odd: boolean): number {
  for (let to = piece.length;; odd = !odd) {
    const from = quote === null || to === 0 ? -1 : piece.lastIndexOf(quote, to - 1);
    const end = odd || to === 0 ? -1 : piece.lastIndexOf("\n", to - 1);
    if (end > from) return end + 1;
    if (from < 0) return 0;
    to = from;
  }
}

function count(text: string, what: string): number {
  let found = 0;
  for (let at = text.indexOf(what); at >= 0; at = text.indexOf(what, at + what.length)) found++;
  return found;
}

function checkedHeader(header: string[], file: string, delimiter: string): string[] {
  header.forEach((name, i) => {
    if (name.trim() === "") throw new UserError(`${file}: column ${i + 1} has no name in the header.`);
    if (name === "__proto__") throw new UserError(`${file}: a column cannot be named "__proto__".`);
    if (header.indexOf(name) !== i) {
      throw new UserError(`${file}: the header names the column "${name}" twice.`);
    }
  });
  const other = [";", "\t", ","].find((mark) => mark !== delimiter && header[0].includes(mark));
  if (header.length === 1 && other) {
    throw new UserError(
      `${file}: the header is one column named ${JSON.stringify(header[0].slice(0, 60))}; give { delimiter: ${
        JSON.stringify(other)
      } } if that is what stands between its fields, or rename it.`,
    );
  }
  return header;
}

function rowMaker(columns: string[], withHeader: boolean, file: string, part: Part, quote: string | null) {
  let header = withHeader;
  return (fields: (string | null)[], { records }: InfoRecord): Row | null => {
    if (header) {
      header = fields[0] === null; // an empty line before the header of a single column
      return null;
    }
    if (fields.length !== columns.length) {
      throw new UserError(
        `${file}, line ${
          lineOf(part, records, quote)
        }: ${fields.length} fields where the header has ${columns.length}; quote fields that hold the delimiter or a line break.`,
      );
    }
    const row: Row = {};
    for (let i = 0; i < columns.length; i++) row[columns[i]] = fields[i];
    return row;
  };
}

// In a single column an empty line and a quoted empty cell mean different things at the end of the file.
const unquotedEmpty: Options["cast"] = (value, { quoting }) => value === "" && !quoting ? null : value;

function keepBlanks(rows: Row[], blanks: { held: number }): Row[] {
  const kept: Row[] = [];
  for (const row of rows) {
    const [column] = Object.keys(row);
    if (row[column] === null) {
      blanks.held++;
      continue;
    }
    for (; blanks.held > 0; blanks.held--) kept.push({ [column]: "" });
    kept.push(row);
  }
  return kept;
}

function csvMessage(
  error: Error & Record<string, unknown>,
  file: string,
  part: Part,
  quote: string | null,
): string {
  const where = `${file}, line ${lineOf(part, Number(error.records ?? 0) + 1, quote)}`;
  if (error.code === "CSV_QUOTE_NOT_CLOSED") {
    return `${where}: a quote is opened and never closed; { quote: false } reads quotes as they are.`;
  }
  const reason = error.message.replaceAll(/\s+/g, " ").replace(/ at line \d+/, "").replace(/\.$/, "").slice(
    0,
    200,
  );
  return `${where}: ${reason}; { quote: false } reads quotes as they are.`;
}

// The line that a record begins on; csv-parse counts some line ends inside quotes twice.
function lineOf(part: Part, record: number, quote: string | null): number {
  let odd = false, found = 0, start = 0;
  const lines = part.text.split("\n");
  for (const [i, text] of lines.entries()) {
    if (!odd) start = i;
    if (quote !== null) odd = odd !== (count(text, quote) % 2 === 1);
    if (!odd && (start < i || text.trim() !== "") && ++found === record) break;
  }
  return part.line + start;
}

/** Where lines of CSV go, for messages, and what stands between their cells. */
interface CsvTarget {
  path: string;
  /** The number of the first row. */
  first: number;
  delimiter: string;
}

/**
 * Rows as lines of CSV. An absent or null field is empty; a single column's empty cell is quoted, since an empty line would
 * pass for none.
 *
 * @throws UserError for a field that a cell cannot hold (an object or a list) or that has no column
 */
export function csvLines(rows: readonly Row[], columns: string[], target: CsvTarget): string {
  const known = new Set(columns);
  return rows.map((row, i) => {
    const where = (column: string) => `${target.path}, row ${target.first + i}, field "${column}"`;
    const unknown = Object.keys(row).find((column) => !known.has(column));
    if (unknown !== undefined) {
      throw new UserError(
        `${where(unknown)}: no such column was seen in the first rows; name all columns with { columns }.`,
      );
    }
    const cells = columns.map((column) => quoted(cell(row[column], where(column)), target.delimiter));
    return (cells.length === 1 && cells[0] === "" ? '""' : cells.join(target.delimiter)) + "\n";
  }).join("");
}

/** The header line. */
export function csvHeader(columns: string[], delimiter: string): string {
  return columns.map((name) => quoted(name, delimiter)).join(delimiter) + "\n";
}

function cell(value: unknown, where: string): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "object") {
    throw new UserError(`${where}: CSV cannot hold an object or a list; save as .jsonl instead.`);
  }
  return String(value);
}

function quoted(text: string, delimiter: string): string {
  const special = /["\r\n]|^\s|\s$/.test(text) || text.includes(delimiter);
  return special ? `"${text.replaceAll('"', '""')}"` : text;
}
