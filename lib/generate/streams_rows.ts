// The rows of a lane's cache: who answers from which, who begins where, and what is read next.
import type { Columns } from "./batch.ts";
import type { Chunk } from "./chunks.ts";
import type { HeldPast } from "./prompts.ts";
import type { RowCache } from "./streams_cache.ts";
import type { Stream } from "./streams_stream.ts";

/** One row. */
export interface Row {
  readonly prompt: readonly number[];
  /** Of the adapter that reads and answers. */
  readonly columns?: Columns;
  /** Who answers from it; as long as the prompt is being read, all who asked with the same one. */
  streams: Stream[];
  /** Tokens of the prompt that the cache holds. */
  read: number;
  /** The logits behind the prompt, once it is read: with these everybody begins who asks with the same one. */
  first?: Float32Array;
  /** What the prompt's parts hand on. */
  readonly held: HeldPast;
}

/** Rows by their number in the cache; empty ones among them only on a GPU. */
export type Rows = (Row | undefined)[];

/**
 * Tokens of prompts that are read between two tokens of the answers that go on: these wait for so many at most. With fewer
 * reading costs more, with more no less (1,024 tokens of SmolLM2: 3.9 s of one core's time by 64, 3.3 by 128, 2.8 by 256, 3.1
 * by 512, 3.2 at once).
 */
export const readAtOnce = 256;

export const isReading = (row: Row): boolean => row.first === undefined;

export const isOver = ({ streams }: Row): boolean => streams.every(({ over }) => over);

/** Positions that a row has in the cache once its last token is read. */
export const positionsOf = ({ prompt, streams }: Row): number =>
  prompt.length + Math.max(...streams.map(({ answer }) => answer.length));

const newRow = (stream: Stream): Row => ({
  prompt: stream.prompt,
  columns: stream.settings.columns,
  streams: [stream],
  read: 0,
  held: {},
});

const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a === b || (a.length === b.length && a.every((id, i) => id === b[i]));

/** The row whose prompt and adapter are this stream's, those that are being read first: they cost nothing. */
export function rowWith({ prompt, settings: { columns } }: Stream, rows: Rows): Row | undefined {
  const fits = (row: Row) => row.columns?.[0] === columns?.[0] && row.columns?.[1] === columns?.[1];
  const same = rows.filter((row) => row && fits(row) && isSame(row.prompt, prompt)) as Row[];
  return same.find(isReading) ?? same.find(isOver) ?? same[0];
}

/** The number of an empty row. */
export function emptyRow(rows: Rows): number {
  const empty = rows.indexOf(undefined);
  return empty < 0 ? rows.length : empty;
}

/** Streams whose prompts nobody has got rows of their own; these rows. */
export function begin(streams: readonly Stream[], rows: Rows): Row[] {
  const begun: Row[] = [];
  for (const stream of streams) {
    const reading = rowWith(stream, rows);
    if (reading && isReading(reading)) reading.streams.push(stream);
    else begun.push(rows[emptyRow(rows)] = newRow(stream));
  }
  return begun;
}

/** Rows that are over become empty; where rows stand behind one another (CPU) the last one moves up. */
export async function leave(rows: Rows, cache: RowCache | undefined): Promise<void> {
  for (let i = rows.length - 1; i >= 0; i--) {
    const row = rows[i];
    if (!row || !isOver(row)) continue;
    row.held.past?.free();
    rows[i] = undefined;
    if (!cache) continue;
    const last = rows.length - 1;
    if (i !== last) await cache.copy(last, [i]);
    rows[i] = rows[last];
    rows.pop();
  }
}

/**
 * The next tokens of the prompts in `line`: whole ones behind one another, or a part of a long one. The line is first come
 * first served, but who has had a part goes to its end.
 */
export function nextChunk(line: readonly Row[], rows: Rows, most: number = readAtOnce): Chunk {
  const slots: { stream: number; position: number }[] = [], ends: { place: number; stream: number }[] = [];
  const isPart = line[0].read > 0 || line[0].prompt.length > most;
  for (const row of isPart ? line.slice(0, 1) : line) {
    const { prompt, read } = row, stream = rows.indexOf(row), to = Math.min(prompt.length, read + most);
    if (!isPart && slots.length + prompt.length > most) break;
    for (let position = read; position < to; position++) slots.push({ stream, position });
    if (to === prompt.length) ends.push({ place: slots.length - 1, stream });
  }
  return { isPart, slots, ends };
}
