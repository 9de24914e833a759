// One question to an OpenAI-compatible endpoint: where it is, its key, and how failures are told apart.

import { UserError } from "../errors.ts";
import type { Message } from "../text/chat_template.ts";
import { idleSignal } from "./idle.ts";
import { type Completion, piecesOf, readCompletion } from "./stream.ts";

/** An OpenAI-compatible endpoint: a service's, or a server's on this machine (llama.cpp, vLLM, Ollama). */
export interface Endpoint {
  /** The model's name there. */
  model: string;
  /** The URL before "/chat/completions"; default OPENAI_BASE_URL, or OpenAI's own. */
  baseURL?: string;
  /**
   * The environment variable that holds the key. Default OPENAI_API_KEY where `baseURL` is not given; to a `baseURL` of
   * yours no key is sent unless you name its variable here.
   */
  apiKeyEnv?: string;
  /** Default 0.7. */
  temperature?: number;
  /** The most tokens of an answer, thinking included; default 1024. */
  maxTokens?: number;
  /** Further fields of the request, such as { response_format: { type: "json_object" } }. */
  body?: Record<string, unknown>;
  /** How often a request is sent again after 408, 409, 425, 429, 5xx, a lost line, a cut or a senseless answer; default 5. */
  retries?: number;
  /** Seconds without a byte after which a request counts as lost, and a tenth of what a whole answer may take; default 120. */
  timeout?: number;
}

/** A request failed in a way that may pass. */
export class Passing extends Error {
  /** `wait`: seconds that the endpoint asks for. */
  constructor(message: string, readonly wait?: number) {
    super(message);
  }
}

/** The endpoint refused this very question; others may pass. */
export class Refused extends Error {}

/** An endpoint with its key looked up, which stays in this closure. */
export interface Client {
  /** Sends one request and fills `answer`; throws Passing, Refused, or a UserError when no request can succeed. */
  ask(messages: readonly Message[], answer: Completion, signal?: AbortSignal): Promise<void>;
}

/** Looks up address and key. */
export function openEndpoint(endpoint: Endpoint): Client {
  const { url, key } = addressOf(endpoint);
  checkNumbers(endpoint);
  const hide = (text: string) => isSecret(key) ? text.replaceAll(key, "[key]") : text;
  const headers = { "content-type": "application/json", ...key && { authorization: `Bearer ${key}` } };
  return {
    async ask(messages, answer, signal): Promise<void> {
      const idle = idleSignal(endpoint.timeout ?? 120, signal);
      try {
        const body = JSON.stringify(requestOf(endpoint, messages));
        // The key goes to this address and no other: a redirect is refused below.
        const response = await fetch(url, {
          method: "POST",
          redirect: "manual",
          headers,
          body,
          signal: idle.signal,
        });
        if (!response.ok) await refuse(response, url, hide);
        answer.begun = true;
        await readCompletion(response, answer, idle.touch);
      } catch (error) {
        if (error instanceof UserError || error instanceof Refused || signal?.aborted) throw error;
        const reason = idle.expired() ?? (error as Error).message;
        throw new Passing(hide(reason), error instanceof Passing ? error.wait : undefined);
      } finally {
        idle.stop();
        answer.text = hide(answer.text);
        answer.thinking = hide(answer.thinking);
      }
    },
  };
}

/** Servers on one's own machine take any word ("none", "ollama") as key: those may stand in an answer. */
const isSecret = (key?: string): key is string => key !== undefined && key.length >= 12;

function requestOf(endpoint: Endpoint, messages: readonly Message[]): Record<string, unknown> {
  const { model, temperature = 0.7, maxTokens = 1024, body } = endpoint;
  return {
    model,
    messages,
    temperature,
    max_tokens: maxTokens,
    stream: true,
    stream_options: { include_usage: true },
    ...body,
  };
}

function addressOf(endpoint: Endpoint): { url: string; key?: string } {
  if (typeof endpoint?.model !== "string" || endpoint.model === "") {
    throw new UserError('the endpoint needs a "model": the name by which it knows the teacher.');
  }
  const base = endpoint.baseURL ?? Deno.env.get("OPENAI_BASE_URL") ?? "https://api.openai.com/v1";
  const url = URL.parse(`${base.replace(/\/+$/, "")}/chat/completions`);
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    throw new UserError(
      "baseURL should be an http(s) address such as https://api.openai.com/v1, without name, password, ? and #.",
    );
  }
  const variable = endpoint.apiKeyEnv ?? (endpoint.baseURL === undefined ? "OPENAI_API_KEY" : undefined);
  const key = variable === undefined ? undefined : Deno.env.get(variable)?.trim();
  if (variable !== undefined && !key) {
    throw new UserError(`the environment variable ${variable} is not set: put the key of ${url.host} there.`);
  }
  if (key && /[^\x21-\x7e]/.test(key)) {
    throw new UserError(
      `the environment variable ${variable} holds more than a key: letters or spaces that none has.`,
    );
  }
  if (key && url.protocol === "http:" && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)) {
    throw new UserError(`the key would go to ${url.host} unencrypted: use https.`);
  }
  return { url: url.href, key };
}

/** The request's names for maxTokens: the budget rests on maxTokens, so a larger one among the further fields would burst it. */
const LIMITS = ["max_tokens", "max_completion_tokens"];

function checkNumbers(endpoint: Endpoint): void {
  const { maxTokens = 1024, retries = 5, timeout = 120, temperature = 0.7, body = {} } = endpoint;
  const larger = LIMITS.find((name) => Number(body[name]) > maxTokens);
  const wrong = larger !== undefined
    ? `body asks for ${larger} ${body[larger]}, more than maxTokens, ${maxTokens}: give it as maxTokens`
    : !Number.isInteger(maxTokens) || maxTokens < 1
    ? `maxTokens is ${maxTokens}: give a whole number of at least 1`
    : !Number.isInteger(retries) || retries < 0
    ? `retries is ${retries}: give a whole number, 0 or more`
    : !(timeout > 0 && timeout <= 86400)
    ? `timeout is ${timeout}: give seconds, more than 0 and at most a day`
    : !(temperature >= 0 && temperature < Infinity)
    ? `temperature is ${temperature}: give a number, 0 or more`
    : undefined;
  if (wrong) throw new UserError(`the endpoint's ${wrong}.`);
}

/** Status codes that may pass by themselves. */
const PASSING = new Set([408, 409, 425, 429]);
/** Status codes that are about the question, not about the asker. */
const ABOUT_QUESTION = new Set([400, 413, 422]);

async function refuse(response: Response, url: string, hide: (text: string) => string): Promise<never> {
  const { status, headers } = response, { host } = new URL(url);
  if (status >= 300 && status < 400) {
    await response.body?.cancel();
    const to = URL.parse(headers.get("location") ?? "", url)?.origin ?? "nowhere";
    throw new UserError(
      `${host} sends requests on to ${hide(to)}: give the address that answers as baseURL.`,
    );
  }
  const text = hide(await beginning(response)).replace(/\s+/g, " ").trim().slice(0, 300);
  const what = `${status}${text && ` (${text})`}`;
  if (PASSING.has(status) || status >= 500) throw new Passing(what, retryAfter(headers.get("retry-after")));
  if (ABOUT_QUESTION.has(status)) throw new Refused(what);
  throw new UserError(`${host} answers ${what}: check the address, the model's name and the key.`);
}

/** What a refusal says: more than a sentence needs, so that a key in it is whole when it is hidden. */
async function beginning(response: Response): Promise<string> {
  let text = "";
  for await (const piece of piecesOf(response, () => {})) {
    text += piece;
    if (text.length > 2000) break;
  }
  return text;
}

/** Seconds from now, from a number of them or a date; undefined for what has passed or makes no sense. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = /^\s*\d+(\.\d+)?\s*$/.test(header)
    ? Number(header)
    : (Date.parse(header) - Date.now()) / 1000;
  return seconds >= 0 && seconds < Infinity ? seconds : undefined;
}
