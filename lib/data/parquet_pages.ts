// A look at a Parquet column's pages before they are decoded: hyparquet trusts the counts that a file states, and a damaged
// one would have it fill memory.

import type { CompressionCodec, Compressors, PageHeader, SchemaTree } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { getMaxDefinitionLevel, getMaxRepetitionLevel } from "hyparquet/src/schema.js";
import { readVarInt } from "hyparquet/src/thrift.js";

/** A column's pages as their headers state them. */
export interface ColumnPages {
  /** Values, nulls included. */
  values: number;
  /** Bytes after unpacking. */
  bytes: number;
  /** Decompressors that know what each page has to become, and refuse anything else. */
  compressors: Compressors;
}

interface Page {
  header: PageHeader;
  body: Uint8Array;
}

/** Walks over a column chunk's pages; throws a plain Error for what cannot be. */
export function checkPages(
  chunk: Uint8Array<ArrayBuffer>,
  path: SchemaTree[],
  codec: CompressionCodec,
  unpack: Compressors,
): ColumnPages {
  const pages = new Map<number, PageHeader>(); // by where their packed bytes begin
  let values = 0, bytes = 0;
  for (const { header, body } of pagesOf(chunk)) {
    const data = header.data_page_header ?? header.data_page_header_v2;
    const count = data?.num_values ?? header.dictionary_page_header?.num_values ?? 0;
    if (count < 0 || header.uncompressed_page_size < 0) throw new Error("a page states a negative size");
    if (data) values += count;
    bytes += header.uncompressed_page_size;
    let packed = body;
    if (header.data_page_header_v2) packed = body.subarray(checkLevelsV2(body, header, path));
    pages.set(packed.byteOffset, header);
    const plain = codec === "UNCOMPRESSED" || header.data_page_header_v2?.is_compressed === false;
    if (plain) checkBody(packed, header, path);
  }
  const guarded = (input: Uint8Array, length: number): Uint8Array => {
    const header = pages.get(input.byteOffset);
    if (!header) throw new Error("a page begins where none was found");
    if (length === 0) return new Uint8Array(); // a page of nulls; codecs pack even nothing into some bytes
    const body = unpack[codec]!(input, length);
    if (body.length !== length) throw new Error(`a page unpacks to ${body.length} bytes, not to ${length}`);
    checkBody(body, header, path);
    return body;
  };
  return { values, bytes, compressors: codec === "UNCOMPRESSED" ? {} : { [codec]: guarded } };
}

function* pagesOf(chunk: Uint8Array<ArrayBuffer>): Generator<Page> {
  const reader = { view: new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength), offset: 0 };
  while (reader.offset < chunk.length - 1) {
    const header = parquetHeader(reader);
    const size = header.compressed_page_size;
    if (!(size >= 0 && reader.offset + size <= chunk.length)) throw new Error("a page is cut short");
    yield { header, body: chunk.subarray(reader.offset, reader.offset + size) };
    reader.offset += size;
  }
}

function checkLevelsV2(body: Uint8Array, header: PageHeader, path: SchemaTree[]): number {
  const page = header.data_page_header_v2!;
  const repetition = page.repetition_levels_byte_length, definition = page.definition_levels_byte_length;
  const end = repetition + definition;
  if (!(repetition >= 0 && definition >= 0 && end <= body.length && end <= header.uncompressed_page_size)) {
    throw new Error("a page's levels are longer than the page");
  }
  const view = viewOf(body);
  if (repetition > 0) checkRuns(view, 0, repetition, widthOf(getMaxRepetitionLevel(path)), page.num_values);
  if (definition > 0) checkRuns(view, repetition, end, widthOf(getMaxDefinitionLevel(path)), page.num_values);
  return end;
}

function checkBody(body: Uint8Array, header: PageHeader, path: SchemaTree[]): void {
  const page = header.data_page_header ?? header.data_page_header_v2;
  if (!page) return;
  const view = viewOf(body);
  let at = 0;
  if (header.data_page_header) {
    for (const level of [getMaxRepetitionLevel(path), getMaxDefinitionLevel(path)]) {
      if (level === 0) continue;
      const end = at + 4 + view.getUint32(at, true);
      if (end > body.length) throw new Error("a page's levels are longer than the page");
      checkRuns(view, at + 4, end, widthOf(level), page.num_values);
      at = end;
    }
  }
  if (at >= body.length) return;
  if (/_DICTIONARY$/.test(page.encoding)) {
    checkRuns(view, at + 1, body.length, view.getUint8(at), page.num_values);
  } else if (page.encoding === "RLE") {
    const lead = header.data_page_header && path.at(-1)?.element.type !== "BOOLEAN" ? 1 : 4;
    checkRuns(view, at + lead, body.length, 1, page.num_values);
  }
}

// Runs of repeated or bit-packed values must not hold more than the page does (bit-packed ones come in eights).
function checkRuns(view: DataView, start: number, end: number, width: number, count: number): void {
  if (width > 32) throw new Error(`a page packs values into ${width} bits`);
  const reader = { view, offset: start };
  for (let left = count; left > 0 && reader.offset < end;) {
    const run = readVarInt(reader);
    const packed = (run & 1) === 1;
    const held = packed ? (run >>> 1) * 8 : run >>> 1;
    if (held > (packed ? Math.ceil(left / 8) * 8 : left)) {
      throw new Error("a page holds more values than it states");
    }
    reader.offset += packed ? (run >>> 1) * width : Math.ceil(width / 8);
    left -= held;
  }
}

const widthOf = (level: number): number => 32 - Math.clz32(level);
const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
