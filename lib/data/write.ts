// Rows as a file's bytes, in pieces: .jsonl, .json, .csv, .tsv, each also as .gz.

import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { csvHeader, csvLines } from "./csv.ts";
import { isObject, type Row } from "./row.ts";

/** Options of `save`. */
export interface SaveOptions {
  /** Replace a file that is already there (default false). */
  overwrite?: boolean;
  /** The columns of a CSV file and their order (default: all fields in the order of their first appearance). */
  columns?: string[];
}

type Blocks = AsyncIterable<readonly unknown[]>;

/** Writes rows to a file, whole or not at all; gives how many. */
export async function saveRows(blocks: Blocks, path: string, options: SaveOptions = {}): Promise<number> {
  const packed = /\.gz$/i.test(path);
  const format = /\.(jsonl|ndjson|json|csv|tsv)$/i.exec(packed ? path.slice(0, -3) : path)?.[1].toLowerCase();
  if (!format) {
    throw new UserError(
      `${path}: rows are saved as .jsonl, .json, .csv or .tsv, each also with .gz behind it.`,
    );
  }
  const count = { rows: 0 };
  const text = format === "json"
    ? jsonList(blocks, path, count)
    : format === "csv" || format === "tsv"
    ? csvText(blocks, path, count, format === "csv" ? "," : "\t", options.columns)
    : jsonLines(blocks, path, count);
  const bytes = encoded(text);
  const pieces = packed ? ReadableStream.from(bytes).pipeThrough(new CompressionStream("gzip")) : bytes;
  await writeFileAtomic(path, pieces, { overwrite: options.overwrite ?? false });
  return count.rows;
}

async function* encoded(text: AsyncIterable<string>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  for await (const piece of text) if (piece !== "") yield encoder.encode(piece);
}

async function* jsonLines(blocks: Blocks, path: string, count: { rows: number }): AsyncGenerator<string> {
  for await (const block of blocks) {
    yield block.map((row, i) => jsonOf(row, path, count.rows + i) + "\n").join("");
    count.rows += block.length;
  }
}

async function* jsonList(blocks: Blocks, path: string, count: { rows: number }): AsyncGenerator<string> {
  for await (const block of blocks) {
    yield block.map((row, i) => (count.rows + i === 0 ? "[\n" : ",\n") + jsonOf(row, path, count.rows + i))
      .join("");
    count.rows += block.length;
  }
  yield count.rows === 0 ? "[]\n" : "\n]\n";
}

function jsonOf(row: unknown, path: string, index: number): string {
  try {
    const text = JSON.stringify(row);
    if (text !== undefined) return text;
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0].replace(/\.$/, "");
    throw new UserError(`${path}, row ${index} cannot be written as JSON: ${reason}.`);
  }
  throw new UserError(`${path}, row ${index} is ${typeof row}, which JSON cannot hold.`);
}

async function* csvText(
  blocks: Blocks,
  path: string,
  count: { rows: number },
  delimiter: string,
  columns?: string[],
): AsyncGenerator<string> {
  for await (const block of blocks) {
    if (block.length === 0) continue;
    const wrong = block.findIndex((row) => !isObject(row));
    if (wrong >= 0) {
      throw new UserError(`${path}, row ${count.rows + wrong} is no object with fields, which CSV needs.`);
    }
    const rows = block as Row[];
    columns ??= columnsOf(rows);
    if (count.rows === 0) yield csvHeader(columns, delimiter);
    yield csvLines(rows, columns, { path, first: count.rows, delimiter });
    count.rows += rows.length;
  }
  if (count.rows === 0 && columns) yield csvHeader(columns, delimiter);
}

/** All fields of some rows in the order of their first appearance. */
export function columnsOf(rows: readonly Row[]): string[] {
  const names = new Set<string>();
  for (const row of rows) for (const name of Object.keys(row)) names.add(name);
  return [...names];
}
