// @ts-check
// What the page asks of its server: the configuration, and answers as they come. Failures become sentences.

/**
 * @typedef {{ message: string, kind: "gone" | "key" | "busy" | "refused" }} Failure
 * @typedef {{ text?: string, finish?: string, tokens?: number, failure?: Failure }} Piece
 */

/** @param {string} key @returns {Record<string, string>} */
const keyHeader = (key) => key ? { authorization: `Bearer ${key}` } : {};

const GONE = "The server does not answer. Is it still running?";

/**
 * The page's configuration; without config.json the list of models alone.
 * @param {string} key
 * @returns {Promise<{ config?: any, failure?: Failure }>}
 */
export async function askConfig(key) {
  try {
    const response = await fetch("config.json", { headers: keyHeader(key) });
    if (response.ok) return { config: await response.json() };
    const models = await fetch("v1/models", { headers: keyHeader(key) });
    if (!models.ok) return { failure: await failureOf(models) };
    const { data } = await models.json();
    return { config: { models: data } };
  } catch {
    return { failure: { kind: "gone", message: GONE } };
  }
}

/**
 * An answer, piece by piece; what goes wrong is the last piece. A stop by the signal ends it without a word.
 * @param {Record<string, unknown>} request @param {string} key @param {AbortSignal} signal
 * @returns {AsyncGenerator<Piece>}
 */
export async function* askAnswer(request, key, signal) {
  let begun = false;
  try {
    const response = await fetch("v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", ...keyHeader(key) },
      body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
      signal,
    });
    if (!response.ok || !response.body) {
      yield { failure: await failureOf(response) };
      return;
    }
    let finished = false;
    for await (const piece of readEvents(response.body)) {
      begun = true;
      finished ||= piece.finish !== undefined || piece.failure !== undefined;
      yield piece;
    }
    if (!finished) {
      yield { failure: { kind: "gone", message: "The connection broke off before the answer's end." } };
    }
  } catch {
    if (signal.aborted) return;
    const message = begun ? "The connection broke off before the answer's end." : GONE;
    yield { failure: { kind: "gone", message } };
  }
}

/** The pieces in a stream of server-sent events. @param {ReadableStream<Uint8Array>} body @returns {AsyncGenerator<Piece>} */
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    while (true) {
      const { value, done } = await reader.read();
      const lines = (rest + (value ?? "")).split(/\r?\n/);
      rest = done ? "" : /** @type {string} */ (lines.pop());
      for (const line of lines) {
        if (line.startsWith("data:") && line.slice(5).trim() !== "[DONE]") yield* readEvent(line.slice(5));
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {string} data @returns {Generator<Piece>} */
function* readEvent(data) {
  const event = JSON.parse(data), [choice] = event.choices ?? [];
  if (event.error) {
    yield {
      failure: { kind: "refused", message: event.error.message ?? "The server broke off the answer." },
    };
  }
  if (choice?.delta?.content) yield { text: String(choice.delta.content) };
  if (choice?.finish_reason) yield { finish: choice.finish_reason };
  if (event.usage) yield { tokens: event.usage.completion_tokens };
}

/** What a response that is no success says. @param {Response} response @returns {Promise<Failure>} */
async function failureOf(response) {
  const { status } = response, text = await response.text().catch(() => "");
  if (status === 401 || status === 403) {
    return { kind: "key", message: "The server wants an API key: enter it in the settings." };
  }
  if (status === 429 || status === 503) {
    const wait = Number(response.headers.get("retry-after"));
    const when = wait > 0 ? `in ${wait} s` : "in a moment";
    return { kind: "busy", message: `The server is busy: try again ${when}.` };
  }
  if (status >= 502) return { kind: "gone", message: GONE };
  return { kind: "refused", message: errorText(text) ?? `The server refused the question (${status}).` };
}

/** OpenAI's error message, if the text is one. @param {string} text @returns {string | undefined} */
function errorText(text) {
  try {
    const { error } = JSON.parse(text), message = error?.message ?? error;
    return typeof message === "string" ? message.slice(0, 500) : undefined;
  } catch {
    return undefined;
  }
}
