// A server over the small embedded model, and what its tests ask with.
import { openDevice } from "../lib/engine/open.ts";
import { financeQA } from "../lib/data/prompt.ts";
import { loadModel } from "../lib/models/load.ts";
import type { Model } from "../lib/models/model.ts";
import { serve, type ServeOptions, type Server } from "../lib/serve/serve.ts";

/** The small Llama on one thread: its tokens take less time than threads take to meet. */
export async function tinyModel(): Promise<Model> {
  const device = await openDevice({ backend: "cpu", threads: 1 });
  return await loadModel(new URL("../examples/tiny/model", import.meta.url).pathname, { device });
}

/** Serves it on a free port, without a word. */
export const serveTiny = (model: Model, options: ServeOptions = {}): Promise<Server> =>
  serve({ tiny: model }, { port: 0, quiet: true, prompt: financeQA, maxLength: 128, ...options });

/** Posts JSON. */
export function post(url: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  const { headers, ...rest } = init;
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers as Record<string, string> },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...rest,
  });
}

/** The data of server-sent events. */
export async function events(response: Response): Promise<string[]> {
  const text = await response.text();
  return text.split("\n\n").filter((event) => event !== "").map((event) => event.replace(/^data: /, ""));
}

/** What a fetch API cannot send: raw bytes over TCP; all that comes back. */
export async function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  await connection.write(new TextEncoder().encode(text));
  return new TextDecoder().decode(await new Response(connection.readable).arrayBuffer());
}
