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
  /** For an encoder-decoder: the answers. The arrays above are then the questions, each query of which sees its whole row. */
  decoder?: DecoderSide;
}

/** The answers of a batch for an encoder-decoder, over positions of their own; targetIndex is about these. */
export interface DecoderSide {
  /** Labels shifted right behind the start token; a label that is not trained is read as the start token (T5's padding). */
  inputIds: Int32Array;
  /** Position inside the answer, from 0. */
  positions: Int32Array;
  /** As the batch's. */
  rowOf: Int32Array;
  /** The answer's own tokens that each position sees: up to itself. */
  ranges: Int32Array;
  /** The question's positions that each sees: its whole row. */
  memoryRanges: Int32Array;
}

/** How the rows of a batch lie in memory; the loss does not depend on it. */
export type Layout = "packed" | "padded";

/**
 * A row of token ids. Labels follow Transformers: aligned with the ids, -100 is not trained; without labels all are. For an
 * encoder-decoder the ids are the question's and the labels the answer's, EOS included, of any length.
 */
export interface TokenRow {
  /** At least one token id. */
  inputIds: ArrayLike<number>;
  /** One a token: the token itself, or -100; or an encoder-decoder's answer. */
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
 *   row padded to the longest); `decoderStartTokenId`: the batch is for an encoder-decoder, whose answers begin so (T5:
 *   `model.config.encoderDecoder.decoderStartTokenId`)
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
 *
 * // For an encoder-decoder: question and EOS, answer and EOS.
 * const pair = batchOf([{ inputIds: [5, 6, 1], labels: [7, 8, 1] }], { layout: "padded", decoderStartTokenId: 0 });
 * assert.deepEqual([...pair.inputIds], [5, 6, 1]);
 * assert.deepEqual([...pair.decoder!.inputIds], [0, 7, 8]);
 * assert.deepEqual([...pair.targetIds], [7, 8, 1]);
 * ```
 */
export function batchOf(rows: readonly TokenRow[], options: BatchLayout = {}): Batch {
  if (rows.length === 0) throw new UserError("a batch needs at least one row.");
  const { layout = "packed", decoderStartTokenId: start } = options;
  const checked = start === undefined ? exampleOf : pairOf;
  const examples = rows.map((row, i) => atRow("the batch", i, () => checked(row, i)));
  return start === undefined ? layOut(examples, layout) : layOutPairs(examples, layout, start);
}

/** Options of {@linkcode batchOf}. */
export interface BatchLayout {
  /** Default "packed". */
  layout?: Layout;
  /** Set for an encoder-decoder: the token that its decoder begins with. */
  decoderStartTokenId?: number;
}

/** As {@linkcode exampleOf}, for an encoder-decoder: the answer's length is its own. */
export function pairOf({ inputIds, labels }: TokenRow, index: number): Example {
  if (!(inputIds?.length > 0)) throw new UserError("inputIds should be a list of at least one token id.");
  if (!(labels && labels.length > 0)) {
    throw new UserError(
      "an encoder-decoder needs labels, the ids of the answer with its EOS; there are none.",
    );
  }
  return { inputIds: int32(inputIds, 0, "inputIds"), labels: int32(labels, IGNORED, "labels"), row: index };
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

/** All positions of a batch, padding and answers too: what its memory goes by. */
export const positionsIn = ({ inputIds, decoder }: Batch): number =>
  inputIds.length + (decoder?.inputIds.length ?? 0);

/** How many positions rows of these lengths take. */
export function positionsOf(lengths: readonly number[], layout: Layout): number {
  if (layout === "padded") return lengths.length * Math.max(...lengths);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  return Math.ceil(tokens / PACKED_MULTIPLE) * PACKED_MULTIPLE;
}

/** Lays checked rows out as a batch. */
export function layOut(examples: readonly Example[], layout: Layout): Batch {
  const { starts, ...batch } = runsOf(examples, examples.map(({ inputIds }) => inputIds), layout, true);
  const targets: { index: number[]; ids: number[] } = { index: [], ids: [] };
  examples.forEach(({ labels }, i) => {
    labels.forEach((label, at) => {
      if (at === 0 || label === IGNORED) return;
      targets.index.push(starts[i] + at - 1);
      targets.ids.push(label);
    });
  });
  return {
    ...batch,
    targetIndex: Int32Array.from(targets.index),
    targetIds: Int32Array.from(targets.ids),
    rows: examples.map(({ row }) => row),
    tokens: examples.reduce((sum, { inputIds }) => sum + inputIds.length, 0),
  };
}

/** Lays questions and answers out, each over positions of their own. */
export function layOutPairs(examples: readonly Example[], layout: Layout, startId: number): Batch {
  const shifted = examples.map(({ labels }) =>
    Int32Array.from(labels, (_, i) => i === 0 || labels[i - 1] === IGNORED ? startId : labels[i - 1])
  );
  const encoder = runsOf(examples, examples.map(({ inputIds }) => inputIds), layout, false);
  const { starts, ...decoder } = runsOf(examples, shifted, layout, true);
  const memoryRanges = new Int32Array(decoder.ranges.length);
  const targets: { index: number[]; ids: number[] } = { index: [], ids: [] };
  examples.forEach(({ inputIds, labels }, i) => {
    // Padding behind an answer sees the answer's question: the ranges never fall.
    const end = starts[i + 1] ?? decoder.inputIds.length;
    for (let at = starts[i]; at < end; at++) {
      memoryRanges[2 * at] = encoder.starts[i];
      memoryRanges[2 * at + 1] = encoder.starts[i] + inputIds.length;
    }
    labels.forEach((label, at) => {
      if (label === IGNORED) return;
      targets.index.push(starts[i] + at);
      targets.ids.push(label);
    });
  });
  const { starts: _, ...questions } = encoder;
  return {
    ...questions,
    targetIndex: Int32Array.from(targets.index),
    targetIds: Int32Array.from(targets.ids),
    rows: examples.map(({ row }) => row),
    tokens: examples.reduce((sum, { inputIds, labels }) => sum + inputIds.length + labels.length, 0),
    decoder: { ...decoder, memoryRanges },
  };
}

/** Runs of ids in a layout, and where each begins. */
function runsOf(examples: readonly Example[], ids: readonly Int32Array[], layout: Layout, causal: boolean) {
  const size = positionsOf(ids.map(({ length }) => length), layout);
  const batch = {
    inputIds: new Int32Array(size),
    positions: new Int32Array(size),
    rowOf: new Int32Array(size),
    ranges: new Int32Array(2 * size),
  };
  const starts: number[] = [];
  let end = 0;
  ids.forEach((run, i) => {
    const start = layout === "padded" ? i * size / ids.length : end;
    end = start + run.length;
    starts.push(start);
    batch.inputIds.set(run, start);
    fillRun(batch, start, end, examples[i].row, causal);
    const isLast = i === ids.length - 1;
    const next = layout === "padded" ? start + size / ids.length : isLast ? size : end;
    fillRun(batch, end, next, -1, causal);
  });
  return { ...batch, starts };
}

/** Positions, row and ranges (up to itself, or of the whole run) of one row, or of one run of padding. */
function fillRun(
  batch: Pick<Batch, "positions" | "rowOf" | "ranges">,
  start: number,
  end: number,
  row: number,
  causal = true,
): void {
  for (let at = start; at < end; at++) {
    batch.positions[at] = at - start;
    batch.rowOf[at] = row;
    batch.ranges[2 * at] = start;
    batch.ranges[2 * at + 1] = causal ? at + 1 : end;
  }
}
