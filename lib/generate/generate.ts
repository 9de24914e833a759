// Text from a model: whole answers for many prompts at once, or one answer as it comes.
import { checkModel, checkTexts } from "../arguments.ts";
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { checkIds } from "../train/inspect.ts";
import { searchBeams } from "./beams.ts";
import { answerConstrained, streamConstrained } from "./constrained.ts";
import type { ConstraintSource } from "./constraint.ts";
import { decode } from "./decode.ts";

/**
 * Options of {@linkcode generate} and {@linkcode streamText}, by Transformers' names. As there, the model's own
 * generation_config.json comes before the defaults named here.
 */
export interface GenerateOptions {
  /** Default 256. */
  maxNewTokens?: number;
  /**
   * Draw tokens (true), or always take the likeliest (false: greedy). Default: whether `temperature` is above 0; without one
   * greedy, unless the model's file says otherwise.
   */
  doSample?: boolean;
  /** Tokens are drawn from softmax(logits / temperature); 0 is greedy. Default 1 where tokens are drawn. */
  temperature?: number;
  /** Draw from the k likeliest tokens only; default 0: from all (50 where only the model's file says that tokens are drawn). */
  topK?: number;
  /** Draw from the smallest set of tokens with at least this probability; default 1: from all. */
  topP?: number;
  /** Above 1, tokens that have occurred (in the prompt too) get less likely; default 1. */
  repetitionPenalty?: number;
  /** No sequence of so many tokens occurs twice; default 0: off. */
  noRepeatNgramSize?: number;
  /**
   * Beam search: so many answers of each prompt go on together, and the one with the best score is given. Default 1: none.
   * Tokens are then not drawn.
   */
  numBeams?: number;
  /** Beam search: scores are divided by the answer's length to this power, so that above 0 long answers gain; default 1. */
  lengthPenalty?: number;
  /**
   * Beam search ends a prompt's search when numBeams answers have ended (true), when none that goes on is likely to become
   * better (false, the default), or surely none ("never").
   */
  earlyStopping?: boolean | "never";
  /** Same seed, same text; default 0. */
  seed?: number;
  /** A number for each prompt, which decides its random numbers together with the seed; default 0, 1, 2 and so on. */
  streamIds?: readonly number[];
  /** Prompts that are answered at the same time; default 8. */
  batchSize?: number;
  /** Ends an answer; default: every EOS of the model. */
  eosTokenIds?: readonly number[];
  /**
   * What may come: JSON of a schema, texts of a pattern, choices. An answer that meets maxNewTokens is brought to its end
   * before; without `constraint` it is cut off.
   */
  constraint?: ConstraintSource;
  /** Stops; the answers so far are returned. */
  signal?: AbortSignal;
}

/**
 * Continues prompts. Text gives text, token ids give token ids (with the EOS that ended them); the prompt itself is not
 * repeated. Prompts of different lengths share a batch without padding. An encoder-decoder (T5) answers its prompts: the
 * encoder reads each once.
 *
 * @throws UserError for text without a tokenizer, an empty prompt, a prompt that leaves no room in the model's
 *   positions, or an option out of range
 *
 * @example
 * ```ts
 * import { generate, loadModel } from "@fintune/fintune";
 * const model = await loadModel("tests/reference/llama_tied/model");
 * const [answer] = await generate(model, [[1, 15, 72, 91]], { maxNewTokens: 4, eosTokenIds: [] });
 * console.log(answer); // [ 51, 51, 37, 5 ]
 *
 * const t5 = await loadModel("tests/reference/t5_gated_untied/model"); // reads the question, writes the answer
 * console.log(await generate(t5, [17, 42, 1], { maxNewTokens: 4, numBeams: 4 }));
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
  checkModel("generate", model);
  if (typeof input !== "string") checkTexts("generate", "a prompt, or prompts", input);
  if (typeof input === "string") return (await generate(model, [input], options))[0];
  const list = [...input as Iterable<string | number | readonly number[]>];
  if (list.length > 0 && typeof list[0] === "number") {
    return (await generate(model, [list as number[]], options))[0];
  }
  const settings = settled(model, options);
  const prompts = list.map((prompt, i) => promptIds(model, prompt as string | readonly number[], i));
  const answers = await answerAll(model, prompts, settings);
  const { tokenizer } = model;
  return list.map((prompt, i) => typeof prompt === "string" ? tokenizer!.decode(answers[i]) : answers[i]) as
    | string[]
    | number[][];
}

/** All prompts in batches of similar length; the order of the answers is that of the prompts. */
async function answerAll(model: Model, prompts: number[][], settings: Settings): Promise<number[][]> {
  const { batchSize, signal } = settings;
  const answers: number[][] = prompts.map(() => []);
  const { constraint } = settings;
  if (constraint && prompts.length > 0) {
    await answerConstrained(
      model,
      prompts,
      { ...settings, constraint },
      (i, token) => answers[i].push(token),
    );
    return answers;
  }
  const order = prompts.map((_, i) => i).sort((a, b) => prompts[a].length - prompts[b].length);
  for (let start = 0; start < order.length && !signal?.aborted; start += batchSize) {
    await answerBatch(model, prompts, order.slice(start, start + batchSize), settings, answers);
  }
  return answers;
}

/** Answers the prompts numbered `batch`: each draws its own random numbers, whichever others stand beside it. */
async function answerBatch(
  model: Model,
  prompts: readonly number[][],
  batch: number[],
  settings: Settings,
  answers: number[][],
): Promise<void> {
  const limits = batch.map((i) => Math.min(settings.maxNewTokens, room(model, prompts[i])));
  if (settings.numBeams > 1) {
    const found = await searchBeams(model, batch.map((i) => prompts[i]), limits, settings);
    found.forEach((tokens, b) => answers[batch[b]] = tokens);
    return;
  }
  const ended = batch.map(() => false);
  const streamIds = batch.map((i) => settings.streamIds?.[i] ?? i);
  const streams = { ...settings, maxNewTokens: Math.max(...limits), streamIds };
  for await (const tokens of decode(model, batch.map((i) => prompts[i]), streams)) {
    batch.forEach((i, b) => {
      if (ended[b]) return;
      answers[i].push(tokens[b]);
      ended[b] = settings.eosTokenIds.includes(tokens[b]) || answers[i].length === limits[b];
    });
    if (ended.every((end) => end) || settings.signal?.aborted) break;
  }
}

/**
 * Yields an answer's text as it comes, in pieces that are whole characters: together the text of {@linkcode generate} with the
 * same options, under a constraint too.
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
  const settings = settled(model, options), { eosTokenIds, signal } = settings;
  if (settings.numBeams > 1) {
    throw new UserError(
      "streamText cannot search beams, whose answer is known only at the end: use generate.",
    );
  }
  const ids = promptIds(model, prompt, 0);
  if (signal?.aborted) return;
  const tokens: number[] = [];
  let sent = 0;
  for await (const token of streamTokens(model, ids, settings)) {
    tokens.push(token);
    if (eosTokenIds.includes(token) || signal?.aborted) break;
    const text = model.tokenizer!.decode(tokens);
    // A replacement character at the end is a character whose other bytes are still to come.
    if (text.endsWith("\ufffd") || text.length <= sent) continue;
    yield text.slice(sent);
    sent = text.length;
  }
  const rest = model.tokenizer!.decode(tokens).slice(sent);
  if (rest.length > 0) yield rest;
}

/** One answer's tokens as they come. */
async function* streamTokens(
  model: Model,
  ids: number[],
  settings: Settings,
): AsyncGenerator<number, void, void> {
  const { constraint } = settings, one = { ...settings, streamIds: [settings.streamIds?.[0] ?? 0] };
  if (constraint) yield* streamConstrained(model, ids, { ...one, constraint });
  else {
    const maxNewTokens = Math.min(settings.maxNewTokens, room(model, ids));
    for await (const [token] of decode(model, [ids], { ...one, maxNewTokens })) yield token;
  }
}

function promptIds(model: Model, prompt: string | readonly number[], index: number): number[] {
  const ids = typeof prompt === "string" ? tokenizerOf(model).encode(prompt) : [...prompt];
  if (ids.length === 0) throw new UserError(`Prompt ${index} is empty: give it at least one token.`);
  checkIds(model, ids, `Prompt ${index}: token id`);
  if (room(model, ids) <= 0) {
    const { maxPositionEmbeddings } = model.config;
    throw new UserError(
      `Prompt ${index} has ${ids.length} tokens; the model has ${maxPositionEmbeddings} positions for prompt and answer: shorten it.`,
    );
  }
  return ids;
}

/** Positions that a prompt leaves for its answer. */
const room = ({ config }: Model, ids: readonly number[]) => config.maxPositionEmbeddings - ids.length;

/** The tokenizer, or a sentence that says what is missing. */
function tokenizerOf(model: Model): Tokenizer {
  if (!model.tokenizer) {
    throw new UserError(
      `${model.name} has no tokenizer.json: add the tokenizer's files, or pass token ids instead of text.`,
    );
  }
  return model.tokenizer;
}

/** The options that the loops use, with their defaults. */
type Settings =
  & Required<
    Pick<
      GenerateOptions,
      "maxNewTokens" | "seed" | "batchSize" | "eosTokenIds" | "numBeams" | "lengthPenalty" | "earlyStopping"
    >
  >
  & {
    pick: Required<
      Pick<GenerateOptions, "temperature" | "topK" | "topP" | "repetitionPenalty" | "noRepeatNgramSize">
    >;
    streamIds?: readonly number[];
    constraint?: ConstraintSource;
    signal?: AbortSignal;
  };

/** The caller's options, then the model's own settings, then defaults. */
function settled(model: Model, options: GenerateOptions): Settings {
  const { generation } = model, { seed = 0, batchSize = 8, streamIds, constraint, signal } = options;
  const asked = options.doSample ?? (options.temperature === undefined ? undefined : options.temperature > 0);
  const doSample = asked ?? generation.doSample ?? false;
  const temperature = options.temperature ?? (doSample ? generation.temperature ?? 1 : 0);
  const topK = options.topK ?? generation.topK ?? (asked === undefined && doSample ? 50 : 0);
  const maxNewTokens = options.maxNewTokens ?? generation.maxNewTokens ?? 256;
  const topP = options.topP ?? generation.topP ?? 1;
  const repetitionPenalty = options.repetitionPenalty ?? generation.repetitionPenalty ?? 1;
  const noRepeatNgramSize = options.noRepeatNgramSize ?? generation.noRepeatNgramSize ?? 0;
  const { eosTokenIds = generation.eosTokenIds } = options;
  const numBeams = options.numBeams ?? generation.numBeams ?? 1;
  const lengthPenalty = options.lengthPenalty ?? generation.lengthPenalty ?? 1;
  const earlyStopping = options.earlyStopping ?? generation.earlyStopping ?? false;
  const check = (fits: boolean, name: keyof GenerateOptions, wanted: string) => {
    if (!fits) throw new UserError(`${name} is ${options[name]}; it must be ${wanted}.`);
  };
  const whole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least;
  check(whole(maxNewTokens, 1), "maxNewTokens", "a whole number of at least 1");
  check(whole(batchSize, 1), "batchSize", "a whole number of at least 1");
  check(temperature >= 0 && temperature < Infinity, "temperature", "at least 0");
  check(options.doSample !== true || temperature > 0, "temperature", "above 0 where doSample is true");
  check(whole(topK, 0), "topK", "a whole number of at least 0");
  check(topP > 0 && topP <= 1, "topP", "above 0 and at most 1");
  check(repetitionPenalty > 0 && repetitionPenalty < Infinity, "repetitionPenalty", "above 0");
  check(whole(noRepeatNgramSize, 0), "noRepeatNgramSize", "a whole number of at least 0");
  check(whole(seed, -Infinity), "seed", "a whole number");
  check(whole(numBeams, 1), "numBeams", "a whole number of at least 1");
  check(Number.isFinite(lengthPenalty), "lengthPenalty", "a number");
  check([true, false, "never"].includes(earlyStopping), "earlyStopping", 'true, false or "never"');
  check(numBeams === 1 || !doSample, "numBeams", "1 where tokens are drawn (doSample or temperature)");
  check(numBeams === 1 || !constraint, "numBeams", "1 under a constraint");
  const pick = { temperature: doSample ? temperature : 0, topK, topP, repetitionPenalty, noRepeatNgramSize };
  const beams = { numBeams, lengthPenalty, earlyStopping };
  return { maxNewTokens, seed, batchSize, eosTokenIds, streamIds, constraint, signal, pick, ...beams };
}
