// Text from a model: whole answers for many prompts at once, or one answer as it comes.
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { checkIds } from "../train/inspect.ts";
import { decode, type DecodeSettings } from "./decode.ts";

/** Options of {@linkcode generate} and {@linkcode streamText}, by Transformers' names. */
export interface GenerateOptions {
  /** Default 256. */
  maxNewTokens?: number;
  /** 0 (default) is greedy: always the likeliest token. Above 0 tokens are drawn from softmax(logits / temperature). */
  temperature?: number;
  /** Draw from the k likeliest tokens only; default 0: from all. */
  topK?: number;
  /** Draw from the smallest set of tokens with at least this probability; default 1: from all. */
  topP?: number;
  /** Above 1, tokens that have occurred (in the prompt too) get less likely; default 1. */
  repetitionPenalty?: number;
  /** No sequence of so many tokens occurs twice; default 0: off. */
  noRepeatNgramSize?: number;
  /** Same seed, same text; default 0. */
  seed?: number;
  /** Prompts that are answered at the same time; default 8. */
  batchSize?: number;
  /** Ends an answer; default: every EOS of the model. */
  eosTokenIds?: readonly number[];
  /** Stops; the answers so far are returned. */
  signal?: AbortSignal;
}

/**
 * Continues prompts. Text gives text, token ids give token ids (with the EOS that ended them); the prompt itself is not
 * repeated. Prompts of different lengths share a batch without padding.
 *
 * @throws UserError for text without a tokenizer, an empty prompt, or a prompt that leaves no room in the model's
 *   positions
 *
 * @example
 * ```ts
 * import { generate, loadModel } from "@fintune/fintune";
 * const model = await loadModel("tests/reference/llama_tied/model");
 * const [answer] = await generate(model, [[1, 15, 72, 91]], { maxNewTokens: 4, eosTokenIds: [] });
 * console.log(answer); // [ 51, 51, 37, 5 ]
 * ```
 */
export function generate(model: Model, prompt: string, options?: GenerateOptions): Promise<string>;
/** Token ids to token ids. */
export function generate(
  model: Model,
  prompt: readonly number[],
  options?: GenerateOptions,
): Promise<number[]>;
/** Many texts. */
export function generate(
  model: Model,
  prompts: Iterable<string>,
  options?: GenerateOptions,
): Promise<string[]>;
/** Many rows of token ids. */
export function generate(
  model: Model,
  prompts: Iterable<readonly number[]>,
  options?: GenerateOptions,
): Promise<number[][]>;
export async function generate(
  model: Model,
  input: string | Iterable<string> | Iterable<number> | Iterable<readonly number[]>,
  options: GenerateOptions = {},
): Promise<string | string[] | number[] | number[][]> {
  if (typeof input === "string") return (await generate(model, [input], options))[0];
  const list = [...input as Iterable<string | number | readonly number[]>];
  if (list.length > 0 && typeof list[0] === "number") {
    return (await generate(model, [list as number[]], options))[0];
  }
  const prompts = list.map((prompt, i) => promptIds(model, prompt as string | readonly number[], i, options));
  const answers = await answerAll(model, prompts, options);
  const { tokenizer } = model;
  return list.map((prompt, i) => typeof prompt === "string" ? tokenizer!.decode(answers[i]) : answers[i]) as
    | string[]
    | number[][];
}

/** All prompts in batches of similar length; the order of the answers is that of the prompts. */
async function answerAll(model: Model, prompts: number[][], options: GenerateOptions): Promise<number[][]> {
  const { batchSize = 8, seed = 0, signal } = options;
  const answers: number[][] = prompts.map(() => []);
  const order = prompts.map((_, i) => i).sort((a, b) => prompts[a].length - prompts[b].length);
  for (let start = 0; start < order.length && !signal?.aborted; start += batchSize) {
    const batch = order.slice(start, start + batchSize);
    // Every prompt draws its own numbers, whichever others stand in its batch.
    const ended = batch.map(() => false);
    const settings = settingsOf(model, batch.map((i) => prompts[i]), options);
    for await (
      const tokens of decode(model, batch.map((i) => prompts[i]), { ...settings, seed, streamIds: batch })
    ) {
      tokens.forEach((token, b) => {
        if (ended[b]) return;
        answers[batch[b]].push(token);
        ended[b] = ends(model, token, options);
      });
      if (ended.every((end) => end) || signal?.aborted) break;
    }
  }
  return answers;
}

/**
 * Yields an answer's text as it comes, in pieces that are whole characters.
 *
 * @throws UserError as {@linkcode generate}
 *
 * @example
 * ```ts ignore
 * import { financeQA, loadModel, streamText } from "@fintune/fintune";
 * const model = await loadModel("models/TinyLlama-1.1B-Chat-v1.0");
 * for await (const piece of streamText(model, financeQA.question({ instruction: "What is a bond?" }))) {
 *   console.log(piece);
 * }
 * ```
 */
export async function* streamText(
  model: Model,
  prompt: string,
  options: GenerateOptions = {},
): AsyncGenerator<string, void, void> {
  const ids = promptIds(model, prompt, 0, options);
  const tokens: number[] = [];
  let sent = "";
  const settings = settingsOf(model, [ids], options);
  for await (const [token] of decode(model, [ids], { ...settings, streamIds: [0] })) {
    if (ends(model, token, options) || options.signal?.aborted) break;
    tokens.push(token);
    const text = model.tokenizer!.decode(tokens);
    // A replacement character at the end is a character whose other bytes are still to come.
    if (text.endsWith("\ufffd") || !text.startsWith(sent)) continue;
    if (text.length > sent.length) yield text.slice(sent.length);
    sent = text;
  }
  const whole = model.tokenizer!.decode(tokens);
  if (whole.startsWith(sent) && whole.length > sent.length) yield whole.slice(sent.length);
}

const ends = (model: Model, token: number, { eosTokenIds = model.generation.eosTokenIds }: GenerateOptions) =>
  eosTokenIds.includes(token);

function promptIds(
  model: Model,
  prompt: string | readonly number[],
  index: number,
  _options: GenerateOptions,
): number[] {
  const ids = typeof prompt === "string" ? tokenizerOf(model).encode(prompt) : [...prompt];
  if (ids.length === 0) throw new UserError(`Prompt ${index} is empty.`);
  checkIds(model, ids);
  const { maxPositionEmbeddings } = model.config;
  if (ids.length >= maxPositionEmbeddings) {
    throw new UserError(
      `Prompt ${index} has ${ids.length} tokens; the model has ${maxPositionEmbeddings} positions for prompt and answer: shorten it.`,
    );
  }
  return ids;
}

/** The tokenizer, or a sentence that says what is missing. */
export function tokenizerOf(model: Model): Tokenizer {
  if (!model.tokenizer) {
    throw new UserError(
      `${model.name} has no tokenizer.json: add the tokenizer's files, or pass token ids instead of text.`,
    );
  }
  return model.tokenizer;
}

function settingsOf(model: Model, prompts: number[][], options: GenerateOptions): DecodeSettings {
  const {
    maxNewTokens = 256,
    temperature = 0,
    topK = 0,
    topP = 1,
    repetitionPenalty = 1,
    noRepeatNgramSize = 0,
  } = options;
  const check = (name: string, value: number, fits: boolean, wanted: string) => {
    if (!fits) throw new UserError(`${name} is ${value}; it must be ${wanted}.`);
  };
  const whole = Number.isInteger;
  check(
    "maxNewTokens",
    maxNewTokens,
    whole(maxNewTokens) && maxNewTokens > 0,
    "a whole number of at least 1",
  );
  check("temperature", temperature, temperature >= 0 && Number.isFinite(temperature), "at least 0");
  check("topK", topK, whole(topK) && topK >= 0, "a whole number of at least 0");
  check("topP", topP, topP > 0 && topP <= 1, "above 0 and at most 1");
  check("repetitionPenalty", repetitionPenalty, repetitionPenalty > 0, "above 0");
  check(
    "noRepeatNgramSize",
    noRepeatNgramSize,
    whole(noRepeatNgramSize) && noRepeatNgramSize >= 0,
    "a whole number of at least 0",
  );
  const room = model.config.maxPositionEmbeddings - Math.max(...prompts.map(({ length }) => length));
  return {
    maxNewTokens: Math.min(maxNewTokens, room),
    pick: { temperature, topK, topP, repetitionPenalty, noRepeatNgramSize },
    seed: options.seed ?? 0,
    streamIds: [],
  };
}
