// Parquet: rows of a file, a row group at a time.

import { unzipSync, zstdDecompressSync } from "node:zlib";
import {
  type ColumnMetaData,
  type Compressors,
  parquetMetadataAsync,
  parquetSchema,
  type RowGroup,
  type SchemaTree,
} from "hyparquet";
import { readColumn } from "hyparquet/src/column.js";
import { assembleAsync } from "hyparquet/src/rowgroup.js";
import { getTreePath } from "hyparquet/src/schema.js";
import { UserError } from "../errors.ts";
import { fileError } from "../formats/file_error.ts";
import { checkExpansion, gather, openBytes, refusePointer, tooLarge } from "./bytes.ts";
import { isURL } from "./download.ts";
import type { ReadOptions } from "./options.ts";
import { checkPages } from "./parquet_pages.ts";
import { finisher, PARSERS } from "./parquet_values.ts";
import type { Row } from "./row.ts";

const BLOCK = 1024;
const VALUE_BYTES = 32; // what a decoded value takes at least: a run of a million equal ones is a few bytes in the file

interface Bytes {
  byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer> | ArrayBuffer;
}

/**
 * Rows of a Parquet file in blocks. All codecs and nested types; missing values are null, 64-bit integers are numbers where
 * those are exact and bigint elsewhere, decimals numbers, dates and timestamps ISO text (in UTC), binary fields that are no
 * UTF-8 bytes.
 *
 * @throws UserError naming the file, and row group and column, for damage and for files that unpack beyond the limits
 */
export async function* readParquet(path: string, options: ReadOptions): AsyncGenerator<Row[]> {
  const start = isURL(path) ? undefined : await startOf(path);
  if (start) refusePointer(start, path);
  const packed = !start || start[0] === 0x1f && start[1] === 0x8b;
  if (packed) {
    const { buffer } = await gather(openBytes(path, options));
    return yield* readFrom(
      { byteLength: buffer.byteLength, slice: (a, b) => buffer.slice(a, b) },
      path,
      options,
    );
  }
  using file = await openFile(path);
  yield* readFrom(
    { byteLength: (await file.stat()).size, slice: (a, b) => readRange(file, a, b) },
    path,
    options,
  );
}

async function openFile(path: string): Promise<Deno.FsFile> {
  return await Deno.open(path).catch((error) => {
    throw fileError(error, path, "read");
  });
}

async function startOf(path: string): Promise<Uint8Array> {
  using file = await openFile(path);
  const start = new Uint8Array(40);
  await file.read(start).catch((error) => {
    throw fileError(error, path, "read");
  });
  return start;
}

async function readRange(file: Deno.FsFile, start: number, end = Infinity): Promise<ArrayBuffer> {
  const size = Math.min((await file.stat()).size, end) - start;
  const bytes = new Uint8Array(Math.max(0, size));
  await file.seek(start, Deno.SeekMode.Start);
  for (let done = 0; done < bytes.length;) {
    const count = await file.read(bytes.subarray(done));
    if (count === null) throw new Error("the file became shorter while it was read");
    done += count;
  }
  return bytes.buffer;
}

async function* readFrom(file: Bytes, path: string, options: ReadOptions): AsyncGenerator<Row[]> {
  const compressors = await decompressors();
  const { schema, groups } = await attempt(path, async () => {
    if (file.byteLength < 12) throw new Error("it is too short");
    const metadata = await parquetMetadataAsync(file, { geoparquet: false });
    return { schema: parquetSchema(metadata), groups: metadata.row_groups };
  });
  let unpacked = 0;
  const spend = (bytes: number) => {
    unpacked += bytes;
    if (unpacked > options.maxBytes) throw tooLarge(path, options.maxBytes);
    checkExpansion(path, unpacked, file.byteLength, options);
  };
  for (const [number, group] of groups.entries()) {
    const where = `${path}, row group ${number}`;
    const count = Number(group.num_rows);
    const columns: { name: string; values: ArrayLike<unknown>; finish: (value: unknown) => unknown }[] = [];
    for (const node of schema.children) {
      const name = node.element.name;
      if (name === "__proto__") throw new UserError(`${path}: a column cannot be named "__proto__".`);
      const values = await attempt(
        `${where}, column "${name}"`,
        () => readField(file, schema, node, group, compressors, spend),
      );
      if (values.length !== count) {
        throw new UserError(
          `${where}, column "${name}" is damaged: ${values.length} values for ${count} rows.`,
        );
      }
      columns.push({ name, values, finish: finisher(node) });
    }
    for (let start = 0; start < count; start += BLOCK) {
      yield Array.from({ length: Math.min(BLOCK, count - start) }, (_, i) => {
        const row: Row = {};
        for (const { name, values, finish } of columns) row[name] = finish(values[start + i]);
        return row;
      });
    }
  }
}

// Where the platform has a codec of its own, that one: several times as fast, and it stops at the length it is told.
async function decompressors(): Promise<Compressors> {
  const { compressors } = await import("hyparquet-compressors");
  return {
    ...compressors,
    GZIP: (input, length) => unzipSync(input, { maxOutputLength: length }),
    ZSTD: (input, length) => zstdDecompressSync(input, { maxOutputLength: length }),
    LZ4: (input, length) => compressors[inFrames(input) ? "LZ4" : "LZ4_RAW"]!(input, length),
  };
}

// Hadoop's LZ4 frames: [unpacked size, packed size, data]. Its decoder runs in circles where a damaged size is negative.
function inFrames(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + 8 <= bytes.length) at += 8 + view.getUint32(at + 4);
  return at === bytes.length;
}

/** The values of a top-level column, which may have several physical columns below it. */
async function readField(
  file: Bytes,
  schema: SchemaTree,
  node: SchemaTree,
  group: RowGroup,
  unpack: Compressors,
  spend: (bytes: number) => void,
): Promise<ArrayLike<unknown>> {
  const rows = Number(group.num_rows);
  const asyncColumns = [];
  const select = { groupStart: 0, groupRows: rows, selectStart: 0, selectEnd: rows };
  for (const { meta_data: meta, file_path: elsewhere } of group.columns) {
    if (!meta || elsewhere) throw new Error("its columns lie in other files");
    if (meta.path_in_schema[0] !== node.element.name) continue;
    const chunk = await readChunk(file, meta);
    const path = getTreePath(schema, meta.path_in_schema);
    const pages = checkPages(chunk, path, meta.codec, unpack);
    if (rows < 0 || rows > pages.values) throw new Error(`${pages.values} values for ${rows} rows`);
    spend(pages.bytes + pages.values * VALUE_BYTES);
    const element = path[path.length - 1].element;
    const decoder = {
      ...meta,
      pathInSchema: meta.path_in_schema,
      element,
      schemaPath: path,
      parsers: PARSERS,
      compressors: pages.compressors,
      utf8: false,
    };
    const column = readColumn({ view: new DataView(chunk.buffer), offset: 0 }, select, decoder);
    asyncColumns.push({ pathInSchema: meta.path_in_schema, data: Promise.resolve(column) });
  }
  if (asyncColumns.length === 0) throw new Error("it has no values");
  const [assembled] =
    assembleAsync({ ...select, asyncColumns }, { ...schema, children: [node] }, PARSERS).asyncColumns;
  const { data } = await assembled.data;
  const flat = data.length === 1 ? data[0] : data.flatMap((part) => Array.from(part as ArrayLike<unknown>));
  return flat.length > rows ? flat.slice(0, rows) : flat;
}

async function readChunk(file: Bytes, meta: ColumnMetaData): Promise<Uint8Array<ArrayBuffer>> {
  const data = Number(meta.data_page_offset);
  const dictionary = Number(meta.dictionary_page_offset ?? data);
  const start = dictionary > 0 && dictionary < data ? dictionary : data;
  const size = Number(meta.total_compressed_size);
  if (!(start >= 4 && size >= 0 && start + size <= file.byteLength)) {
    throw new Error("it lies outside the file");
  }
  return new Uint8Array(await file.slice(start, start + size));
}

// Whatever a parser stumbles over in a damaged file is the file's fault.
async function attempt<R>(where: string, run: () => R | Promise<R>): Promise<R> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof UserError) throw error;
    const reason = (error as Error).message.replaceAll(/\s+/g, " ").replace(/^parquet /, "").replace(
      /\.$/,
      "",
    );
    throw new UserError(`${where} is damaged or no Parquet: ${reason}.`);
  }
}
