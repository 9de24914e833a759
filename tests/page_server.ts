// A small server for the tests of the chat page: OpenAI's way of answering, with answers that a test writes.
import { chatPage, chatPageHeaders, type PageConfig } from "../lib/serve/page/page.ts";

export interface Asked {
  model: string;
  messages: { role: string; content: string }[];
  [setting: string]: unknown;
}

export interface PageServer {
  url: string;
  /** Every question that came, in order. */
  asked: Asked[];
  /** How many answers were left by the client before their end. */
  left: number;
  close(): Promise<void>;
}

/** What a test decides about one answer. */
export interface Told {
  text: string;
  /** Milliseconds between pieces; default 1. */
  pause?: number;
  /** The connection ends here without a last word. */
  breaks?: boolean;
  /** Refused with this status. */
  status?: number;
  finish?: string;
  /** What a piece is; default: a word with the space before it. */
  words?: RegExp;
}

export interface PageServerOptions {
  config?: PageConfig;
  key?: string;
  port?: number;
  answer: (asked: Asked) => Told;
}

export const models: PageConfig["models"] = [
  { id: "tiny-llama", base: "tiny-llama" },
  { id: "finance-qa", base: "tiny-llama", adapter: "out/finance_alpaca" },
];

export const examples: string[] = [
  "What is the difference between a bond and a stock?",
  "I put $200 a month into a fund. What is it worth after ten years at 5 %?",
  "Explain duration to somebody who has never bought a bond.",
  "What does a price-to-earnings ratio of 40 tell me?",
];

/** Starts on a free port of the loopback. */
export function pageServer({ config, key, port = 0, answer }: PageServerOptions): PageServer {
  const given: PageConfig = config ?? { models, examples, apiKey: key !== undefined };
  const made: PageServer = { url: "", asked: [], left: 0, close: () => server.shutdown() };
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/") return new Response(chatPage, { headers: chatPageHeaders });
    if (pathname === "/config.json") return Response.json(given);
    if (key !== undefined && request.headers.get("authorization") !== `Bearer ${key}`) {
      return Response.json({ error: { message: "Wrong API key." } }, { status: 401 });
    }
    if (pathname !== "/v1/chat/completions") return new Response("no such thing", { status: 404 });
    const asked: Asked = await request.json();
    made.asked.push(asked);
    const told = answer(asked);
    if (told.status) {
      return Response.json({ error: { message: told.text } }, {
        status: told.status,
        headers: { "retry-after": "7" },
      });
    }
    return new Response(streamed(told, () => made.left++), {
      headers: { "content-type": "text/event-stream" },
    });
  });
  made.url = `http://127.0.0.1:${server.addr.port}/`;
  return made;
}

/** Pieces of a word each; the emptied stream ends as OpenAI's does, with the count of tokens. */
function streamed(
  { text, pause = 1, breaks, finish = "stop", words = /\s*\S+\s*$|\s*\S+/g }: Told,
  left: () => void,
) {
  const pieces = text.match(words) ?? [], encoder = new TextEncoder();
  const event = (data: unknown) => encoder.encode(`data: ${JSON.stringify(data)}\n\n`);
  const choice = (delta: unknown, finish_reason: string | null = null) =>
    event({ choices: [{ index: 0, delta, finish_reason }] });
  let at = 0;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (at < pieces.length) return controller.enqueue(choice({ content: pieces[at++] }));
      await new Promise((resolve) => setTimeout(resolve, breaks ? 500 : 0)); // what was sent is to arrive
      if (breaks) return controller.error(new Error("broken off"));
      controller.enqueue(choice({}, finish));
      controller.enqueue(event({ choices: [], usage: { completion_tokens: pieces.length } }));
      controller.enqueue(encoder.encode("data: [DONE]\n\n"));
      controller.close();
    },
    cancel: left,
  });
}
