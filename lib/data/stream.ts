// Rows that come one after another and are never all in memory.

import { UserError } from "../errors.ts";
import { Dataset } from "./dataset.ts";
import { seededRandom } from "./random.ts";
import { atRow, checkedCount, checkKept, keyText, type Row, type RowKey } from "./row.ts";
import { seenTexts } from "./seen.ts";
import { type SaveOptions, saveRows } from "./write.ts";

type Blocks<T> = AsyncIterable<readonly T[]>;

/**
 * Rows read as they are needed, for files larger than memory: as Hugging Face's IterableDataset. Operations say what will
 * happen to each row; nothing is read before the rows are asked for, by `for await`, `save` or `collect`, and each time anew.
 * Made by {@linkcode streamDataset} or {@linkcode RowStream.from}.
 *
 * @example
 * ```ts
 * import { RowStream } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const rows = RowStream.from([{ q: "bond" }, { q: "share" }, { q: "bond" }, { q: "fund" }]);
 * const short = rows.dedupe("q").filter((row) => row.q.length === 4).map((row) => ({ q: row.q.toUpperCase() }));
 * assert.deepEqual((await short.collect()).toArray(), [{ q: "BOND" }, { q: "FUND" }]);
 * ```
 */
export class RowStream<T = Row> implements AsyncIterable<T> {
  /** Where the rows come from, for messages. */
  readonly name: string;
  readonly #open: () => Blocks<T>;

  private constructor(name: string, open: () => Blocks<T>) {
    this.name = name;
    this.#open = open;
  }

  /** A stream of rows that come from something else: a list, a {@linkcode Dataset}, a generator (which gives its rows once). */
  static from<T>(rows: Iterable<T> | AsyncIterable<T>, name: string = "the stream"): RowStream<T> {
    return new RowStream(name, () => blocksOf(rows));
  }

  /** A stream of rows that come in blocks; `open` is called whenever the rows are asked for. */
  static ofBlocks<T>(open: () => AsyncIterable<readonly T[]>, name: string): RowStream<T> {
    return new RowStream(name, open);
  }

  /** The rows, one after another. Leaving the loop closes the files. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for await (const block of this.#open()) yield* block;
  }

  /** Each row replaced by what the function makes of it; a promise is waited for before the next row is read. */
  map<U>(change: (row: T, index: number) => U | Promise<U>): RowStream<U> {
    return this.#step(() => async (block, start) => {
      const changed: U[] = [];
      for (let i = 0; i < block.length; i++) {
        const value = atRow(this.name, start + i, () => change(block[i], start + i));
        changed.push(value instanceof Promise ? await value : value);
      }
      return changed;
    });
  }

  /** The rows for which the function is true. */
  filter(keep: (row: T, index: number) => boolean): RowStream<T> {
    return this.#step(() => (block, start) =>
      block.filter((row, i) => atRow(this.name, start + i, () => checkKept(keep(row, start + i))))
    );
  }

  /**
   * Without rows whose key appeared before. Only 128 bits of each key's hash are kept: 21 to 43 bytes a distinct row (while
   * the table grows, half as much again). That two different keys pass for one has a probability of about n^2 / 2^129 for n
   * rows.
   *
   * @param key a field's name, or a function that gives the key; keys that are not text are compared as JSON
   */
  dedupe(key: RowKey<T>): RowStream<T> {
    return this.#step(() => {
      const fresh = seenTexts();
      return (block, start) =>
        block.filter((row, i) => fresh(atRow(this.name, start + i, () => keyText(row, key))));
    });
  }

  /** The first `count` rows; nothing behind them is read. */
  take(count: number): RowStream<T> {
    checkedCount(count, "take");
    return this.#with(async function* (blocks) {
      let left = count;
      if (left === 0) return;
      for await (const block of blocks) {
        yield block.slice(0, left);
        left -= block.length;
        if (left <= 0) return;
      }
    });
  }

  /** All but the first `count` rows. */
  skip(count: number): RowStream<T> {
    checkedCount(count, "skip");
    return this.#with(async function* (blocks) {
      let left = count;
      for await (const block of blocks) {
        if (left < block.length) yield block.slice(left);
        left = Math.max(0, left - block.length);
      }
    });
  }

  /** These rows, then those of the others. */
  concat(...others: (Iterable<T> | AsyncIterable<T>)[]): RowStream<T> {
    return this.#with(async function* (blocks) {
      yield* blocks;
      for (const other of others) yield* other instanceof RowStream ? other.#open() : blocksOf(other);
    });
  }

  /**
   * The rows in an order that the seed decides, as far as a buffer reaches: each row changes places with one that is drawn
   * from the last `bufferSize`. For an even shuffle the buffer has to hold all rows; {@linkcode Dataset.shuffle} is that.
   *
   * @param seed an integer
   * @param bufferSize how many rows are kept in memory (default 10,000)
   */
  shuffle(seed: number, bufferSize: number = 10_000): RowStream<T> {
    if (!Number.isInteger(bufferSize) || bufferSize < 1) {
      throw new UserError(`bufferSize is ${bufferSize}: give a number of rows, 1 or more.`);
    }
    return this.#with(async function* (blocks) {
      const random = seededRandom(seed);
      const buffer: T[] = [];
      for await (const block of blocks) {
        const leaving: T[] = [];
        for (const row of block) {
          if (buffer.length < bufferSize) {
            buffer.push(row);
            continue;
          }
          const drawn = Math.floor(random() * bufferSize);
          leaving.push(buffer[drawn]);
          buffer[drawn] = row;
        }
        yield leaving;
      }
      yield new Dataset(buffer).shuffle(Math.floor(random() * 2 ** 32)).toArray();
    });
  }

  /**
   * Writes the rows to a .jsonl, .json, .csv or .tsv file (with .gz behind it packed), whole or not at all, as they come. The
   * columns of a CSV file are those of the first rows unless `columns` names them.
   *
   * @returns how many rows were written
   * @throws UserError for another ending, an existing file, or a row that the format cannot hold
   */
  async save(path: string, options: SaveOptions = {}): Promise<number> {
    return await saveRows(this.#open(), path, options);
  }

  /** All rows in memory. */
  async collect(): Promise<Dataset<T>> {
    const rows: T[] = [];
    for await (const block of this.#open()) for (const row of block) rows.push(row);
    return new Dataset(rows, this.name);
  }

  #with<U>(change: (blocks: Blocks<T>) => Blocks<U>): RowStream<U> {
    return new RowStream(this.name, () => change(this.#open()));
  }

  // A change of blocks that needs to know the number of their first row; what it remembers begins anew with each reading.
  #step<U>(
    begin: () => (block: readonly T[], start: number) => readonly U[] | Promise<readonly U[]>,
  ): RowStream<U> {
    return this.#with(async function* (blocks) {
      const change = begin();
      let start = 0;
      for await (const block of blocks) {
        yield await change(block, start);
        start += block.length;
      }
    });
  }
}

const BLOCK = 1024;

async function* blocksOf<T>(rows: Iterable<T> | AsyncIterable<T>): AsyncGenerator<readonly T[]> {
  if (Symbol.asyncIterator in rows) {
    for await (const row of rows) yield [row];
    return;
  }
  let block: T[] = [];
  for (const row of rows) {
    block.push(row);
    if (block.length < BLOCK) continue;
    yield block;
    block = [];
  }
  if (block.length > 0) yield block;
}
