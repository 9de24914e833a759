// How long rows are in tokens, and what each maxLength would cut off or waste.

import { UserError } from "../errors.ts";
import { markdownTable } from "../report/table.ts";
import { IGNORED } from "./batch.ts";
import { collect, type Collected, collectStream, startTokenOf, type TokenOptions } from "./collect.ts";
import { checkWhole, sizes } from "./pack.ts";
import type { Row } from "./row.ts";
import { type TokenRows, tokenRows } from "./token_rows.ts";

/** Options of {@linkcode lengthReport}. */
export interface LengthOptions extends Omit<TokenOptions, "maxLength"> {
  /** The values of maxLength to report on; default 128, 256, 512, 1024, 2048 and so on up to the longest row. */
  maxLengths?: number[];
  /** Rows of a batch, which packing and padding depend on. Default 8. */
  batchSize?: number;
}

/** What one maxLength does to the rows. */
export interface LengthLimit {
  /** Tokens of a row beyond this are cut off. */
  maxLength: number;
  /** Share of the rows that it keeps whole. */
  whole: number;
  /** Share of the tokens that it keeps. */
  tokensKept: number;
  /** Rows without a trained token within it: they would be left out. */
  dropped: number;
  /** Share of the positions that are not tokens when batches are packed. */
  packedWaste: number;
  /** The same share when rows are padded to the longest of their batch. */
  paddedWaste: number;
  /** The same share when every row is padded to maxLength. */
  fullWaste: number;
}

/** The lengths of rows in tokens. */
export interface LengthReport {
  /** Where the rows came from. */
  name: string;
  /** Number of rows. */
  rows: number;
  /** Tokens of all rows, none cut. */
  tokens: number;
  /** Tokens of the mean row. */
  mean: number;
  /** Half of the rows have at most so many tokens (percentiles lie between two rows in proportion, as numpy's). */
  p50: number;
  /** 90 % of the rows have at most so many. */
  p90: number;
  /** 95 % of the rows have at most so many. */
  p95: number;
  /** 99 % of the rows have at most so many. */
  p99: number;
  /** Tokens of the longest row. */
  max: number;
  /** Rows in which nothing is trained, whatever the length. */
  untrained: number;
  /** What each maxLength does. */
  limits: LengthLimit[];
  /** All this as a table. */
  toString(): string;
}

/**
 * Tokenizes rows as {@linkcode packBatches} does (with BOS and EOS) and reports how long they are, which share of them each
 * maxLength keeps whole, and how many positions packing and padding would waste, for batches in the rows' own order.
 *
 * @param rows rows for the prompt, or token ids; a stream's report has to be awaited
 * @param options see {@linkcode LengthOptions}
 * @throws UserError as packBatches
 *
 * @example
 * ```ts
 * import { lengthReport } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const rows = [10, 20, 30, 200].map((length) => ({ inputIds: new Array(length).fill(7) }));
 * const report = lengthReport(rows, { maxLengths: [25, 128] });
 * assert.deepEqual([report.p50, report.max], [25, 200]);
 * assert.deepEqual(report.limits.map((limit) => limit.whole), [0.5, 0.75]);
 * console.log(String(report));
 * ```
 */
export function lengthReport(rows: Iterable<Row>, options?: LengthOptions): LengthReport;
/**
 * As above, for rows that come from a stream.
 *
 * @param rows rows one after another
 * @param options see {@linkcode LengthOptions}
 * @throws UserError as packBatches
 */
export function lengthReport(rows: AsyncIterable<Row>, options?: LengthOptions): Promise<LengthReport>;
export function lengthReport(
  rows: Iterable<Row> | AsyncIterable<Row>,
  options: LengthOptions = {},
): LengthReport | Promise<LengthReport> {
  if (startTokenOf(options) !== undefined) {
    throw new UserError(
      "lengthReport measures whole texts, as a decoder reads them: for an encoder-decoder give rows of token ids, such as " +
        "rows.map((row) => ({ inputIds: tokenizer.encode(prompt.question(row)) })), and no tokenizer.",
    );
  }
  const uncut = { ...options, maxLength: 2 ** 31 - 1 };
  return Symbol.iterator in rows
    ? reportOf(collect(rows, uncut), options)
    : collectStream(rows, uncut).then((collected) => reportOf(collected, options));
}

/** A row's tokens, and the first of them that is trained (behind the first token, which nothing predicts). */
interface Measured {
  lengths: Int32Array;
  firstTrained: Int32Array;
}

function reportOf({ name, blocks, rows }: Collected, options: LengthOptions): LengthReport {
  const { batchSize = 8 } = options;
  checkWhole("batchSize", batchSize, 1);
  const measured = measure(tokenRows(blocks));
  const { lengths } = measured;
  if (lengths.length === 0) throw new UserError(`${name} has no row in which anything is trained.`);
  const sorted = lengths.toSorted();
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const max = sorted.at(-1)!;
  const limits = limitsFor(options.maxLengths, max).map((limit) =>
    limitOf(measured, limit, batchSize, tokens)
  );
  const report = {
    name,
    rows: lengths.length,
    tokens,
    mean: tokens / lengths.length,
    p50: percentile(sorted, 50),
    p90: percentile(sorted, 90),
    p95: percentile(sorted, 95),
    p99: percentile(sorted, 99),
    max,
    untrained: rows - lengths.length,
    limits,
  };
  return { ...report, toString: () => describe(report, batchSize) };
}

function measure(rows: TokenRows): Measured {
  const lengths = new Int32Array(rows.length), firstTrained = new Int32Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const { inputIds, labels } = rows.at(i);
    lengths[i] = inputIds.length;
    firstTrained[i] = labels.findIndex((label, at) => at > 0 && label !== IGNORED);
  }
  return { lengths, firstTrained };
}

/** Powers of two up to the first that keeps everything whole. */
function limitsFor(given: number[] | undefined, max: number): number[] {
  if (given === undefined) {
    const limits = [128];
    while (limits.at(-1)! < max || limits.length < 5) limits.push(2 * limits.at(-1)!);
    return limits;
  }
  for (const limit of given) {
    if (!Number.isInteger(limit) || limit < 2) {
      throw new UserError(`maxLengths holds ${limit}: give whole numbers of at least 2.`);
    }
  }
  return given;
}

function limitOf(
  { lengths, firstTrained }: Measured,
  maxLength: number,
  batchSize: number,
  allTokens: number,
): LengthLimit {
  const kept = lengths.filter((_, i) => firstTrained[i] < maxLength).map((length) =>
    Math.min(length, maxLength)
  );
  const { tokens, positions, padded } = sizes(kept, batchSize);
  const waste = (size: number) => size === 0 ? 0 : 1 - tokens / size;
  return {
    maxLength,
    whole: lengths.filter((length) => length <= maxLength).length / lengths.length,
    tokensKept: tokens / allTokens,
    dropped: lengths.length - kept.length,
    packedWaste: waste(positions),
    paddedWaste: waste(padded),
    fullWaste: waste(kept.length * maxLength),
  };
}

/** The value below which so many percent of the ascending values lie: linear between the two nearest, numpy's default. */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  const place = (sorted.length - 1) * percent / 100;
  const low = sorted[Math.floor(place)], high = sorted[Math.ceil(place)];
  return low + (high - low) * (place - Math.floor(place));
}

function describe(report: Omit<LengthReport, "toString">, batchSize: number): string {
  const { name, rows, tokens, mean, p50, p90, p95, p99, max, untrained, limits } = report;
  const number = (value: number) => value.toLocaleString("en-US", { maximumFractionDigits: 1 });
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const table = limits.map((limit) => ({
    maxLength: limit.maxLength,
    "rows whole": percent(limit.whole),
    "tokens kept": percent(limit.tokensKept),
    "rows left out": limit.dropped,
    "wasted packed": percent(limit.packedWaste),
    "padded to the longest": percent(limit.paddedWaste),
    "padded to maxLength": percent(limit.fullWaste),
  }));
  return [
    `${name}: ${number(rows)} rows, ${number(tokens)} tokens; mean ${number(mean)}, 50 % up to ${
      number(p50)
    }, ` +
    `90 % ${number(p90)}, 95 % ${number(p95)}, 99 % ${number(p99)}, longest ${number(max)}` +
    (untrained > 0 ? `; ${number(untrained)} rows with nothing to train left out` : ""),
    `Positions wasted in batches of ${batchSize}:`,
    markdownTable(table),
  ].join("\n");
}
