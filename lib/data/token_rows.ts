// Tokenized rows in little memory: blocks of typed arrays, two bytes a token where the vocabulary allows, one bit for its label.

import { type Example, IGNORED } from "./batch.ts";

/** Some rows' tokens behind one another. */
export interface TokenBlock {
  /** [tokens] ids; 16 bits wide where all of them fit. */
  ids: Uint16Array | Int32Array;
  /** [rows + 1] where each row begins in `ids`. */
  starts: Uint32Array;
  /** [rows] each row's number in the dataset, less the block's first. */
  rows: Uint32Array;
  /** [rows] for an encoder-decoder: where each row's answer begins in `ids`, behind its question. */
  answers?: Uint32Array;
  /** Which tokens are trained: a bit a token (lowest first); or, where labels are other ids than the tokens, [tokens] labels. */
  labels: Uint8Array | Int32Array;
  /** Rows cut at maxLength. */
  truncated: number;
  /** Rows left out because no trained token lies within maxLength. */
  dropped: number;
}

/** A block and the number of the dataset's row that it begins with. */
export interface PlacedBlock {
  first: number;
  block: TokenBlock;
}

/** Gathers rows of a block. */
export interface BlockBuilder {
  /** Takes the next row; one without a trained token within maxLength is only counted. */
  add(inputIds: ArrayLike<number>, labels: ArrayLike<number>): void;
  /** The block of all rows so far. */
  finish(): TokenBlock;
}

/** For an encoder-decoder: answers are cut at a length of their own, and questions keep their end. */
export interface PairLimits {
  /** Tokens of an answer beyond this are cut off. */
  maxTargetLength: number;
  /** A question that ends with this token still does so when it was cut (T5's EOS, as Transformers cuts). */
  endId?: number;
}

/** An empty block whose rows are cut at `maxLength`; with `pairs` they are questions and answers. */
export function blockBuilder(maxLength: number, pairs?: PairLimits): BlockBuilder {
  let ids = new Int32Array(1024), labels = new Int32Array(1024);
  const starts = [0], rows: number[] = [], answers: number[] = [];
  let [size, seen, truncated, dropped] = [0, 0, 0, 0];
  const push = (count: number, id: (i: number) => number, label: (i: number) => number) => {
    if (size + count > ids.length) [ids, labels] = [ids, labels].map((values) => grown(values, size + count));
    for (let i = 0; i < count; i++, size++) {
      ids[size] = id(i);
      labels[size] = label(i);
    }
  };
  const addPair = (
    row: number,
    question: ArrayLike<number>,
    answer: ArrayLike<number>,
    limits: PairLimits,
  ) => {
    const end = Math.min(answer.length, limits.maxTargetLength), read = Math.min(question.length, maxLength);
    if (Array.from({ length: end }, (_, i) => answer[i]).every((label) => label === IGNORED)) {
      return void dropped++;
    }
    if (end < answer.length || read < question.length) truncated++;
    const last = question[question.length - 1] === limits.endId ? question.length - 1 : read - 1;
    push(read, (i) => question[i === read - 1 ? last : i], () => IGNORED);
    answers.push(size);
    push(end, (i) => Math.max(0, answer[i]), (i) => answer[i]);
    starts.push(size);
    rows.push(row);
  };
  return {
    add(rowIds, rowLabels) {
      const row = seen++;
      if (pairs) return addPair(row, rowIds, rowLabels, pairs);
      const end = Math.min(rowIds.length, maxLength);
      let trained = false;
      for (let i = 1; i < end && !trained; i++) trained = rowLabels[i] !== IGNORED;
      if (!trained) return void dropped++;
      if (rowIds.length > maxLength) truncated++;
      push(end, (i) => rowIds[i], (i) => rowLabels[i]);
      starts.push(size);
      rows.push(row);
    },
    finish() {
      const [allIds, allLabels] = [ids.subarray(0, size), labels.subarray(0, size)];
      return {
        ids: allIds.every((id) => id < 1 << 16) ? Uint16Array.from(allIds) : allIds.slice(),
        starts: Uint32Array.from(starts),
        rows: Uint32Array.from(rows),
        ...(pairs ? { answers: Uint32Array.from(answers) } : {}),
        labels: allLabels.every((label, i) => label === IGNORED || label === allIds[i])
          ? bits(allLabels)
          : allLabels.slice(),
        truncated,
        dropped,
      };
    },
  };
}

function grown(values: Int32Array<ArrayBuffer>, least: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(Math.max(least, 2 * values.length));
  larger.set(values);
  return larger;
}

function bits(labels: Int32Array): Uint8Array {
  const mask = new Uint8Array(Math.ceil(labels.length / 8));
  labels.forEach((label, i) => {
    if (label !== IGNORED) mask[i >> 3] |= 1 << (i & 7);
  });
  return mask;
}

/** The rows of blocks as one list, of which a row is laid open only while it is looked at. */
export interface TokenRows {
  /** Number of rows. */
  readonly length: number;
  /** Number of tokens of a row; of its question alone for an encoder-decoder. */
  lengthOf(index: number): number;
  /** Number of tokens of a row's answer for an encoder-decoder; else 0. */
  answerLengthOf(index: number): number;
  /** A row's tokens and labels, as new arrays. */
  at(index: number): Example;
}

/** The rows of all blocks, in order. */
export function tokenRows(blocks: readonly PlacedBlock[]): TokenRows {
  const ends: number[] = [];
  for (const { block } of blocks) ends.push((ends.at(-1) ?? 0) + block.rows.length);
  /** Block and row inside it, by bisection over the blocks' ends. */
  const find = (index: number): [PlacedBlock, number] => {
    let [low, high] = [0, ends.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle] > index) high = middle;
      else low = middle + 1;
    }
    return [blocks[low], index - (ends[low - 1] ?? 0)];
  };
  return {
    length: ends.at(-1) ?? 0,
    lengthOf(index) {
      const [{ block }, row] = find(index);
      return (block.answers?.[row] ?? block.starts[row + 1]) - block.starts[row];
    },
    answerLengthOf(index) {
      const [{ block: { answers, starts } }, row] = find(index);
      return answers ? starts[row + 1] - answers[row] : 0;
    },
    at(index) {
      const [{ block, first }, row] = find(index);
      const [start, end] = [block.starts[row], block.starts[row + 1]];
      const ids = Int32Array.from(block.ids.subarray(start, end)), labels = labelsOf(block, ids, start, end);
      const question = block.answers ? block.answers[row] - start : undefined;
      return {
        inputIds: question === undefined ? ids : ids.slice(0, question),
        labels: question === undefined ? labels : labels.slice(question),
        row: first + block.rows[row],
      };
    },
  };
}

function labelsOf({ labels }: TokenBlock, inputIds: Int32Array, start: number, end: number): Int32Array {
  if (labels instanceof Int32Array) return labels.slice(start, end);
  return inputIds.map((id, i) => labels[(start + i) >> 3] >> ((start + i) & 7) & 1 ? id : IGNORED);
}
