// From a name to a Dataset: which files the name means, and how each kind of file is read.

import { basename, extname, join } from "@std/path";
import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";
import { parseCsv } from "./csv.ts";
import { Dataset } from "./dataset.ts";
import { datasetFiles, type HubDatasetOptions } from "../hub/dataset.ts";
import { isHubName } from "../hub/names.ts";
import type { Row } from "./row.ts";

/** Options of {@linkcode loadDataset}. */
export interface LoadOptions extends HubDatasetOptions {
  /** For a JSON object that holds several lists: which field is the list of rows. */
  field?: string;
  /** How the text is encoded (default "utf-8"), as TextDecoder names it: "latin1", "utf-16le" ... */
  encoding?: string;
  /** What stands between the fields of a CSV file (default "," and for .tsv the tab). */
  delimiter?: string;
}

type Reader = (bytes: Uint8Array, file: string, options: LoadOptions) => Row[] | Promise<Row[]>;

const READERS: Record<string, Reader> = {
  ".json": readJson,
  ".jsonl": readJsonLines,
  ".ndjson": readJsonLines,
  ".csv": (bytes, file, options) => parseCsv(decode(bytes, file, options), file, options.delimiter ?? ","),
  ".tsv": (bytes, file, options) => parseCsv(decode(bytes, file, options), file, options.delimiter ?? "\t"),
};
const KINDS = Object.keys(READERS).join(", ");
const LONGEST_TEXT = 2 ** 29 - 24; // a JavaScript string holds no more characters

/**
 * Loads rows from a file, or from all such files directly in a folder, in the order of their names: .json (a list of objects,
 * or an object that holds one), .jsonl or .ndjson (an object a line), .csv and .tsv (with a header; every value is text).
 *
 * @param source path of the file or folder
 * @param options see {@linkcode LoadOptions}
 * @returns an immutable {@linkcode Dataset}, named after the source for messages
 * @throws UserError naming file, line and field: no such file, malformed JSON, a CSV row of another length, text in another
 *   encoding, no rows at all
 *
 * @example
 * ```ts
 * import { loadDataset } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const path = await Deno.makeTempFile({ suffix: ".jsonl" });
 * await Deno.writeTextFile(path, '{"instruction":"Define yield.","output":"Income over price."}\n'.repeat(3));
 * const rows = await loadDataset(path);
 * assert.equal(rows.length, 3);
 * assert.equal(rows.dedupe("instruction").at(0).output, "Income over price.");
 * ```
 */
export async function loadDataset(source: string, options: LoadOptions = {}): Promise<Dataset<Row>> {
  const rows: Row[] = [];
  for (const path of await findFiles(source, options)) {
    for (const row of await readRows(path, options)) rows.push(row);
  }
  if (rows.length === 0) throw new UserError(`${source} holds no rows.`);
  return new Dataset(rows, basename(source));
}

/** The files that a source means. Names of data sets on the Hub and URLs would be resolved to local files here. */
async function findFiles(source: string, options: LoadOptions): Promise<string[]> {
  const found = await statOf(source);
  if (!found && isHubName(source)) return await datasetFiles(source, options);
  if (!found) {
    throw new UserError(
      `${source} is neither a file nor a folder here; give the path of a ${KINDS} file or of a folder of them, or "owner/name" of a data set on the Hub.`,
    );
  }
  if (!found.isDirectory) return [source];
  const names: string[] = [];
  for await (const entry of Deno.readDir(source)) {
    if (entry.isFile && extname(entry.name).toLowerCase() in READERS) names.push(entry.name);
  }
  if (names.length === 0) throw new UserError(`the folder ${source} holds no ${KINDS} file.`);
  return names.sort().map((name) => join(source, name));
}

async function statOf(source: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(source);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw fileError(error, source, "read");
  }
}

async function readRows(path: string, options: LoadOptions): Promise<Row[]> {
  const read = READERS[extname(path).toLowerCase()];
  if (!read) {
    throw new UserError(`${path}: the ending says nothing that can be read; it should be one of ${KINDS}.`);
  }
  const bytes = await Deno.readFile(path).catch((error) => {
    throw fileError(error, path, "read");
  });
  return await read(bytes, path, options);
}

/** Rows of a JSON text: a list, an object that holds one, or (as many .json files on the web are) an object a line. */
function readJson(bytes: Uint8Array, file: string, options: LoadOptions): Row[] {
  const text = decode(bytes, file, options);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (parsesAsObject(text.slice(0, text.indexOf("\n")))) return readJsonLines(bytes, file, options);
    throw new UserError(`${file} is not valid JSON: ${(error as Error).message}.`);
  }
  const rows = Array.isArray(value) ? value : listInside(value, file, options.field);
  rows.forEach((row, i) => checkRow(row, `${file}, row ${i}`));
  return rows;
}

function listInside(value: unknown, file: string, field: string | undefined): Row[] {
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

/** An object a line. Lines are cut from the bytes, so that a file may be larger than the longest string. */
function readJsonLines(bytes: Uint8Array, file: string, options: LoadOptions): Row[] {
  if (/16/.test(options.encoding ?? "")) {
    throw new UserError(`${file}: lines of JSON are read in UTF-8 or one-byte encodings only.`);
  }
  const rows: Row[] = [];
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const end = bytes.indexOf(10, start);
    const text = decode(
      bytes.subarray(start, end < 0 ? bytes.length : end),
      `${file}, line ${line}`,
      options,
    );
    if (text.trim() !== "") rows.push(parseLine(text, `${file}, line ${line}`));
    start = end < 0 ? bytes.length : end + 1;
  }
  return rows;
}

function parseLine(text: string, where: string): Row {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${where} is not valid JSON: ${(error as Error).message}.`);
  }
  checkRow(value, where);
  return value as Row;
}

function checkRow(value: unknown, where: string): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UserError(`${where} is ${JSON.stringify(value)?.slice(0, 40)}, not an object with fields.`);
  }
}

function parsesAsObject(line: string): boolean {
  try {
    return typeof JSON.parse(line) === "object";
  } catch {
    return false;
  }
}

function decode(bytes: Uint8Array, where: string, options: LoadOptions): string {
  if (bytes.length > LONGEST_TEXT) {
    throw new UserError(`${where} is larger than 512 MB: convert it to .jsonl, which is read line by line.`);
  }
  const encoding = options.encoding ?? "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof RangeError) throw new UserError(`the encoding "${encoding}" is not known.`);
    throw new UserError(
      `${where} is not ${encoding} text: say how it is encoded, for example { encoding: "latin1" }.`,
    );
  }
}
