// serve: a model, with its adapters, behind an HTTP interface that OpenAI's clients speak, and with a page to chat on.
import { UserError } from "../errors.ts";
import type { Prompt } from "../data/prompt.ts";
import type { Model } from "../models/model.ts";
import { onFirstSignal } from "../train/signals.ts";
import { checkExposure } from "./guard.ts";
import { countCells, writeCounts } from "./counts.ts";
import { createEngine, type EngineOptions } from "./engine.ts";
import { type Http, type HttpSettings, listen } from "./http.ts";
import { openModels, type ServedModel } from "./models.ts";
import { schemaConstraints } from "./schemas.ts";
import { listenInThread } from "./thread.ts";
import type { PageConfig } from "./page/page.ts";

/** Options of {@linkcode serve}. */
export interface ServeOptions {
  /** Default 8000; 0 takes any that is free. */
  port?: number;
  /** Default "127.0.0.1": this machine alone. Any other address needs an `apiKey`. */
  hostname?: string;
  /** Requests must carry it as a bearer token (all but the page itself and /health); at least 8 characters. */
  apiKey?: string;
  /** Other names under which browsers may call this server; default: localhost and the hostname. */
  allowedHosts?: readonly string[];
  /** Origins ("https://example.com") whose pages may call this server; default: none but its own. */
  corsOrigins?: readonly string[];
  /** Answers that go on at the same time; default 8. */
  maxStreams?: number;
  /** Answers that may wait for a place; more are refused with 429. Default 100. */
  maxQueue?: number;
  /** Tokens of a prompt with its answer at most; default: the model's positions, at most 2,048. */
  maxLength?: number;
  /** How a chat's last question becomes the model's text, for models that were tuned without a chat template. */
  prompt?: Prompt;
  /** Longest time for an answer, in seconds; then it ends as it is. Default 600. */
  answerSeconds?: number;
  /** Longest body of a request; default 1,000,000 bytes. */
  maxBodyBytes?: number;
  /** What the page shows beside the models: title, examples, notice. */
  page?: Omit<PageConfig, "models" | "apiKey">;
  /** Stops the server, as `stop` does. */
  signal?: AbortSignal;
  /**
   * Ctrl-C and SIGTERM (as containers are stopped) stop the server: what has been asked is answered within 8 seconds, as
   * containers are killed after 10; a second one ends the process at once. Default false.
   */
  stopOnSignals?: boolean;
  /** Do not print the address. */
  quiet?: boolean;
}

/** A running server. */
export interface Server {
  /** Where it listens, such as http://127.0.0.1:8000. */
  readonly url: string;
  /** The names of /v1/models. */
  readonly models: readonly string[];
  /**
   * Takes no new requests, lets running answers end within so many seconds (default 10), ends the others as they are, and
   * frees the memory of the answers; the models stay.
   */
  stop(seconds?: number): Promise<void>;
  /** Resolves when the server has stopped. */
  readonly finished: Promise<void>;
}

/**
 * Serves models to OpenAI's clients: /v1/chat/completions and /v1/completions (streamed or not, with stop, seed, n, logprobs,
 * usage, response_format), /v1/models, /health, /metrics for Prometheus, and a page to chat on at /.
 *
 * What is asked at the same time is answered together, token by token (see {@linkcode openStreams}). One model is offered as
 * its base and with each of its adapters, under its folder's name: `NAME` and `NAME/ADAPTER`; several are offered under the
 * names that they are given. The same seed gives the same answer, and temperature 0 the answer of {@linkcode generate}.
 *
 * HTTP has a thread of its own: while the model computes, /health, /metrics and refusals are answered, and who leaves is noticed. Where the
 * library's own files must not be read (--allow-read; a package from a registry needs none) it stays in the main thread.
 *
 * Needs --allow-net. Without a chat template in the model's folder, chats need `prompt`.
 *
 * @throws UserError for an address that others can reach without an apiKey, a port that is taken, a model without a
 *   tokenizer, or answers that do not fit into memory
 *
 * @example
 * ```ts
 * import { financeQA, loadModel, serve } from "@fintune/fintune";
 * const model = await loadModel("examples/tiny/model");
 * const server = await serve(model, { port: 0, prompt: financeQA, quiet: true });
 * const response = await fetch(`${server.url}/v1/chat/completions`, {
 *   method: "POST",
 *   headers: { "content-type": "application/json" },
 *   body: JSON.stringify({
 *     model: server.models[0],
 *     messages: [{ role: "user", content: "What is a bond?" }],
 *     max_tokens: 8,
 *   }),
 * });
 * const { choices } = await response.json();
 * console.log(choices[0].message.content);
 * await server.stop();
 * ```
 */
export async function serve(
  models: Model | Readonly<Record<string, Model>>,
  options: ServeOptions = {},
): Promise<Server> {
  const { port = 8000, hostname = "127.0.0.1", apiKey, maxStreams = 8, maxQueue = 100, signal } = options;
  checkExposure(hostname, apiKey);
  checkNumbers(options);
  if (typeof models !== "object" || models === null) {
    throw new UserError(`serve needs a model, or models by their names; it got ${models}.`);
  }
  const counts = countCells();
  const served = openModels(models, {
    maxStreams,
    maxLength: options.maxLength,
    onChange: () => writeCounts(counts, all),
  });
  const all = new Set([...served.values()].map(({ streams }) => streams));
  const closeStreams = () => Promise.all([...all].map((streams) => streams.close()));
  const engine = createEngine({
    served,
    question: options.prompt && questionOf(options.prompt),
    schemaConstraint: schemaConstraints(),
  });
  const places = maxStreams + maxQueue;
  const settings = await settingsOf(served, { ...options, port, hostname, places, counts });
  let http: Http;
  try {
    http = await listenInThread(settings, engine) ?? listen(settings, engine);
  } catch (error) {
    await closeStreams();
    if (error instanceof Deno.errors.AddrInUse) {
      throw new UserError(`Port ${port} is taken: choose another, or 0 for any that is free.`);
    }
    const reason = (error as Error).message.split("\n")[0].replace(/\.$/, "");
    const hint = /net access/.test(reason)
      ? "run with --allow-net (-P=serve has it)"
      : "choose another hostname or port";
    throw new UserError(`The server cannot listen at ${hostname}, port ${port} (${reason}): ${hint}.`);
  }
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const url = `http://${host}:${http.port}`;
  if (!options.quiet) console.log(`${[...served.keys()].join(", ")} at ${url}`);

  let stopped: Promise<void> | undefined;
  const stop = (seconds: number = 10): Promise<void> =>
    stopped ??= (async () => {
      await http.stop(seconds);
      await closeStreams();
    })();
  const finished = http.finished.then(() => stop(0));
  const ignoreSignals = options.stopOnSignals && onFirstSignal(() => {
    if (!options.quiet) console.log("Answering what has been asked; once more leaves at once.");
    stop(8);
  });
  const onAbort = () => void stop();
  signal?.addEventListener("abort", onAbort);
  finished.finally(() => {
    signal?.removeEventListener("abort", onAbort);
    if (ignoreSignals) ignoreSignals();
  });
  if (signal?.aborted) onAbort();
  return { url, models: [...served.keys()], stop, finished };
}

function questionOf(prompt: Prompt): EngineOptions["question"] {
  return (turns) => {
    const last = turns.findLast(({ role }) => role === "user") ?? turns.at(-1)!;
    return prompt.question({ instruction: last.content, input: "" });
  };
}

async function settingsOf(
  served: ReadonlyMap<string, ServedModel>,
  options: ServeOptions & Pick<HttpSettings, "port" | "hostname" | "places" | "counts">,
): Promise<HttpSettings> {
  const { apiKey, page = {}, port, hostname, places, counts, answerSeconds = 600 } = options;
  const { chatPage, chatPageHeaders } = await import("./page/page.ts");
  const models = [...served.values()].map(({ id, base, adapter }) => ({
    id,
    base,
    adapter: adapter ?? undefined,
  }));
  return {
    port,
    hostname,
    models,
    places,
    counts,
    answerSeconds,
    guard: {
      hostname,
      apiKey,
      allowedHosts: listOf("allowedHosts", options.allowedHosts).map((host) => host.toLowerCase()),
      corsOrigins: listOf("corsOrigins", options.corsOrigins).map(originOf),
      maxBodyBytes: options.maxBodyBytes ?? 1e6,
      bodySeconds: 30,
    },
    page: {
      html: chatPage,
      headers: chatPageHeaders,
      config: { ...page, models, apiKey: apiKey !== undefined },
    },
  };
}

function listOf(name: string, given: readonly string[] = []): readonly string[] {
  if (Array.isArray(given) && given.every((entry) => typeof entry === "string")) return given;
  throw new UserError(`${name} is ${JSON.stringify(given)}; it must be a list of texts.`);
}

/** As browsers send it. */
function originOf(text: string): string {
  const origin = URL.parse(text)?.origin;
  if (origin !== undefined && origin !== "null") return origin;
  throw new UserError(`corsOrigins: ${JSON.stringify(text)} is no origin such as "https://example.com".`);
}

function checkNumbers({ port = 0, maxQueue = 0, answerSeconds = 1, maxBodyBytes = 1 }: ServeOptions): void {
  const check = (name: string, value: number, least: number, most: number) => {
    if (Number.isSafeInteger(value) && value >= least && value <= most) return;
    throw new UserError(`${name} is ${value}; it must be a whole number from ${least} to ${most}.`);
  };
  check("port", port, 0, 65535);
  check("maxQueue", maxQueue, 0, 1e6);
  check("answerSeconds", answerSeconds, 1, 2e6);
  check("maxBodyBytes", maxBodyBytes, 1, 1e9);
}
