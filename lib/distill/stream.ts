// The answer of /chat/completions: server-sent events piece by piece, or one JSON object from servers that do not stream.

import { isObject } from "../data/row.ts";

/** What an endpoint answered, or has answered so far. */
export interface Completion {
  /** Whether the endpoint took the question: from then on it bills it. */
  begun: boolean;
  /** The answer. */
  text: string;
  /** What came apart from it as `reasoning_content` (DeepSeek, vLLM), or "". */
  thinking: string;
  /** Tokens as the endpoint counted them, where it did. */
  usage?: { input: number; output: number };
  /** "stop", "length", "content_filter" ...; "" where the endpoint does not say. */
  finish: string;
}

/** An answer longer than this is no answer. */
const MOST_CHARACTERS = 2e6;

/**
 * Reads an answer to its end, piece by piece into `answer`; throws an Error that says what came instead. `touch` is called
 * for each piece, comments that only keep the line open included.
 */
export async function readCompletion(
  response: Response,
  answer: Completion,
  touch: () => void,
): Promise<void> {
  const type = response.headers.get("content-type") ?? "";
  if (type.includes("event-stream")) return await readEvents(piecesOf(response, touch), answer);
  const text = await Array.fromAsync(piecesOf(response, touch)).then((pieces) => pieces.join(""));
  if (text.trim() === "") throw new Error("the endpoint sent nothing");
  if (/^\s*</.test(text)) throw new Error("HTML instead of an answer: is this the endpoint's address?");
  // Some servers stream under another type.
  if (/^\s*(data|event|id|):/.test(text)) return await readEvents([text], answer);
  addWhole(answer, parse(text));
}

/** The body as text, up to {@linkcode MOST_CHARACTERS}. */
export async function* piecesOf(response: Response, touch: () => void): AsyncGenerator<string> {
  if (!response.body) return;
  let length = 0;
  const text = response.body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>);
  for await (const piece of text) {
    touch();
    length += piece.length;
    if (length > 10 * MOST_CHARACTERS) throw new Error("an answer without end");
    yield piece;
  }
}

async function readEvents(
  pieces: Iterable<string> | AsyncIterable<string>,
  answer: Completion,
): Promise<void> {
  const { createParser } = await import("eventsource-parser");
  let done = false;
  const parser = createParser({
    onEvent({ data }) {
      if (data.trim() === "[DONE]") done = true;
      else if (!done) addPiece(answer, parse(data));
    },
  });
  for await (const piece of pieces) {
    parser.feed(piece);
    if (done) return;
  }
  try {
    parser.feed("\n\n"); // some servers leave out the empty line behind their last event
  } catch { /* half an event: the line was cut */ }
  if (done) return;
  // Some servers leave out [DONE] and close after the piece that says why it ends; without either the line was cut.
  if (answer.finish === "") throw new Error("the stream was cut");
}

function addPiece(answer: Completion, piece: unknown): void {
  if (!isObject(piece)) throw new Error("rubbish instead of an answer");
  checkError(piece);
  const choice = Array.isArray(piece.choices) ? piece.choices[0] : undefined;
  const delta = isObject(choice) && isObject(choice.delta) ? choice.delta : {};
  if (typeof delta.content === "string") answer.text += delta.content;
  if (typeof delta.reasoning_content === "string") answer.thinking += delta.reasoning_content;
  if (isObject(choice) && typeof choice.finish_reason === "string") answer.finish = choice.finish_reason;
  answer.usage = usageOf(piece) ?? answer.usage;
  if (answer.text.length + answer.thinking.length > MOST_CHARACTERS) throw new Error("an answer without end");
}

function addWhole(answer: Completion, json: unknown): void {
  checkError(json);
  const choice = isObject(json) && Array.isArray(json.choices) ? json.choices[0] : undefined;
  if (!isObject(json) || !isObject(choice) || !isObject(choice.message)) {
    throw new Error("rubbish instead of an answer");
  }
  const { content, reasoning_content } = choice.message;
  if (typeof content === "string") answer.text = content;
  if (typeof reasoning_content === "string") answer.thinking = reasoning_content;
  if (typeof choice.finish_reason === "string") answer.finish = choice.finish_reason;
  answer.usage = usageOf(json);
}

/** Some endpoints say under the status 200 that something went wrong. */
function checkError(json: unknown): void {
  if (!isObject(json) || json.error === undefined || json.error === null) return;
  throw new Error(`error in the answer: ${JSON.stringify(json.error).slice(0, 200)}`);
}

function usageOf(json: Record<string, unknown>): Completion["usage"] {
  const { prompt_tokens: input, completion_tokens: output } = isObject(json.usage) ? json.usage : {};
  const sound = (count: unknown): count is number => Number.isSafeInteger(count) && (count as number) >= 0;
  return sound(input) && sound(output) ? { input, output } : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("rubbish instead of JSON");
  }
}
