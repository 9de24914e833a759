// Batches of tokenized rows: the same rows in either layout, laid out one batch at a time.

import { UserError } from "../errors.ts";
import { type Batch, type Example, type Layout, layOut, layOutPairs, positionsOf } from "./batch.ts";
import { collect, type Collected, collectStream, startTokenOf, type TokenOptions } from "./collect.ts";
import { permutation } from "./random.ts";
import type { Row } from "./row.ts";
import { type TokenRows, tokenRows } from "./token_rows.ts";

/** Options of {@linkcode packBatches} and {@linkcode padBatches}. */
export interface BatchOptions extends TokenOptions {
  /** Rows of one optimizer step. Default 8. */
  batchSize?: number;
}

/** A list of rows' tokens, each laid open only while it is looked at. */
export interface Examples extends Iterable<Example> {
  /** Number of rows. */
  readonly length: number;
  /** The row at an index from 0 on, as new arrays. */
  at(index: number): Example;
  /** The rows from `start` to before `end`, as an array. */
  slice(start: number, end?: number): Example[];
}

/** Tokenized rows in batches of `batchSize` rows; iterating lays them out one at a time. */
export interface Batches extends Iterable<Batch> {
  /** Number of batches: rows / batchSize, rounded up. */
  readonly length: number;
  /** Number of rows in the batches. */
  readonly rows: number;
  /** Rows of a batch; the last may have fewer. */
  readonly batchSize: number;
  /** Whether rows lie behind one another or are padded to the longest. */
  readonly layout: Layout;
  /** The rows' tokens, in the order of the batches. */
  readonly examples: Examples;
  /** All tokens that are not padding. */
  readonly tokens: number;
  /** Share of the positions that are tokens, in this layout. */
  readonly fill: number;
  /** The same share, were every batch padded to its longest row. */
  readonly paddedFill: number;
  /** Rows cut at maxLength. */
  readonly truncated: number;
  /** Rows left out because no trained token of theirs lies within maxLength. */
  readonly dropped: number;
  /** Rows whose tokens were read from the cache. */
  readonly cached: number;
  /** For an encoder-decoder: the token that its answers begin with. */
  readonly decoderStartTokenId?: number;
  /** Whether answers alone are trained; undefined for rows of token ids, whose labels say it, and for an encoder-decoder. */
  readonly completionOnly?: boolean;
  /** The same rows in batches of another order, which the seed alone decides: an epoch of its own for every seed. */
  shuffle(seed: number): Batches;
  /** A line that says all this. */
  toString(): string;
}

/**
 * Tokenizes every row once and forms batches of `batchSize` rows whose rows lie behind one another: hardly a position is
 * padding, and loss and gradients are those of the rows alone. Each text gets BOS once (where the model's tokenizer adds
 * it) and EOS at its end (unless the chat template ends it), and is cut at `maxLength`. Rows are read one after another and
 * not kept: a generator may give more than memory holds. Their tokens take two bytes and a bit each.
 *
 * For an encoder-decoder (T5) questions and answers lie behind one another each for themselves; its tokenizer says that it is
 * one, or `decoderStartTokenId`.
 *
 * @param rows rows for the prompt, or token ids ({ inputIds, labels })
 * @param options see {@linkcode BatchOptions}
 * @throws UserError for no rows, a row without the prompt's field, a missing tokenizer or prompt, or when no row has a
 *   trained token within maxLength
 *
 * @example
 * ```ts
 * import { Dataset, financeQA, loadTokenizer, packBatches } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const rows = new Dataset([
 *   { instruction: "What is a bond?", output: "A loan to a company." },
 *   { instruction: "What is a share?", output: "A part of a company." },
 *   { instruction: "What is interest?", output: "The price of a loan." },
 * ]);
 * const tokenizer = await loadTokenizer("tests/reference/tiny_tokenizer");
 * const batches = packBatches(rows, { tokenizer, prompt: financeQA, batchSize: 2 });
 * assert.deepEqual([...batches].map((batch) => batch.rows), [[0, 1], [2]]);
 * ```
 */
export function packBatches(rows: Iterable<Row>, options?: BatchOptions): Batches;
/**
 * As above, for rows that come from a stream: `await` the batches.
 *
 * @param rows rows one after another, such as a file larger than memory gives them
 * @param options see {@linkcode BatchOptions}
 * @throws UserError as above
 */
export function packBatches(rows: AsyncIterable<Row>, options?: BatchOptions): Promise<Batches>;
export function packBatches(rows: Rows, options: BatchOptions = {}): Batches | Promise<Batches> {
  return formBatches(rows, options, "packed");
}

/**
 * As {@linkcode packBatches}, but every row is padded to the longest of its batch: the layout of most other trainers. Which
 * rows make a batch, how many batches there are, and the loss are the same.
 *
 * @param rows rows for the prompt, or token ids ({ inputIds, labels })
 * @param options see {@linkcode BatchOptions}
 * @throws UserError as packBatches
 *
 * @example
 * ```ts
 * import { padBatches } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const batches = padBatches([{ inputIds: [1, 5, 2] }, { inputIds: [1, 2] }, { inputIds: [1, 6, 7, 2] }], { batchSize: 2 });
 * assert.deepEqual([...batches].map((batch) => batch.inputIds.length), [6, 4]);
 * assert.equal(batches.fill, 9 / 10);
 * ```
 */
export function padBatches(rows: Iterable<Row>, options?: BatchOptions): Batches;
/**
 * As above, for rows that come from a stream: `await` the batches.
 *
 * @param rows rows one after another, such as a file larger than memory gives them
 * @param options see {@linkcode BatchOptions}
 * @throws UserError as packBatches
 */
export function padBatches(rows: AsyncIterable<Row>, options?: BatchOptions): Promise<Batches>;
export function padBatches(rows: Rows, options: BatchOptions = {}): Batches | Promise<Batches> {
  return formBatches(rows, options, "padded");
}

type Rows = Iterable<Row> | AsyncIterable<Row>;

function formBatches(rows: Rows, options: BatchOptions, layout: Layout): Batches | Promise<Batches> {
  const { maxLength = 512, batchSize = 8, maxTargetLength = maxLength } = options;
  const decoderStartTokenId = startTokenOf(options);
  checkWhole("maxLength", maxLength, 2);
  checkWhole("maxTargetLength", maxTargetLength, 2);
  checkWhole("batchSize", batchSize, 1);
  if (decoderStartTokenId !== undefined) checkWhole("decoderStartTokenId", decoderStartTokenId, 0);
  const shared = { layout, batchSize, maxLength, decoderStartTokenId };
  const form = (collected: Collected) => batchesOf(...sharedOf(collected, shared));
  return Symbol.iterator in rows ? form(collect(rows, options)) : collectStream(rows, options).then(form);
}

interface Shared {
  name: string;
  layout: Layout;
  batchSize: number;
  maxLength: number;
  truncated: number;
  dropped: number;
  cached: number;
  decoderStartTokenId?: number;
  completionOnly?: boolean;
}

function sharedOf(
  { name, blocks, rows, cached, completionOnly }: Collected,
  options: Pick<Shared, "layout" | "batchSize" | "maxLength" | "decoderStartTokenId">,
): [TokenRows, Shared] {
  const { maxLength } = options;
  const examples = tokenRows(blocks);
  if (rows === 0) throw new UserError(`${name} has no rows: there is nothing to make batches of.`);
  if (examples.length === 0) {
    throw new UserError(
      `${name}: no row has a trained token within maxLength ${maxLength}, the questions alone fill it; raise maxLength.`,
    );
  }
  const total = (field: "truncated" | "dropped") => blocks.reduce((sum, { block }) => sum + block[field], 0);
  const [truncated, dropped] = [total("truncated"), total("dropped")];
  if (dropped > 0) {
    console.warn(
      `${name}: ${dropped} of ${rows} rows left out: no trained token within maxLength ${maxLength}.`,
    );
  }
  return [examples, { ...options, name, truncated, dropped, cached, completionOnly }];
}

function batchesOf(all: TokenRows, shared: Shared, order?: Int32Array): Batches {
  const { name, layout, batchSize, maxLength, truncated, dropped, cached, decoderStartTokenId } = shared;
  const rows = all.length;
  const place = (i: number) => order ? order[i] : i;
  const examples: Examples = {
    length: rows,
    at: (i) => all.at(place(i)),
    slice: (start, end = rows) =>
      Array.from({ length: Math.max(0, Math.min(end, rows) - start) }, (_, i) => all.at(place(start + i))),
    *[Symbol.iterator]() {
      for (let i = 0; i < rows; i++) yield all.at(place(i));
    },
  };
  const sizesOf = (length: (index: number) => number) =>
    sizes(Int32Array.from({ length: rows }, (_, i) => length(place(i))), batchSize);
  const questions = sizesOf(all.lengthOf), answers = sizesOf(all.answerLengthOf);
  const both = (size: keyof typeof questions) =>
    questions[size] + (decoderStartTokenId === undefined ? 0 : answers[size]);
  const [tokens, positions, padded] = [both("tokens"), both("positions"), both("padded")];
  const [packedFill, paddedFill] = [tokens / positions, tokens / padded];
  const fill = layout === "packed" ? packedFill : paddedFill;
  const length = Math.ceil(rows / batchSize);
  return {
    length,
    rows,
    batchSize,
    layout,
    examples,
    tokens,
    fill,
    paddedFill,
    truncated,
    dropped,
    cached,
    decoderStartTokenId,
    completionOnly: shared.completionOnly,
    *[Symbol.iterator]() {
      for (let start = 0; start < rows; start += batchSize) {
        const group = examples.slice(start, start + batchSize);
        yield decoderStartTokenId === undefined
          ? layOut(group, layout)
          : layOutPairs(group, layout, decoderStartTokenId);
      }
    },
    shuffle: (seed) => batchesOf(all, shared, permutation(rows, seed).map(place)),
    toString: () =>
      [
        `${name}: ${count(rows, "row")} in ${count(length, "batch", "es")} of ${batchSize}, ${
          count(tokens, "token")
        }`,
        layout === "packed"
          ? `packed ${percent(fill)} full (padded to the longest: ${percent(paddedFill)})`
          : `padded to the longest: ${percent(fill)} full`,
        ...truncated > 0 ? [`${count(truncated, "row")} cut at ${maxLength} tokens`] : [],
        ...dropped > 0 ? [`${count(dropped, "row")} left out: no trained token within ${maxLength}`] : [],
      ].join("; "),
  };
}

/** The tokens of rows in this order, and the positions that they take in batches of either layout. */
export function sizes(
  lengths: Int32Array,
  batchSize: number,
): { tokens: number; positions: number; padded: number } {
  let [tokens, positions, padded] = [0, 0, 0];
  for (let start = 0; start < lengths.length; start += batchSize) {
    const group = [...lengths.subarray(start, start + batchSize)];
    tokens += group.reduce((sum, length) => sum + length, 0);
    positions += positionsOf(group, "packed");
    padded += positionsOf(group, "padded");
  }
  return { tokens, positions, padded };
}

function count(value: number, word: string, plural: string = "s"): string {
  return `${value.toLocaleString("en-US")} ${word}${value === 1 ? "" : plural}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Throws a UserError for what is no whole number of at least `least`. */
export function checkWhole(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) {
    throw new UserError(`${name} is ${value}: give a whole number of at least ${least}.`);
  }
}
