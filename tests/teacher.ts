// A teacher on this machine that answers what a test wants, and keeps what it was asked.

import assert from "node:assert/strict";
import type { DistillOptions } from "../lib/distill/distill.ts";

/** Must never stand in a file, a message or an answer. */
export const KEY = "sk-test-0123456789-never-written";
Deno.env.set("FINTUNE_TEST_KEY", KEY);

export const schema = {
  type: "object",
  required: ["risk"],
  properties: { risk: { enum: ["High", "Medium", "Low"] } },
};
export const GOOD = '<thinking>Debt grows.</thinking>\n```json\n{"risk": "High"}\n```';

/** Server-sent events: objects as JSON, texts as they are. */
export const events = (...pieces: unknown[]): string =>
  pieces.map((piece) => `data: ${typeof piece === "string" ? piece : JSON.stringify(piece)}\n\n`).join("");
export const delta = (content: string, finish_reason: string | null = null): unknown => ({
  choices: [{ delta: { content }, finish_reason }],
});
export const sse = (body: string | ReadableStream<Uint8Array>): Response =>
  new Response(body, { headers: { "content-type": "text/event-stream" } });
const usage = { choices: [], usage: { prompt_tokens: 20, completion_tokens: 10 } };
/** A whole answer, 20 tokens in and 10 out. */
export const streamed = (text: string): Response =>
  sse(events(delta(text.slice(0, 7)), delta(text.slice(7)), delta("", "stop"), usage, "[DONE]"));
export const good = (): Response => streamed(GOOD);

/** What came to the teacher. */
export interface Asked {
  at: number;
  body: { messages: { role: string; content: string }[] };
  key: string | null;
}

/** A body that sends its pieces with pauses between, and then closes, breaks or stays open. */
export function dripping(
  pieces: string[],
  pause: number,
  end: "close" | "break" | "stay",
): ReadableStream<Uint8Array> {
  let next = 0, timer: ReturnType<typeof setTimeout> | undefined;
  return new ReadableStream({
    async pull(controller) {
      if (next > 0) await new Promise((done) => timer = setTimeout(done, pause));
      if (next < pieces.length) controller.enqueue(new TextEncoder().encode(pieces[next++]));
      else if (end === "close") controller.close();
      else if (end === "break") controller.error(new Error("gone"));
      else await new Promise((done) => timer = setTimeout(done, 2000));
    },
    cancel: () => clearTimeout(timer),
  });
}

/** Serves the answers one after another (the last one ever after). */
export async function withTeacher(
  answers: ((request: Request) => Response | Promise<Response>)[],
  test: (options: DistillOptions, asked: Asked[], folder: string) => Promise<void>,
): Promise<void> {
  const asked: Asked[] = [];
  const stop = new AbortController();
  const listen = {
    port: 0,
    hostname: "127.0.0.1",
    onListen() {},
    onError: () => new Response(null, { status: 500 }),
  };
  const server = Deno.serve({ ...listen, signal: stop.signal }, async (request) => {
    asked.push({ at: Date.now(), body: await request.json(), key: request.headers.get("authorization") });
    return await (answers[asked.length - 1] ?? answers.at(-1)!)(request);
  });
  const folder = await Deno.makeTempDir();
  const endpoint = {
    model: "teacher",
    baseURL: `http://127.0.0.1:${server.addr.port}/v1`,
    apiKeyEnv: "FINTUNE_TEST_KEY",
    retries: 2,
  };
  const prompt: DistillOptions["prompt"] = (row) => `How risky? ${row.text}`;
  try {
    await test({ endpoint, prompt, out: `${folder}/answers.jsonl`, schema, concurrency: 1 }, asked, folder);
    for (const { name } of await Array.fromAsync(Deno.readDir(folder))) {
      assert.ok(!(await Deno.readTextFile(`${folder}/${name}`)).includes(KEY), `the key is in ${name}`);
    }
  } finally {
    stop.abort();
    await server.finished;
    await Deno.remove(folder, { recursive: true });
  }
}
