// From a name to rows: which files the name means, and how each kind of file is read.

import { checkName } from "../arguments.ts";
import { basename } from "@std/path";
import { UserError } from "../errors.ts";
import { type ByteLimits, openBytes } from "./bytes.ts";
import { readCsv } from "./csv.ts";
import type { Dataset } from "./dataset.ts";
import { isURL } from "./download.ts";
import { fileOf, KINDS, localFiles, remoteFile } from "./files.ts";
import { readJson, readJsonLines } from "./json.ts";
import type { DataFile, LoadOptions, ReadOptions } from "./options.ts";
import { readParquet } from "./parquet.ts";
import { readText } from "./plain_text.ts";
import { datasetFiles } from "../hub/dataset.ts";
import { isHubName } from "../hub/names.ts";
import type { Row } from "./row.ts";
import { RowStream } from "./stream.ts";
import { decodeText } from "./text.ts";

export type { LoadOptions } from "./options.ts";

/**
 * Loads rows into memory: from a file, a folder (also nested), a glob such as "rows/*.jsonl", a URL, a list of files, or
 * "owner/name" of a data set on the Hub (its `revision`, `subset` and `split`), which is kept in huggingface_hub's cache.
 *
 * Read are .json (a list of objects, an object that holds one, columns as pandas writes them), .jsonl or .ndjson (an object a
 * line), .csv and .tsv (with a header; every value is text), .parquet (all codecs; integers are numbers where they are exact,
 * else bigint; timestamps are ISO text), .txt and .md (see `sampleBy`), each also packed with gzip. Files of a folder or glob
 * follow in the order of their names.
 *
 * @param source path, glob, URL or name on the Hub, or several files
 * @param options see {@linkcode LoadOptions}
 * @returns an immutable {@linkcode Dataset}, named after the source for messages
 * @throws UserError naming file, line or row, and field: no such file, malformed JSON, a CSV row of another length, damaged
 *   Parquet or gzip, text in another encoding, no rows at all, a file larger than `maxBytes`, a compressed file that unpacks
 *   to more than `maxExpansion` times its size
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
export async function loadDataset(
  source: string | string[],
  options: LoadOptions = {},
): Promise<Dataset<Row>> {
  return await streamDataset(source, { maxBytes: 2 ** 30, ...options }).collect();
}

/**
 * Rows of the same sources as {@linkcode loadDataset}, read as they are needed, so that files larger than memory can be
 * changed and saved. Nothing is read, or complained about, before the rows are asked for.
 *
 * Kept in memory is a piece of the file (256 KB; of a .json file up to 32 MB; of Parquet a row group; of Parquet behind a URL or
 * in gzip the file).
 *
 * @example
 * ```ts
 * import { loadDataset, streamDataset } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${folder}/all.csv`, "question,answer\nbond?,a loan\nshare?,\nbond?,a loan\n");
 * const written = await streamDataset(`${folder}/all.csv`)
 *   .filter((row) => row.answer !== "")
 *   .dedupe("question")
 *   .save(`${folder}/clean.jsonl.gz`);
 * assert.equal(written, 1);
 * assert.equal((await loadDataset(`${folder}/clean.jsonl.gz`)).at(0).answer, "a loan");
 * ```
 */
export function streamDataset(source: string | string[], options: LoadOptions = {}): RowStream<Row> {
  if (!Array.isArray(source)) checkName("loadDataset", "a file, folder, glob or URL", source);
  const name = typeof source === "string" ? nameOf(source) : `${source.length} files`;
  const limits = {
    ...options,
    maxBytes: options.maxBytes ?? Infinity,
    maxExpansion: options.maxExpansion ?? 1000,
  };
  return RowStream.ofBlocks(() => readSource(source, name, limits), name);
}

async function* readSource(
  source: string | string[],
  name: string,
  options: ReadOptions,
): AsyncGenerator<Row[]> {
  let any = false;
  for (const file of await findFiles(source, options)) {
    for await (const rows of readFile(file, options)) {
      any ||= rows.length > 0;
      yield rows;
    }
  }
  if (!any) throw new UserError(`${name} holds no rows.`);
}

/** The files that a source means. Names of data sets on the Hub are resolved to local files here. */
async function findFiles(source: string | string[], options: LoadOptions): Promise<DataFile[]> {
  if (typeof source !== "string") {
    if (source.length === 0) throw new UserError("loadDataset is given an empty list of files.");
    for (const path of source) checkName("loadDataset", "the path of each file", path);
    return source.map((path) => fileOf(path, options));
  }
  if (isURL(source)) return [await remoteFile(source, options)];
  const found = await localFiles(source, options);
  if (found) return found;
  if (isHubName(source)) return (await datasetFiles(source, options)).map((path) => fileOf(path, options));
  throw new UserError(
    `${source} is neither a file nor a folder here; give the path of a ${KINDS} file or of a folder of them, or "owner/name" of a data set on the Hub.`,
  );
}

function readFile(file: DataFile, options: ReadOptions): AsyncIterable<Row[]> {
  const { path, kind } = file;
  if (kind === ".parquet") return readParquet(path, options);
  const guess = !kind.startsWith(".json") && kind !== ".ndjson"; // JSON is UTF-8 by its standard
  const text = decodeText(openBytes(path, options as ByteLimits), path, {
    encoding: options.encoding,
    guess,
  });
  const quote = options.quote === undefined ? '"' : options.quote || null;
  switch (kind) {
    case ".json":
      return readJson(text, path, options.field);
    case ".csv":
    case ".tsv":
      return readCsv(text, path, { delimiter: options.delimiter ?? (kind === ".csv" ? "," : "\t"), quote });
    case ".txt":
    case ".md":
      return readText(text, path, options.sampleBy);
    default:
      return readJsonLines(text, path);
  }
}

function nameOf(source: string): string {
  return basename(isURL(source) ? URL.parse(source)?.pathname || source : source) || source;
}
