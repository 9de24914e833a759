// What a request may ask for, held against the model: defaults, ranges, and room for the answer.
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import { checkIds } from "../train/inspect.ts";
import type { ConstraintSource } from "./constraint.ts";
import type { StreamSettings } from "./streams_stream.ts";

/** What one request asks for; defaults are those of `generate` with this model's generation_config.json. */
export interface StreamOptions {
  /** Default 256, or what room the model's positions leave. */
  maxNewTokens?: number;
  /** Tokens are drawn from softmax(logits / temperature); 0 is greedy. Default 0, unless the model's file says otherwise. */
  temperature?: number;
  /** Draw from the k likeliest tokens only; default 0: from all. */
  topK?: number;
  /** Draw from the smallest set of tokens with at least this probability; default 1: from all. */
  topP?: number;
  /** Above 1, tokens that have occurred (in the prompt too) get less likely; default 1. */
  repetitionPenalty?: number;
  /** No sequence of so many tokens occurs twice; default 0: off. */
  noRepeatNgramSize?: number;
  /** Taken off a token's logit for each time that the answer has it, as OpenAI's; default 0. */
  frequencyPenalty?: number;
  /** Taken off the logits of the tokens that the answer has, as OpenAI's; default 0. */
  presencePenalty?: number;
  /** Added to the logits of token ids. */
  logitBias?: ReadonlyMap<number, number>;
  /** Same seed, same answer, whatever else is answered at the time; default 0. */
  seed?: number;
  /** Decides the random numbers together with the seed: several answers to one prompt; default 0. */
  streamId?: number;
  /** End the answer; default: every EOS of the model. */
  eosTokenIds?: readonly number[];
  /** What may come: a grammar, a schema, choices. Each answer starts it anew. */
  constraint?: ConstraintSource;
  /** Give every token's log-probability, and those of so many of the likeliest (0 to 20). */
  logprobs?: number;
  /** Which of the model's adapters answers; null: the base alone. Default: the active one. */
  adapter?: string | null;
  /** Ends the answer. */
  signal?: AbortSignal;
}

/** Throws UserError for an option out of range, or a prompt without room for an answer in `maxLength` positions. */
export function settledStream(
  model: Model,
  prompt: readonly number[],
  options: StreamOptions,
  maxLength: number,
): StreamSettings {
  const { generation, config } = model;
  checkPrompt(model, prompt, maxLength);
  const room = config.encoderDecoder ? maxLength : maxLength - prompt.length;
  const whole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least;
  const sampled = options.temperature === undefined && generation.doSample === true;
  const settings = {
    maxNewTokens: options.maxNewTokens ?? generation.maxNewTokens ?? 256,
    temperature: options.temperature ?? (sampled ? generation.temperature ?? 1 : 0),
    topK: options.topK ?? generation.topK ?? (sampled ? 50 : 0),
    topP: options.topP ?? generation.topP ?? 1,
    repetitionPenalty: options.repetitionPenalty ?? generation.repetitionPenalty ?? 1,
    noRepeatNgramSize: options.noRepeatNgramSize ?? generation.noRepeatNgramSize ?? 0,
    frequencyPenalty: options.frequencyPenalty ?? 0,
    presencePenalty: options.presencePenalty ?? 0,
    logitBias: options.logitBias ?? new Map<number, number>(),
    seed: options.seed ?? 0,
    streamId: options.streamId ?? 0,
    eosTokenIds: options.eosTokenIds ?? generation.eosTokenIds,
  };
  const check = (name: keyof typeof settings, fits: (value: number) => boolean, wanted: string) => {
    const value = settings[name];
    if (typeof value !== "number" || !fits(value)) {
      throw new UserError(`${name} is ${value}; it must be ${wanted}.`);
    }
  };
  check("maxNewTokens", (n) => whole(n, 1), "a whole number of at least 1");
  check("temperature", (x) => x >= 0 && x < Infinity, "at least 0");
  check("topK", (n) => whole(n, 0), "a whole number of at least 0");
  check("topP", (x) => x > 0 && x <= 1, "above 0 and at most 1");
  check("repetitionPenalty", (x) => x > 0 && x < Infinity, "above 0");
  check("noRepeatNgramSize", (n) => whole(n, 0), "a whole number of at least 0");
  check("frequencyPenalty", Number.isFinite, "a number");
  check("presencePenalty", Number.isFinite, "a number");
  check("seed", Number.isSafeInteger, "a whole number");
  check("streamId", (n) => whole(n, 0), "a whole number of at least 0");
  const { logprobs, constraint, signal } = options;
  if (logprobs !== undefined && !(whole(logprobs, 0) && logprobs <= 20)) {
    throw new UserError(`logprobs is ${logprobs}; it must be a whole number from 0 to 20.`);
  }
  for (const [id, bias] of settings.logitBias) {
    checkIds(model, [id], "logitBias: token id");
    if (!Number.isFinite(bias)) {
      throw new UserError(`logitBias of token ${id} is ${bias}; it must be a number.`);
    }
  }
  const maxNewTokens = Math.min(settings.maxNewTokens, room);
  return { ...settings, maxNewTokens, logprobs, constraint: constraint?.start(maxNewTokens), signal };
}

function checkPrompt(model: Model, prompt: readonly number[], maxLength: number): void {
  if (prompt.length === 0) throw new UserError("The prompt is empty: give it at least one token.");
  checkIds(model, prompt, "The prompt: token id");
  // An encoder-decoder's answer has positions of its own.
  const most = model.config.encoderDecoder ? maxLength : maxLength - 1;
  if (prompt.length > most) {
    throw new UserError(
      `The prompt has ${prompt.length} tokens; there is room for ${maxLength} with the answer: shorten it.`,
    );
  }
}
