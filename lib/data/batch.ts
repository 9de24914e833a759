// Token rows laid out as one flat batch: packed behind one another, or padded to the longest.

import { UserError } from "../errors.ts";
import { atRow } from "./row.ts";

/** One step's rows as flat arrays over T positions; M of them predict a trained token. */
export interface Batch {
  /** [T] token ids: rows behind one another (packed), or each padded to the longest (padded). Padding holds 0. */
  inputIds: Int32Array;
  /** [T] position inside the row, from 0; padding counts inside its own run. */
  positions: Int32Array;
  /** [T] index of the row in the dataset it came from; -1 for padding. */
  rowOf: Int32Array;
  /** [T * 2] the keys that the query at t sees are lo <= key < hi: its own row up to itself. Padding sees its own run only. */
  ranges: Int32Array;
  /** [M] flat positions whose next token is trained. */
  targetIndex: Int32Array;
  /** [M] that next token. */
  targetIds: Int32Array;
  /** The dataset's rows in this batch. */
  rows: number[];
  /** Positions that are not padding. */
  tokens: number;
}

/** How the rows of a batch lie in memory; the loss does not depend on it. */
export type Layout = "packed" | "padded";

/** A row of token ids. Labels follow Transformers: aligned with the ids, -100 is not trained; without labels all are. */
export interface TokenRow {
  /** At least one token id. */
  inputIds: ArrayLike<number>;
  /** One a token: the token itself, or -100. */
  labels?: ArrayLike<number>;
}

/** A checked row of token ids and the dataset row it came from. */
export interface Example {
  /** [tokens] token ids, cut at maxLength. */
  inputIds: Int32Array;
  /** [tokens] the same ids, -100 where nothing is trained. */
  labels: Int32Array;
  /** Its index in the dataset. */
  row: number;
}

/** Transformers' label for a token that is not trained. */
export const IGNORED = -100;

/** Packed batches are filled up to a multiple of this, so that a GPU plans few different shapes. */
export const PACKED_MULTIPLE = 64;

/**
 * Makes a batch from token ids, without any tokenizer.
 *
 * @param rows token ids and labels; the label at position i is the target of position i - 1, so the first label never counts
 * @param options `layout`: "packed" (default; rows behind one another, T rounded up to a multiple of 64) or "padded" (each
 *   row padded to the longest)
 * @throws UserError naming the row: no rows, an empty row, an id that is no token id, labels of another length
 *
 * @example
 * ```ts
 * import { batchOf } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const batch = batchOf([{ inputIds: [1, 5, 6, 2], labels: [-100, -100, 6, 2] }, { inputIds: [1, 7] }], { layout: "padded" });
 * assert.deepEqual([...batch.inputIds], [1, 5, 6, 2, 1, 7, 0, 0]);
 * assert.deepEqual([...batch.targetIndex], [1, 2, 4]);
 * assert.deepEqual([...batch.targetIds], [6, 2, 7]);
 * ```
 */
export function batchOf(rows: readonly TokenRow[], options: { layout?: Layout } = {}): Batch {
  if (rows.length === 0) throw new UserError("a batch needs at least one row.");
  return layOut(
    rows.map((row, i) => atRow("the batch", i, () => exampleOf(row, i))),
    options.layout ?? "packed",
  );
}

/** Checks a row of token ids and copies it; `index` is the row's in its dataset. */
export function exampleOf(row: TokenRow, index: number): Example {
  const { inputIds, labels = inputIds } = row;
  if (!(inputIds?.length > 0)) throw new UserError("inputIds should be a list of at least one token id.");
  if (labels?.length !== inputIds.length) {
    throw new UserError(
      `${inputIds.length} inputIds but ${labels?.length ?? "no"} labels: a decoder needs one label a token.`,
    );
  }
  return { inputIds: int32(inputIds, 0, "inputIds"), labels: int32(labels, IGNORED, "labels"), row: index };
}

function int32(values: ArrayLike<number>, extra: number, field: string): Int32Array {
  return Int32Array.from(values, (value, i) => {
    if (Number.isInteger(value) && (value >= 0 || value === extra) && value < 2 ** 31) return value;
    throw new UserError(`${field}[${i}] is ${value}, not a token id.`);
  });
}

/** How many positions rows of these lengths take. */
export function positionsOf(lengths: readonly number[], layout: Layout): number {
  if (layout === "padded") return lengths.length * Math.max(...lengths);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  return Math.ceil(tokens / PACKED_MULTIPLE) * PACKED_MULTIPLE;
}

/** Lays checked rows out as a batch. */
export function layOut(examples: readonly Example[], layout: Layout): Batch {
  const lengths = examples.map((example) => example.inputIds.length);
  const size = positionsOf(lengths, layout);
  const width = size / examples.length; // only for padded: every row's share
  const batch = {
    inputIds: new Int32Array(size),
    positions: new Int32Array(size),
    rowOf: new Int32Array(size),
    ranges: new Int32Array(2 * size),
  };
  const targets: { index: number[]; ids: number[] } = { index: [], ids: [] };
  let end = 0;
  examples.forEach((example, i) => {
    const start = layout === "padded" ? i * width : end;
    end = start + lengths[i];
    batch.inputIds.set(example.inputIds, start);
    fillRun(batch, start, end, example.row);
    if (layout === "padded") fillRun(batch, end, start + width, -1);
    example.labels.forEach((label, at) => {
      if (at === 0 || label === IGNORED) return;
      targets.index.push(start + at - 1);
      targets.ids.push(label);
    });
  });
  if (layout === "packed") fillRun(batch, end, size, -1);
  return {
    ...batch,
    targetIndex: Int32Array.from(targets.index),
    targetIds: Int32Array.from(targets.ids),
    rows: examples.map((example) => example.row),
    tokens: lengths.reduce((sum, length) => sum + length, 0),
  };
}

/** Positions, row and causal ranges of one row, or of one run of padding. */
function fillRun(
  batch: Pick<Batch, "positions" | "rowOf" | "ranges">,
  start: number,
  end: number,
  row: number,
): void {
  for (let at = start; at < end; at++) {
    batch.positions[at] = at - start;
    batch.rowOf[at] = row;
    batch.ranges[2 * at] = start;
    batch.ranges[2 * at + 1] = at + 1;
  }
}
