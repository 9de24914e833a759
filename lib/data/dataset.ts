// Rows in memory, never changed: every operation gives a new Dataset over the same row objects.

import { checkGiven } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { permutation } from "./random.ts";
import { atRow, checkedCount, checkKept, isObject, keyText, type Row, type RowKey } from "./row.ts";
import { columnsOf, type SaveOptions, saveRows } from "./write.ts";

/** Options of {@linkcode Dataset.split}. */
export interface SplitOptions {
  /** How many rows are held out: a number of rows (an integer), or a share of them (below 1; rounded up). */
  test: number;
  /** Which rows: decides the shuffle before the cut. Default 42. */
  seed?: number;
}

/**
 * An immutable list of rows. Operations that look at one row after another (map, filter, dedupe, take, skip, concat) and
 * those that need all of them (shuffle, split, select) give a new Dataset; the row objects themselves are shared.
 *
 * @example
 * ```ts
 * import { Dataset } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const rows = new Dataset([{ q: "bond" }, { q: "share" }, { q: "bond" }, { q: "fund" }]);
 * const { train, test } = rows.dedupe("q").split({ test: 1, seed: 42 });
 * assert.deepEqual([train.length, test.length], [2, 1]);
 * assert.deepEqual(rows.map((row) => row.q.toUpperCase()).toArray(), ["BOND", "SHARE", "BOND", "FUND"]);
 * ```
 */
export class Dataset<T = Row> implements Iterable<T> {
  /** Where the rows came from, for messages. */
  readonly name: string;
  readonly #rows: readonly T[];

  /** A dataset of these rows. */
  constructor(rows: Iterable<T>, name: string = "the dataset") {
    this.#rows = [...rows];
    this.name = name;
  }

  /** How many rows there are. */
  get length(): number {
    return this.#rows.length;
  }

  /** The rows, one after another. */
  [Symbol.iterator](): Iterator<T> {
    return this.#rows[Symbol.iterator]();
  }

  /** The row at an index; negative ones count from the end. */
  at(index: number): T {
    const row = this.#rows.at(index);
    if (row === undefined) {
      throw new UserError(`${this.name} has ${this.length} rows: there is no row ${index}.`);
    }
    return row;
  }

  /** The rows as a new array. */
  toArray(): T[] {
    return [...this.#rows];
  }

  /** Each row replaced by what the function makes of it. */
  map<U>(change: (row: T, index: number) => U): Dataset<U> {
    return this.#with(this.#rows.map((row, i) => atRow(this.name, i, () => change(row, i))));
  }

  /** The rows for which the function is true. */
  filter(keep: (row: T, index: number) => boolean): Dataset<T> {
    return this.#with(this.#rows.filter((row, i) => atRow(this.name, i, () => checkKept(keep(row, i)))));
  }

  /**
   * Without rows whose key appeared before: the first of each stays, in its place.
   *
   * @param key a field's name, or a function that gives the key; keys that are not text are compared as JSON
   */
  dedupe(key: RowKey<T>): Dataset<T> {
    const seen = new Set<string>();
    return this.filter((row) => {
      const text = keyText(row, key);
      return !seen.has(text) && seen.add(text) !== undefined;
    });
  }

  /** The rows in an order that the seed decides. */
  shuffle(seed: number): Dataset<T> {
    return this.select(permutation(this.length, seed));
  }

  /** The first `count` rows, or all when there are fewer. */
  take(count: number): Dataset<T> {
    return this.#with(this.#rows.slice(0, checkedCount(count, "take")));
  }

  /** All but the first `count` rows. */
  skip(count: number): Dataset<T> {
    return this.#with(this.#rows.slice(checkedCount(count, "skip")));
  }

  /** The rows at these indices, in this order. */
  select(indices: Iterable<number>): Dataset<T> {
    return this.#with(Array.from(indices, (i) => this.at(i)));
  }

  /**
   * Shuffles and cuts into two parts that share no row: `test` with the size asked for, `train` with the rest.
   *
   * @throws UserError when one of the parts would be empty
   */
  split(options: SplitOptions): { train: Dataset<T>; test: Dataset<T> } {
    checkGiven("split", options, "test");
    const { test, seed = 42 } = options;
    const count = test > 0 && test < 1 ? Math.ceil(test * this.length) : test;
    if (!Number.isInteger(count) || count < 1 || count >= this.length) {
      throw new UserError(
        `${this.name}: a test part of ${test} from ${this.length} rows leaves one part empty; give a share below 1 or 1 to ${
          this.length - 1
        } rows.`,
      );
    }
    const shuffled = this.shuffle(seed);
    return { train: shuffled.skip(count), test: shuffled.take(count) };
  }

  /** These rows, then those of the others. */
  concat(...others: Iterable<T>[]): Dataset<T> {
    return this.#with([this, ...others].flatMap((rows) => [...rows]));
  }

  /**
   * Writes the rows to a .jsonl, .json, .csv or .tsv file (with .gz behind it packed), whole or not at all.
   *
   * @param path where; the ending decides the format
   * @param options `overwrite: true` replaces a file that is already there; `columns` orders those of a CSV file
   * @throws UserError for another ending, an existing file, or a row that the format cannot hold
   */
  async save(path: string, options: SaveOptions = {}): Promise<void> {
    const tabular = /\.[ct]sv(\.gz)?$/i.test(path) && this.#rows.every(isObject);
    const columns = options.columns ?? (tabular ? columnsOf(this.#rows as readonly Row[]) : undefined);
    await saveRows(this.#blocks(), path, { ...options, columns });
  }

  /** A line such as "fiqa.jsonl: 900 rows (instruction, input, output)". */
  toString(): string {
    const first: unknown = this.#rows[0];
    const fields = typeof first === "object" && first !== null ? ` (${Object.keys(first).join(", ")})` : "";
    return `${this.name}: ${this.length} rows${fields}`;
  }

  #with<U>(rows: U[]): Dataset<U> {
    return new Dataset(rows, this.name);
  }

  // Some thousand rows at a time: the whole text need not fit into a string.
  async *#blocks(): AsyncGenerator<readonly T[]> {
    for (let start = 0; start < this.length; start += 4096) yield this.#rows.slice(start, start + 4096);
  }
}
