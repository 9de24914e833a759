// Test rows that training rows give away: by shared runs of words, as GPT-3 and the evaluation harness look for them, and by
// near-duplicates, which find what is too short for that.

import { UserError } from "../errors.ts";
import type { Dataset } from "./dataset.ts";
import { nearIndex } from "./minhash.ts";
import { checkNear } from "./near.ts";
import { shingles, type TextKey, textsOf } from "./shingles.ts";

/** Options of {@linkcode decontaminate}. */
export interface DecontaminateOptions<T> {
  /** The field, or a function that gives the text, by which rows are compared. */
  key: TextKey<T>;
  /** Words of a run; default 13. Texts of fewer words are one run, which equals only that of the same words. */
  ngram?: number;
  /** The share of a test row's runs that a training row must hold to count; default 0: one run is enough. */
  threshold?: number;
  /** Runs that more training rows hold than this are common phrases and do not count; default 10. */
  common?: number;
  /** Jaccard similarity of runs of 5 words from which on rows are near-duplicates, which counts as well; default 0.8. */
  near?: number;
  /** Which rows go: the training rows (default), the test rows, or none. */
  drop?: "train" | "test" | "none";
}

/** A training row and a test row that have too much in common. */
export interface Overlap {
  /** The training row. */
  train: number;
  /** The test row. */
  test: number;
  /** Share of the test row's runs (common phrases left out) that the training row holds. */
  overlap: number;
  /** Their Jaccard similarity, where they are near-duplicates. */
  similarity?: number;
}

/** What {@linkcode decontaminate} gives. */
export interface Decontaminated<T> {
  /** The training rows that stay. */
  train: Dataset<T>;
  /** The test rows that stay. */
  test: Dataset<T>;
  /** Every pair that was found, ordered by training row, then test row. */
  overlaps: Overlap[];
  /** The training rows concerned. */
  trainRows: number[];
  /** The test rows concerned. */
  testRows: number[];
  /** A line that says how many. */
  toString(): string;
}

/**
 * Finds training rows that give test rows away, and leaves them out. Two rows count when they share a run of 13 words (lower
 * case, without punctuation) that is no common phrase, as in GPT-3 (appendix C) and the Language Model Evaluation Harness;
 * or when they are near-duplicates, as {@linkcode nearDuplicates} finds them.
 *
 * @param train training rows
 * @param test held-out rows
 * @param options see {@linkcode DecontaminateOptions}
 * @throws UserError for a row whose key is no text, or an option out of range
 *
 * @example
 * ```ts
 * import { Dataset, decontaminate } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const train = new Dataset([{ q: "What is a bond?" }, { q: "What is a share?" }], "train");
 * const test = new Dataset([{ q: "what is a bond" }], "test");
 * const clean = decontaminate(train, test, { key: "q" });
 * assert.deepEqual(clean.train.toArray(), [{ q: "What is a share?" }]);
 * assert.deepEqual(clean.overlaps, [{ train: 0, test: 0, overlap: 1, similarity: 1 }]);
 * ```
 */
export function decontaminate<T>(
  train: Dataset<T>,
  test: Dataset<T>,
  options: DecontaminateOptions<T>,
): Decontaminated<T> {
  const { key, ngram = 13, threshold = 0, common = 10, near = 0.8, drop = "train" } = options;
  checkNear(near, ngram, 128);
  if (!(threshold >= 0 && threshold <= 1)) {
    throw new UserError(`threshold is ${threshold}: give a share from 0 to 1.`);
  }
  const [trainTexts, testTexts] = [textsOf(train, key, train.name), textsOf(test, key, test.name)];
  const pairs = new Map<string, Overlap>();
  for (const pair of sharedRuns(trainTexts, testTexts, ngram, common)) {
    if (pair.overlap >= threshold) pairs.set(`${pair.train} ${pair.test}`, pair);
  }
  for (const pair of similar(trainTexts, testTexts, near)) {
    const place = `${pair.train} ${pair.test}`;
    pairs.set(place, { ...pairs.get(place) ?? { ...pair, overlap: 0 }, similarity: pair.similarity });
  }
  const overlaps = [...pairs.values()].sort((a, b) => a.train - b.train || a.test - b.test);
  const [trainRows, testRows] = [rowsOf(overlaps, "train"), rowsOf(overlaps, "test")];
  const without = (rows: Dataset<T>, gone: number[]) => {
    const set = new Set(gone);
    return rows.filter((_, i) => !set.has(i));
  };
  return {
    train: drop === "train" ? without(train, trainRows) : train,
    test: drop === "test" ? without(test, testRows) : test,
    overlaps,
    trainRows,
    testRows,
    toString: () =>
      `${trainRows.length} of ${train.length} training rows (${train.name}) overlap ${testRows.length} of ${test.length} ` +
      `test rows (${test.name})${
        drop === "none" || overlaps.length === 0
          ? ""
          : `; these ${drop === "train" ? "training" : "test"} rows are left out`
      }`,
  };
}

function rowsOf(overlaps: Overlap[], side: "train" | "test"): number[] {
  return [...new Set(overlaps.map((pair) => pair[side]))].sort((a, b) => a - b);
}

/** A run of the test rows: the rows that hold it, and the training rows that do, until these are too many. */
interface Run {
  test: number[];
  train: number[];
}

function sharedRuns(train: string[], test: string[], ngram: number, common: number): Overlap[] {
  const runs = new Map<number, Run>();
  const counts = test.map((text, row) => {
    const hashes = shingles(text, ngram);
    for (const hash of hashes) {
      const run = runs.get(hash);
      if (run) run.test.push(row);
      else runs.set(hash, { test: [row], train: [] });
    }
    return hashes.length;
  });
  train.forEach((text, row) => {
    for (const hash of shingles(text, ngram)) {
      const run = runs.get(hash);
      if (run && run.train.length <= common) run.train.push(row);
    }
  });
  const shared = new Map<number, number>();
  for (const run of runs.values()) {
    if (run.train.length > common) continue;
    for (const i of run.train) {
      for (const j of run.test) shared.set(i * test.length + j, (shared.get(i * test.length + j) ?? 0) + 1);
    }
  }
  return Array.from(shared, ([place, count]) => {
    const row = place % test.length;
    return { train: Math.floor(place / test.length), test: row, overlap: count / counts[row] };
  });
}

function similar(
  train: string[],
  test: string[],
  near: number,
): { train: number; test: number; similarity: number }[] {
  const index = nearIndex(near, 128, test.length);
  test.forEach((text, row) => index.add(row, shingles(text, 5)));
  return train.flatMap((text, row) =>
    index.query(shingles(text, 5)).map(({ item, similarity }) => ({ train: row, test: item, similarity }))
  );
}
