// Answers to a request as one JSON object, or as server-sent events while they are made.
import { endChunk, type Head, pieceChunk, roleChunk, type Usage, usageChunk, wholeBody } from "./bodies.ts";
import type { Piece, TokenChances } from "./choice.ts";
import { errorBody, Refusal } from "./errors.ts";

/** Answers on their way. */
export interface Running {
  readonly head: Head;
  /** Of all answers, in the order in which they are made. */
  readonly pieces: AsyncGenerator<Piece, void, void>;
  /** How many answers there are. */
  readonly count: number;
  readonly promptTokens: number;
  readonly includeUsage: boolean;
  /** Called with each piece, for the counters. */
  onPiece(piece: Piece): void;
  /** Called once: the answers are there, or (`left`) nobody wants them any more. */
  onEnd(left: boolean): void;
}

/** The pieces, counted. */
async function* counted({ pieces, onPiece }: Running): AsyncGenerator<Piece, void, void> {
  for await (const piece of pieces) {
    onPiece(piece);
    yield piece;
  }
}

/**
 * The answers as one object. The response is there with the first token, as long as something can still be refused with a
 * status of its own; from then on a client that closes the connection ends the answers.
 */
export async function wholeResponse(running: Running): Promise<Response> {
  const source = counted(running), first = await source.next();
  const lateEnd = !first.done && first.value.tokens === 0 && first.value.finish === "length";
  if (lateEnd) throw new Refusal(503, "The answer was not begun in time.", { retryAfter: 10 });
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      try {
        const whole = await collect(running, first.done ? [] : [first.value], source);
        controller.enqueue(new TextEncoder().encode(JSON.stringify(whole)));
        running.onEnd(false);
        controller.close();
      } catch (error) {
        running.onEnd(true);
        controller.error(error); // breaks the connection: the client sees that this is no answer
      }
    },
    cancel: () => running.onEnd(true),
  });
  return new Response(body, { headers: { "content-type": "application/json" } });
}

async function collect(
  running: Running,
  first: readonly Piece[],
  rest: AsyncGenerator<Piece, void, void>,
): Promise<object> {
  const usage: Usage = { prompt: running.promptTokens, completion: 0 };
  const choices = Array.from({ length: running.count }, (_, index) => ({
    index,
    text: "",
    logprobs: [] as TokenChances[],
    finish: "",
  }));
  const add = ({ index, text, logprobs, tokens, finish }: Piece) => {
    choices[index].text += text;
    choices[index].logprobs.push(...logprobs);
    choices[index].finish = finish ?? "";
    usage.completion += tokens;
  };
  first.forEach(add);
  for await (const piece of rest) add(piece);
  return wholeBody(running.head, choices, usage);
}

/** The answers as events; a client that closes the connection ends them. */
export function eventResponse(running: Running): Response {
  const encoder = new TextEncoder(), source = events(running);
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await source.next();
      if (done) {
        running.onEnd(false);
        controller.close();
      } else controller.enqueue(encoder.encode(`data: ${value}\n\n`));
    },
    cancel: () => running.onEnd(true),
  });
  const headers = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no", // a proxy in between must not wait for the end
  };
  return new Response(body, { headers });
}

async function* events(running: Running): AsyncGenerator<string, void, void> {
  const { head, includeUsage, count } = running;
  // With usage asked for, all chunks have the field.
  const json = (chunk: object) => JSON.stringify(includeUsage ? { usage: null, ...chunk } : chunk);
  const usage: Usage = { prompt: running.promptTokens, completion: 0 }, sent = Array(count).fill(0);
  try {
    if (head.kind === "chat") {
      for (let index = 0; index < count; index++) yield json(roleChunk(head, index));
    }
    for await (const piece of counted(running)) {
      const { index, text, tokens, finish, logprobs } = piece;
      usage.completion += tokens;
      if (text !== "" || logprobs.length > 0) yield json(pieceChunk(head, piece, sent[index]));
      sent[index] += text.length;
      if (finish) yield json(endChunk(head, index, finish));
    }
    if (includeUsage) yield json(usageChunk(head, usage));
  } catch (error) {
    console.error(error);
    yield JSON.stringify(errorBody(500, "The server failed at this answer."));
    return;
  }
  yield "[DONE]";
}
