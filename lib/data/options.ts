// The options of loadDataset and streamDataset, and what a data file is.

import type { HubDatasetOptions } from "../hub/dataset.ts";

/** Options of {@linkcode loadDataset} and {@linkcode streamDataset}. */
export interface LoadOptions extends HubDatasetOptions {
  /** For a JSON object that holds several lists: which field is the list of rows. */
  field?: string;
  /**
   * How the text is encoded, as TextDecoder names it: "latin1", "utf-16le" ... By default a byte order mark decides, else it is
   * UTF-8; CSV, TSV and plain text that are no UTF-8 are read as latin-1 (windows-1252).
   */
  encoding?: string;
  /** What stands between the fields of a CSV file (default "," and for .tsv the tab). */
  delimiter?: string;
  /** What a CSV field is quoted with (default `"`); false: quotes are ordinary characters. */
  quote?: string | false;
  /** What a row of plain text is: "line" (default), "paragraph" (between empty lines) or "document" (the whole file). */
  sampleBy?: "line" | "paragraph" | "document";
  /**
   * Which files of a folder or glob, by their names as on the Hub: "train", "validation" or "test" where a folder or file name
   * holds such a word (or "training", "valid", "val", "dev", "testing", "eval", "evaluation"); "all" takes every file. A folder
   * with files of several splits must be told. Of a data set on the Hub: which split.
   */
  split?: string;
  /** What the files are, where their names do not say: "json", "jsonl", "csv", "tsv", "parquet" or "txt". */
  format?: "json" | "jsonl" | "csv" | "tsv" | "parquet" | "txt";
  /**
   * The most bytes that are read from one file, after unpacking (default 1 GiB for loadDataset, which keeps all rows in memory;
   * no limit for streamDataset).
   */
  maxBytes?: number;
  /**
   * How many times its own size a compressed file (gzip, Parquet) may unpack to (default 1000; 64 MiB are always allowed). A
   * value of a Parquet column counts as 32 bytes more.
   */
  maxExpansion?: number;
}

/** A file or URL that rows are read from. */
export interface DataFile {
  /** Its path or URL. */
  path: string;
  /** Its kind as an ending: ".jsonl", ".csv" ... without ".gz". */
  kind: string;
}

/** The options as the readers want them. */
export interface ReadOptions extends LoadOptions {
  maxBytes: number;
  maxExpansion: number;
}
