// The main thread's end: starts the thread of HTTP, and answers what that asks.
import { setImmediate } from "node:timers";
import type { Engine, EngineRequest } from "./engine.ts";
import { Refusal } from "./errors.ts";
import type { Http, HttpSettings } from "./http.ts";
import type { SentError, ToHttp, ToMain } from "./messages.ts";

/**
 * Listens in a thread of its own, so that a token that is being computed holds up neither /health nor refusals nor who leaves.
 * Undefined where no thread can be started, as its module must not be read or is not there (in a bundle).
 *
 * @throws Deno.errors.AddrInUse, or what else the thread's Deno.serve throws
 */
export async function listenInThread(settings: HttpSettings, engine: Engine): Promise<Http | undefined> {
  const module = new URL("./thread_http.ts", import.meta.url), library = new URL("../", module);
  const isFile = module.protocol === "file:";
  if (isFile && Deno.permissions.querySync({ name: "read", path: library }).state !== "granted") {
    return undefined;
  }
  const worker = new Worker(module, { type: "module" });
  const tell = (message: ToHttp) => worker.postMessage(message),
    answering = new Map<number, AbortController>();
  const opened = Promise.withResolvers<number | undefined>(), finished = Promise.withResolvers<void>();
  worker.onerror = (event) => {
    event.preventDefault();
    opened.resolve(undefined);
    finished.reject(new Error(`The thread of HTTP has failed: ${event.message}`));
  };
  worker.onmessage = ({ data }: MessageEvent<ToMain>) => {
    if (data.type === "listening") opened.resolve(data.port);
    else if (data.type === "refused") {
      // Messages carry no classes.
      const kind = (Deno.errors as Record<string, unknown>)[data.name] as ErrorConstructor | undefined;
      opened.reject(new (kind ?? Error)(data.message));
    } else if (data.type === "finished") finished.resolve();
    else if (data.type === "leave") answering.get(data.id)?.abort();
    else {
      const { id, request } = data, control = new AbortController();
      answering.set(id, control);
      answer(engine, request, { id, tell, signal: control.signal }).finally(() => answering.delete(id));
    }
  };
  finished.promise.catch(() => {}); // told by `finished` to who asks, and until it listens by `opened`
  tell({ type: "listen", settings });
  const port = await opened.promise.catch((error) => {
    worker.terminate();
    throw error;
  });
  if (port === undefined) {
    worker.terminate();
    return undefined;
  }
  return {
    port,
    async stop(seconds) {
      tell({ type: "stop", seconds });
      await finished.promise.finally(() => worker.terminate());
    },
    finished: finished.promise,
  };
}

/** One request's answers, piece by piece; never throws. */
async function answer(
  engine: Engine,
  request: EngineRequest,
  { id, tell, signal }: { id: number; tell: (message: ToHttp) => void; signal: AbortSignal },
): Promise<void> {
  try {
    const { promptTokens, pieces } = await engine.ask(request, signal);
    tell({ type: "begun", id, promptTokens });
    for await (const piece of pieces) tell({ type: "piece", id, piece });
    await new Promise<void>((resolve) => setImmediate(resolve)); // who hears of the end finds figures without it
    tell({ type: "end", id });
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error);
    tell({ type: "end", id, error: sent(error) });
  }
}

function sent(error: unknown): SentError {
  if (!(error instanceof Refusal)) return { message: "The models' side has failed." };
  const { status, message, details } = error;
  return { status, message, details };
}
