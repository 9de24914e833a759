// What a request to /v1/completions or /v1/chat/completions asks for, checked field by field.
import type { StreamOptions } from "../generate/streams_settings.ts";
import { isObject } from "../data/row.ts";
import {
  booleanField,
  type Fields,
  listField,
  numberField,
  objectField,
  refuse,
  textField,
  unsupported,
} from "./fields.ts";
import { Refusal } from "./errors.ts";

/** What both kinds of requests ask for. */
export interface Asked {
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Answers to each prompt. */
  readonly n: number;
  readonly stop: readonly string[];
  /** How tokens are chosen; the constraint comes from `format`. */
  readonly options: StreamOptions;
  /** Number of likeliest tokens that go with each token; undefined: no log-probabilities. */
  readonly logprobs?: number;
  /** What the answer must look like. */
  readonly format?: { readonly schema: Record<string, unknown> };
}

/** A request to /v1/chat/completions. */
export interface ChatAsked extends Asked {
  readonly messages: readonly Turn[];
}

/** A request to /v1/completions. */
export interface CompletionAsked extends Asked {
  /** Each a text or token ids. */
  readonly prompts: readonly (string | number[])[];
}

/** A turn of a conversation. */
export interface Turn {
  readonly role: string;
  readonly content: string;
}

/** Longest JSON that a request's numbers and texts may be asked with is limited by the body; these limit what they cost. */
const most = { n: 16, stops: 16, stopLength: 1000, prompts: 64 };

function commonFields(fields: Fields): Omit<Asked, "logprobs"> {
  const model = textField(fields, "model");
  if (!model) refuse("model", "the name of a model (see /v1/models)");
  const streamOptions = objectField(fields, "stream_options");
  const maxTokens = { least: 1, most: 1e6, whole: true };
  unsupported(fields, "tools", (tools) => Array.isArray(tools) && tools.length === 0);
  unsupported(fields, "functions", (list) => Array.isArray(list) && list.length === 0);
  unsupported(fields, "audio", () => false);
  unsupported(fields, "modalities", (kinds) => Array.isArray(kinds) && kinds.join() === "text");
  return {
    model: model!,
    stream: booleanField(fields, "stream") ?? false,
    includeUsage: streamOptions ? booleanField(streamOptions, "include_usage") ?? false : false,
    n: numberField(fields, "n", { least: 1, most: most.n, whole: true }) ?? 1,
    stop: stopStrings(fields),
    format: responseFormat(fields),
    options: {
      maxNewTokens: numberField(fields, "max_completion_tokens", maxTokens) ??
        numberField(fields, "max_tokens", maxTokens),
      temperature: numberField(fields, "temperature", { least: 0, most: 2 }),
      topP: topP(fields),
      topK: numberField(fields, "top_k", { least: 0, most: 1e6, whole: true }),
      repetitionPenalty: numberField(fields, "repetition_penalty", { least: 0.01, most: 100 }),
      frequencyPenalty: numberField(fields, "frequency_penalty", { least: -2, most: 2 }),
      presencePenalty: numberField(fields, "presence_penalty", { least: -2, most: 2 }),
      logitBias: logitBias(fields),
      seed: numberField(fields, "seed", {
        least: Number.MIN_SAFE_INTEGER,
        most: Number.MAX_SAFE_INTEGER,
        whole: true,
      }) ?? crypto.getRandomValues(new Uint32Array(1))[0],
    },
  };
}

/** OpenAI's clients send 0 for "only the likeliest". */
function topP(fields: Fields): number | undefined {
  const value = numberField(fields, "top_p", { least: 0, most: 1 });
  return value === 0 ? Number.MIN_VALUE : value;
}

function stopStrings(fields: Fields): string[] {
  const list = [fields.stop ?? []].flat();
  const fits = list.length <= most.stops &&
    list.every((stop) => typeof stop === "string" && stop !== "" && stop.length <= most.stopLength);
  if (!fits) refuse("stop", `a text or a list of at most ${most.stops} texts, none of them empty`);
  return list as string[];
}

function logitBias(fields: Fields): Map<number, number> | undefined {
  const biases = objectField(fields, "logit_bias");
  if (!biases) return undefined;
  return new Map(
    Object.entries(biases).map(([id, bias]) => {
      const fits = /^\d{1,9}$/.test(id) && typeof bias === "number" && Math.abs(bias) <= 100;
      return fits
        ? [Number(id), bias]
        : refuse("logit_bias", "an object from token ids to numbers from -100 to 100");
    }),
  );
}

function responseFormat(fields: Fields): Asked["format"] {
  const format = objectField(fields, "response_format");
  if (!format || format.type === "text") return undefined;
  if (format.type === "json_object") return { schema: { type: "object" } };
  const schema = isObject(format.json_schema) ? format.json_schema.schema : undefined;
  if (format.type === "json_schema" && isObject(schema)) return { schema };
  return refuse("response_format", 'of type "text", "json_object", or "json_schema" with json_schema.schema');
}

/** A request to /v1/chat/completions. */
export function chatRequest(fields: Fields): ChatAsked {
  const common = commonFields(fields);
  const top = numberField(fields, "top_logprobs", { least: 0, most: 20, whole: true });
  const logprobs = booleanField(fields, "logprobs") ?? false;
  if (top !== undefined && !logprobs) refuse("top_logprobs", "absent unless logprobs is true");
  const messages = listField(fields, "messages");
  if (!messages || messages.length === 0) refuse("messages", "a list of at least one message");
  return { ...common, logprobs: logprobs ? top ?? 0 : undefined, messages: messages!.map(turn) };
}

const roles = ["system", "developer", "user", "assistant", "tool"];

function turn(message: unknown, i: number): Turn {
  const at = `messages[${i}]`;
  if (!isObject(message)) return refuse(at, "an object");
  const { role } = message;
  if (typeof role !== "string" || !roles.includes(role)) refuse(`${at}.role`, `one of ${roles.join(", ")}`);
  return {
    role: role === "developer" ? "system" : role as string,
    content: contentText(message.content, at),
  };
}

function contentText(content: unknown, at: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) refuse(`${at}.content`, "a text, or a list of parts of type text");
  return (content as unknown[]).map((part) => {
    if (isObject(part) && part.type === "text" && typeof part.text === "string") return part.text;
    return refuse(`${at}.content`, "a text, or a list of parts of type text");
  }).join("");
}

/** A request to /v1/completions: several prompts, each as text or as token ids. */
export function completionRequest(fields: Fields): CompletionAsked {
  unsupported(fields, "echo", (echo) => echo === false);
  unsupported(fields, "suffix", (suffix) => suffix === "");
  unsupported(fields, "best_of", (best) => best === 1 || best === fields.n);
  const common = commonFields(fields);
  const logprobs = numberField(fields, "logprobs", { least: 0, most: 20, whole: true });
  return { ...common, logprobs, prompts: promptList(fields.prompt) };
}

function promptList(prompt: unknown): (string | number[])[] {
  const isIds = (value: unknown): value is number[] =>
    Array.isArray(value) && value.length > 0 && value.every((id) => Number.isSafeInteger(id) && id >= 0);
  if (typeof prompt === "string" || isIds(prompt)) return [prompt];
  const fits = Array.isArray(prompt) && prompt.length > 0 && prompt.length <= most.prompts &&
    prompt.every((entry) => typeof entry === "string" || isIds(entry));
  return fits ? prompt : refuse("prompt", `a text, token ids, or a list of at most ${most.prompts} of these`);
}

/** A prompt that leaves no room. */
export const tooLong = (message: string): Refusal =>
  new Refusal(400, message, { code: "context_length_exceeded" });
