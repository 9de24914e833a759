// The streams that one adapter (or the base) answers at the moment, a row of the cache each: new ones are read, then all go
// on by a token; they join and leave between tokens.
import type { Tensor } from "../engine/tensor.ts";
import { withReadyMagnitudes } from "../lora/dora.ts";
import { activeAdapter, headName, type Model } from "../models/model.ts";
import { rotaryTables } from "../models/rotary.ts";
import { type PromptBatch, upload } from "./batch.ts";
import { borrowDecoder, type Decoder, decodeStep, reportApproximation } from "./decoder.ts";
import type { GenerationSetup } from "./graphs.ts";
import { readPrompts } from "./prompts.ts";
import { createRowCache, type RowCache } from "./streams_cache.ts";
import type { Stream } from "./streams_stream.ts";

/** Streams that go on together. */
export interface Lane {
  /** How many there are. */
  readonly size: number;
  /** Takes streams in, which are read with the next step. */
  join(streams: readonly Stream[]): void;
  /** One token more of every stream; those that are over leave. */
  step(): Promise<void>;
  /** Gives back what it holds. */
  free(): void;
}

export interface LaneSettings {
  /** Rows at most. */
  readonly maxStreams: number;
  /** Positions of a row at most. */
  readonly maxLength: number;
}

/** Tokens of new prompts that are read between two tokens of the others: they wait for it. */
const readAtOnce = 512;

/** A decoder's lane. */
export async function openLane(given: Model, { maxStreams, maxLength }: LaneSettings): Promise<Lane> {
  const { model, free } = await withReadyMagnitudes(given);
  const { device, config } = model;
  const { cos, sin } = rotaryTables(device, config, maxLength);
  const setup: GenerationSetup = {
    config,
    lora: activeAdapter(model)?.config,
    table: headName(model),
    cacheOnDevice: device.backend === "webgpu",
  };
  // One position more: where a GPU's empty rows write.
  const cache = createRowCache(device, config, maxStreams, maxLength + 1);
  const batch = { model, prompts: [], setup, rotary: { cos, sin }, cache };
  const { decoder, release } = await borrowDecoder(batch).catch((error) => {
    cache.free();
    free();
    throw error;
  });
  const rows: (Stream | undefined)[] = setup.cacheOnDevice ? Array(maxStreams).fill(undefined) : [];
  const joining: Stream[] = [];
  return {
    get size() {
      return joining.length + rows.filter((stream) => stream).length;
    },
    join: (streams) => void joining.push(...streams),
    async step() {
      leave(rows, setup.cacheOnDevice ? undefined : cache);
      const fresh = placed(rows, joining);
      cache.fit(rows.length, Math.max(0, ...rows.map((stream) => stream ? positionsOf(stream) : 0)) + 1);
      if (fresh.size > 0) await read(batch, decoder, rows, fresh);
      if (rows.some((stream) => stream && !stream.over)) await goOn(batch, decoder, rows);
    },
    free() {
      release();
      cache.free();
      free();
    },
  };
}

/** Positions that a stream has in the cache once its last token is read. */
const positionsOf = ({ prompt, answer }: Stream) => prompt.length + answer.length;

/** Streams that are over leave their rows; where rows stand behind one another (CPU) the last one moves up. */
function leave(rows: (Stream | undefined)[], cache: RowCache | undefined): void {
  for (let row = rows.length - 1; row >= 0; row--) {
    if (!rows[row]?.over) continue;
    rows[row] = undefined;
    if (!cache) continue;
    const last = rows.length - 1;
    if (row !== last) cache.move(last, row);
    rows[row] = rows[last];
    rows.pop();
  }
}

/** Puts joining streams into rows, as many as are read at once; these rows. */
function placed(rows: (Stream | undefined)[], joining: Stream[]): Map<number, Stream> {
  const fresh = new Map<number, Stream>();
  let tokens = 0;
  while (joining.length > 0 && (tokens === 0 || tokens + joining[0].prompt.length <= readAtOnce)) {
    const stream = joining.shift()!;
    if (stream.over) continue;
    const empty = rows.indexOf(undefined), row = empty < 0 ? rows.length : empty;
    rows[row] = stream;
    fresh.set(row, stream);
    tokens += stream.prompt.length;
  }
  return fresh;
}

type LaneBatch = PromptBatch & { readonly cache: RowCache };

/** Reads the prompts of new rows, and picks their first tokens. */
async function read(
  batch: LaneBatch,
  decoder: Decoder,
  rows: readonly (Stream | undefined)[],
  fresh: ReadonlyMap<number, Stream>,
): Promise<void> {
  const own: PromptBatch = {
    ...batch,
    cache: batch.cache,
    prompts: rows.map((_, row) => fresh.get(row)?.prompt ?? []),
  };
  const logits = await readPrompts(own, decoder);
  if (fresh.size === rows.length) await reportApproximation(own, decoder, logits);
  await take(batch, logits, fresh);
}

/** A token more of all rows. */
async function goOn(
  batch: LaneBatch,
  decoder: Decoder,
  rows: readonly (Stream | undefined)[],
): Promise<void> {
  // An empty row (GPU) writes where nobody reads.
  const last = batch.cache.capacity - 1;
  const slots = rows.map((stream, row) => ({
    stream: row,
    position: stream ? positionsOf(stream) - 1 : last,
  }));
  const ids = upload(batch, rows.map((stream) => stream?.answer.at(-1) ?? 0));
  const logits = await decodeStep(batch, decoder, ids, slots);
  batch.model.device.free(ids);
  const taking = new Map<number, Stream>();
  rows.forEach((stream, row) => stream && taking.set(row, stream));
  await take(batch, logits, taking);
}

/** Each stream's row of the logits, which are freed. */
async function take(
  { model: { device, config: { vocabSize } } }: LaneBatch,
  logits: Tensor,
  streams: ReadonlyMap<number, Stream>,
): Promise<void> {
  const [all] = await device.read(logits) as Float32Array[];
  for (const [row, stream] of streams) stream.take(all.subarray(row * vocabSize, (row + 1) * vocabSize));
  device.free(logits);
}
