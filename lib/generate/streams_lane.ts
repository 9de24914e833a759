// The streams that a stack of adapters (see streams_adapters.ts) answers at the moment, a row of the cache each: new ones are
// read, then all go on by a token; they join and leave between tokens.
import { withReadyMagnitudes } from "../lora/dora.ts";
import type { Model } from "../models/model.ts";
import { rotaryTables } from "../models/rotary.ts";
import { reportApproximation } from "./approximation.ts";
import { type Columns, type PromptBatch, setupOf, upload } from "./batch.ts";
import { borrowDecoder, type Decoder, decodeStep } from "./decoder.ts";
import type { GenerationSetup } from "./graphs.ts";
import { readChunks } from "./prompts.ts";
import { createRowCache, type RowCache } from "./streams_cache.ts";
import {
  begin,
  emptyRow,
  isOver,
  isReading,
  leave,
  nextChunk,
  positionsOf,
  type Row,
  type Rows,
  rowWith,
} from "./streams_rows.ts";
import type { Stream } from "./streams_stream.ts";

/** Streams that go on together. */
export interface Lane {
  /** How many there are. */
  readonly size: number;
  /** Takes streams in; their prompts are read with the next steps. */
  join(streams: readonly Stream[]): void;
  /** A chunk of the new prompts, then one token more of every stream; those that are over leave. */
  step(): Promise<void>;
  /** Gives back what it holds. */
  free(): void;
}

export interface LaneSettings {
  /** Rows at most. */
  readonly maxStreams: number;
  /** Positions of a row at most. */
  readonly maxLength: number;
  /** Whether each stream counts only columns of its own of the adapter. */
  readonly choosing: boolean;
  /** Told how many tokens of prompts have been read. */
  onRead(tokens: number): void;
}

/** What a step works with. */
interface Running {
  readonly batch: PromptBatch & { readonly cache: RowCache };
  readonly decoder: Decoder;
  readonly rows: Rows;
  /** Rows whose prompts are being read, the next one first. */
  line: Row[];
}

/** A decoder's lane. */
export async function openLane(
  given: Model,
  { maxStreams, maxLength, choosing, onRead }: LaneSettings,
): Promise<Lane> {
  const { model, free } = await withReadyMagnitudes(given);
  const { device, config } = model;
  const { cos, sin } = rotaryTables(device, config, maxLength);
  const setup: GenerationSetup = { ...setupOf(model), ...(choosing ? { choosing } : {}) };
  const { decoder, release } = await borrowDecoder({ model, setup }).catch((error) => {
    free();
    throw error;
  });
  // One position more: where a GPU's empty rows write.
  const cache = createRowCache(device, config, {
    streams: maxStreams,
    longest: maxLength + 1,
    room: decoder.program.caches,
  });
  const rows: Rows = setup.cacheOnDevice ? Array(maxStreams).fill(undefined) : [];
  const columns = (row: number): Columns => rows[row]?.columns ?? [0, 0];
  const batch = { model, prompts: [], setup, rotary: { cos, sin }, cache, columns };
  const running: Running = { batch, decoder, rows, line: [] }, joining: Stream[] = [];
  return {
    get size() {
      const all = [...joining, ...rows.flatMap((row) => row?.streams ?? [])];
      return all.filter(({ over }) => !over).length;
    },
    join: (streams) => void joining.push(...streams),
    async step() {
      await letIn(running, joining.splice(0).filter(({ over }) => !over));
      if (running.line.length > 0) onRead(await read(running));
      if (rows.some((row) => row && !isReading(row) && !isOver(row))) await goOn(running);
    },
    free() {
      for (const row of rows) row?.held.past?.free();
      cache.free();
      release();
      free();
    },
  };
}

/** Who is over leaves, and new ones begin: from a prompt that is read already, or in a row of their own. */
async function letIn(running: Running, streams: readonly Stream[]): Promise<void> {
  const { batch: { cache, setup }, rows } = running, others: Stream[] = [];
  for (const stream of streams) {
    const row = rowWith(stream, rows);
    if (row && !isReading(row) && isOver(row)) answerFrom(row, stream);
    else others.push(stream);
  }
  await leave(rows, setup.cacheOnDevice ? undefined : cache);
  const fresh: Stream[] = [];
  for (const stream of others) {
    const row = rowWith(stream, rows);
    if (row?.first) await branch(running, row, [stream]);
    else fresh.push(stream);
  }
  running.line = [...running.line.filter((row) => rows.includes(row)), ...begin(fresh, rows)];
  fit(running);
}

const fit = ({ batch: { cache }, rows }: Running): void =>
  cache.fit(rows.length, Math.max(0, ...rows.map((row) => row ? positionsOf(row) : 0)) + 1);

/** The stream begins behind the prompt that the row holds. */
function answerFrom(row: Row, stream: Stream): void {
  row.streams = [stream];
  stream.take(row.first!);
}

/** Streams with the same prompt get copies of the row. */
async function branch(running: Running, row: Row, streams: readonly Stream[]): Promise<void> {
  const { batch: { cache }, rows } = running, from = rows.indexOf(row);
  if (streams.length === 0) return;
  const to = streams.map((stream) => {
    const at = emptyRow(rows);
    rows[at] = { ...row, streams: [stream], held: {} };
    return at;
  });
  fit(running);
  await cache.copy(from, to);
  for (const stream of streams) stream.take(row.first!);
}

/** Reads a chunk of the prompts, and picks the first tokens of those that end with it; the number of tokens. */
async function read(running: Running): Promise<number> {
  const { batch, decoder, rows } = running, { device, config: { vocabSize } } = batch.model;
  const chunk = nextChunk(running.line, rows);
  const own = { ...batch, cache: batch.cache, prompts: rows.map((row) => row?.prompt ?? []) };
  const logits = await readChunks(own, decoder, [chunk], running.line[0].held);
  if (chunk.ends.length === rows.length) await reportApproximation(own, decoder, logits);
  for (const { stream, position } of chunk.slots) rows[stream]!.read = position + 1;
  const ended = chunk.ends.map(({ stream }) => rows[stream]!);
  if (ended.length > 0) {
    const [all] = await device.read(logits) as Float32Array[];
    for (const row of ended) {
      const at = rows.indexOf(row) * vocabSize;
      row.first = all.slice(at, at + vocabSize);
    }
  }
  device.free(logits);
  for (const row of ended) await firstTokens(running, row);
  const left = running.line.filter(isReading);
  running.line = chunk.isPart && ended.length === 0 ? [...left.slice(1), left[0]] : left;
  return chunk.slots.length;
}

/** All who asked with a prompt begin to answer. */
async function firstTokens(running: Running, row: Row): Promise<void> {
  const [stream, ...others] = row.streams.filter(({ over }) => !over);
  row.held.past?.free();
  row.held.past = undefined;
  if (!stream) return; // they have left meanwhile, and the row will
  answerFrom(row, stream);
  await branch(running, row, others);
}

/** A token more of all rows whose prompts are read. */
async function goOn({ batch, decoder, rows }: Running): Promise<void> {
  const { device, config: { vocabSize } } = batch.model;
  // The others take part too, and write where nobody reads, or what is still to be read will be written.
  const idle = batch.cache.capacity - 1;
  const slots = rows.map((row, stream) => {
    if (!row) return { stream, position: idle };
    return { stream, position: isReading(row) ? row.read : positionsOf(row) - 1 };
  });
  const ids = upload(batch, rows.map((row) => row?.streams[0].answer.at(-1) ?? 0));
  const logits = await decodeStep(batch, decoder, ids, slots);
  const [all] = await device.read(logits) as Float32Array[];
  rows.forEach((row, i) => {
    if (row && !isReading(row)) row.streams[0].take(all.subarray(i * vocabSize, (i + 1) * vocabSize));
  });
  device.free(ids, logits);
}
