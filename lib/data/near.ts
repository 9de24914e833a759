// Rows that say nearly the same: found by MinHash, held against each other by their exact similarity.

import { UserError } from "../errors.ts";
import { Dataset } from "./dataset.ts";
import { type NearIndex, nearIndex } from "./minhash.ts";
import { shingles, type TextKey, textsOf } from "./shingles.ts";

/** Options of {@linkcode nearDuplicates} and {@linkcode dedupeNear}. */
export interface NearOptions<T> {
  /** The field, or a function that gives the text, by which rows are compared. */
  key: TextKey<T>;
  /** Jaccard similarity of the sets of word runs from which on rows are near-duplicates, above 0 and at most 1; default 0.8. */
  threshold?: number;
  /** Words of a run; default 5. Shorter texts are one run: near only to texts of the same words. */
  ngram?: number;
  /** Permutations of the signature; default 128. More find surer at low thresholds. */
  numPerm?: number;
}

/** Two rows that are near-duplicates. */
export interface NearPair {
  /** The earlier row. */
  first: number;
  /** The later row. */
  second: number;
  /** Jaccard similarity of their word runs. */
  similarity: number;
}

/** What {@linkcode dedupeNear} gives. */
export interface NearReport<T> {
  /** The rows that stay, in their order. */
  kept: Dataset<T>;
  /** For each row that went: itself as `second`, and as `first` the row most like it among those that stay before it. */
  dropped: NearPair[];
  /** A line such as "fiqa.jsonl: 12 of 900 rows are near-duplicates (similarity 0.8 or more) of rows before them". */
  toString(): string;
}

/**
 * All pairs of rows that are near-duplicates: those whose sets of word runs (lower case, without punctuation) have a
 * Jaccard similarity of `threshold` or more. Candidates come from MinHash with banding (as in datasketch and text-dedup,
 * with the bands chosen so that a pair exactly at the threshold is found with 99 %), and each is compared wholly: what is
 * given is right, and what is missed is what lies next to the threshold.
 *
 * @param rows the rows
 * @param options see {@linkcode NearOptions}
 * @returns the pairs, ordered by their later row
 * @throws UserError for a row whose key is no text, or an option out of range
 *
 * @example
 * ```ts
 * import { nearDuplicates } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const rows = [
 *   { q: "What is the difference between a stock and a bond, and which of them has the higher risk?" },
 *   { q: "How do I pay less tax?" },
 *   { q: "what is the difference between a stock and a bond - and which of them has the higher risk" },
 * ];
 * assert.deepEqual(nearDuplicates(rows, { key: "q" }), [{ first: 0, second: 2, similarity: 1 }]);
 * ```
 */
export function nearDuplicates<T>(rows: Iterable<T>, options: NearOptions<T>): NearPair[] {
  const { texts, index, ngram } = indexed(rows, options);
  return texts.flatMap((text, second) => {
    const set = shingles(text, ngram);
    const found = index.query(set).map(({ item, similarity }) => ({ first: item, second, similarity }));
    index.add(second, set);
    return found.sort((a, b) => a.first - b.first);
  });
}

/**
 * A dataset without rows that are near-duplicates of rows before them: of each group the first stays. Every row that goes
 * is near to one that stays, and rows that stay are not near to one another (but for the pairs that MinHash misses, see
 * {@linkcode nearDuplicates}).
 *
 * @param dataset the rows
 * @param options see {@linkcode NearOptions}
 * @throws UserError as nearDuplicates
 *
 * @example
 * ```ts
 * import { Dataset, dedupeNear } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const rows = new Dataset([{ q: "Buy low, sell high." }, { q: "Pay your debts." }, { q: "buy low - sell high" }]);
 * const { kept, dropped } = dedupeNear(rows, { key: "q" });
 * assert.equal(kept.length, 2);
 * assert.deepEqual(dropped, [{ first: 0, second: 2, similarity: 1 }]);
 * ```
 */
export function dedupeNear<T>(dataset: Dataset<T>, options: NearOptions<T>): NearReport<T> {
  const { texts, index, ngram } = indexed(dataset, options);
  const dropped: NearPair[] = [];
  texts.forEach((text, second) => {
    const set = shingles(text, ngram);
    const nearest = index.query(set).sort((a, b) => b.similarity - a.similarity || a.item - b.item)[0];
    if (nearest) dropped.push({ first: nearest.item, second, similarity: nearest.similarity });
    else index.add(second, set);
  });
  const gone = new Set(dropped.map((pair) => pair.second));
  return {
    kept: dataset.filter((_, i) => !gone.has(i)),
    dropped,
    toString: () =>
      `${dataset.name}: ${dropped.length} of ${dataset.length} rows are near-duplicates (similarity ${
        options.threshold ?? 0.8
      } or more) of rows before them`,
  };
}

function indexed<T>(
  rows: Iterable<T>,
  options: NearOptions<T>,
): { texts: string[]; index: NearIndex; ngram: number } {
  const { key, threshold = 0.8, ngram = 5, numPerm = 128 } = options;
  checkNear(threshold, ngram, numPerm);
  const texts = textsOf(rows, key, rows instanceof Dataset ? rows.name : "the rows");
  return { texts, index: nearIndex(threshold, numPerm, texts.length), ngram };
}

/** Throws a UserError for options out of range. */
export function checkNear(threshold: number, ngram: number, numPerm: number): void {
  if (!(threshold > 0 && threshold <= 1)) {
    throw new UserError(`threshold is ${threshold}: give a similarity above 0 and at most 1.`);
  }
  for (const [name, value] of Object.entries({ ngram, numPerm })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new UserError(`${name} is ${value}: give a whole number of at least 1.`);
    }
  }
}
