// Continuous batching: requests that are in flight at the same time are answered together, token by token; each joins and
// leaves between two tokens, and has settings of its own.
import { setImmediate } from "node:timers";
import { checkModel } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { useAdapter } from "../lora.ts";
import { freeMemory } from "../models/memory.ts";
import type { Model } from "../models/model.ts";
import { formatBytes } from "../report/format.ts";
import { adapterStacks, type Stack } from "./streams_adapters.ts";
import { estimateGenerationMemory } from "./memory.ts";
import { type Lane, openLane } from "./streams_lane.ts";
import { settledStream, type StreamOptions } from "./streams_settings.ts";
import { createStream, type Stream, type StreamToken } from "./streams_stream.ts";
import { openT5Lane } from "./streams_t5.ts";

/** How much is answered at the same time. */
export interface StreamsOptions {
  /** Answers that go on at the same time; others wait. Default 8. */
  maxStreams?: number;
  /** Tokens of a prompt with its answer at most; default: the model's positions, at most 2,048. */
  maxLength?: number;
  /** Called when `running`, `waiting` or `promptTokens` may have changed. */
  onChange?: () => void;
}

/** A model that answers many requests at the same time. */
export interface TokenStreams {
  /** Tokens of a prompt with its answer at most. */
  readonly maxLength: number;
  /** Answers that go on at the moment. */
  readonly running: number;
  /** Requests that wait for a place. */
  readonly waiting: number;
  /** Tokens of prompts that have been read so far: requests with the same prompt at the same time share it. */
  readonly promptTokens: number;
  /**
   * Asks for an answer, whose tokens come as they are made; reading slowly holds nobody up. Leaving the loop early (or the
   * signal) gives the place to the next.
   *
   * @throws UserError at once for an option out of range or a prompt without room for an answer
   */
  submit(prompt: readonly number[], options?: StreamOptions): AsyncGenerator<StreamToken, void, void>;
  /** Ends what is being answered, and frees the memory; the model stays. */
  close(): Promise<void>;
}

/**
 * Opens a model for many requests at the same time. With several adapters on the base, each request chooses one; answers of
 * all of them and of the base go on in one batch, as long as their ranks together are at most a quarter of the model's width.
 * Adapters with DoRA, trained biases or a base of their own (PiSSA, LoftQ) are batched among themselves.
 *
 * Greedy answers are token for token those of {@linkcode generate}, whatever else is answered; drawn ones are the same for
 * the same seed. A long prompt is read in parts of 256 tokens, each followed by a token of every answer that goes on; who asks
 * with a prompt that another answer goes on from, or waits for, gets a copy of what was read.
 *
 * @throws UserError for an option out of range, or where keys and values of `maxStreams` answers of `maxLength` tokens do
 *   not fit into the free memory (CPU)
 *
 * @example
 * ```ts
 * import { loadModel, openStreams } from "@fintune/fintune";
 * const model = await loadModel("tests/reference/llama_tied/model");
 * const streams = openStreams(model, { maxStreams: 4, maxLength: 64 });
 * const ids: number[] = [];
 * for await (const { token } of streams.submit([1, 15, 72, 91], { maxNewTokens: 4, eosTokenIds: [] })) ids.push(token);
 * console.log(ids); // [ 51, 51, 37, 5 ]
 * await streams.close();
 * ```
 */
export function openStreams(model: Model, options: StreamsOptions = {}): TokenStreams {
  checkModel("openStreams", model);
  const { maxStreams = 8, maxLength = Math.min(model.config.maxPositionEmbeddings, 2048), onChange } =
    options;
  checkOptions(model, maxStreams, maxLength);
  const lanes = new Map<Stack, Promise<Lane>>(), stacks = adapterStacks(model);
  const waiting: { stream: Stream; stack: Stack }[] = [], joined = new Map<Stream, Stack>();
  let running = 0, promptTokens = 0, closed = false, work: Promise<void> | undefined;

  const onRead = (tokens: number) => {
    promptTokens += tokens;
    onChange?.();
  };
  const opened = async ({ model, choosing }: Stack): Promise<Lane> => {
    const own = await model();
    if (own.config.encoderDecoder) return await openT5Lane(own, onRead);
    return await openLane(own, { maxStreams, maxLength, choosing, onRead });
  };
  const laneOf = (stack: Stack): Promise<Lane> => {
    const lane = lanes.get(stack) ?? opened(stack);
    lanes.set(stack, lane);
    lane.catch(() => lanes.delete(stack)); // what failed for want of memory may succeed later
    return lane;
  };
  const openLanes = async () => await Promise.all(lanes.values());
  const count = async () => {
    running = (await openLanes()).reduce((sum, { size }) => sum + size, 0);
    for (const stream of joined.keys()) if (stream.over) joined.delete(stream);
  };
  /** A lane whose step has failed takes its own streams along, and no others. */
  const drop = (stack: Stack, lane: Lane, error: unknown) => {
    lanes.delete(stack);
    for (const [stream, own] of joined) if (own === stack) stream.end(error);
    lane.free();
  };
  /** Lets waiting requests in, as many as there are places. */
  const admit = async () => {
    while (waiting.length > 0 && running < maxStreams) {
      const { stream, stack } = waiting.shift()!;
      if (stream.over) continue;
      try {
        (await laneOf(stack)).join([stream]);
        joined.set(stream, stack);
        running++;
      } catch (error) {
        stream.end(error);
      }
    }
  };
  const answerAll = async () => {
    while (!closed) {
      await admit();
      onChange?.();
      if (running === 0) break;
      const begin = performance.now();
      for (const [stack, opened] of [...lanes]) {
        const lane = await opened;
        if (lane.size > 0) await lane.step().catch((error) => drop(stack, lane, error));
      }
      await count();
      onChange?.();
      await breathe(performance.now() - begin);
    }
  };

  return {
    maxLength,
    get running() {
      return running;
    },
    get waiting() {
      return waiting.filter(({ stream }) => !stream.over).length;
    },
    get promptTokens() {
      return promptTokens;
    },
    submit(prompt, request = {}) {
      if (closed) throw new UserError("These streams are closed: open new ones.");
      const settings = settledStream(model, prompt, request, maxLength);
      const { adapter = model.active ?? null } = request;
      if (adapter !== null) useAdapter(model, adapter); // refuses an unknown one
      const { stack, columns } = stacks.of(adapter);
      const start = model.config.encoderDecoder?.decoderStartTokenId,
        begun = start === undefined ? prompt : [start];
      const stream = createStream([...prompt], { ...settings, columns }, begun);
      waiting.push({ stream, stack });
      onChange?.();
      work ??= answerAll().finally(() => work = undefined);
      return stream.tokens();
    },
    async close() {
      closed = true;
      await work;
      for (const stream of [...joined.keys(), ...waiting.map(({ stream }) => stream)]) stream.end();
      for (const lane of await openLanes()) lane.free();
      lanes.clear();
      stacks.free();
    },
  };
}

/**
 * Lets the event loop turn, for whoever brings requests and fetches tokens: onnxruntime holds it for the whole of a step, and a
 * request needs many turns. A step that took longer is followed by more of them; they take microseconds where nothing waits.
 */
async function breathe(milliseconds: number): Promise<void> {
  const turns = Math.min(64, 1 + Math.floor(milliseconds));
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

function checkOptions(model: Model, maxStreams: number, maxLength: number): void {
  const { config, device } = model;
  if (!(Number.isSafeInteger(maxStreams) && maxStreams >= 1)) {
    throw new UserError(`maxStreams is ${maxStreams}; it must be a whole number of at least 1.`);
  }
  const positions = config.maxPositionEmbeddings;
  if (!(Number.isSafeInteger(maxLength) && maxLength >= 2 && maxLength <= positions)) {
    throw new UserError(
      `maxLength is ${maxLength}; it must be a whole number from 2 to the model's ${positions} positions.`,
    );
  }
  if (device.backend !== "cpu") return;
  const { cache, workspace } = estimateGenerationMemory(config, {
    streams: maxStreams,
    positions: maxLength,
  });
  const free = freeMemory();
  if (free === undefined || cache + workspace <= free) return;
  throw new UserError(
    `${maxStreams} answers of up to ${maxLength} tokens with their prompts need about ${
      formatBytes(cache + workspace)
    } beside the weights, but only ${formatBytes(free)} are free: lower maxStreams or maxLength.`,
  );
}
