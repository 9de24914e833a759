// Listening: all of HTTP, over whatever answers. Runs in a thread of its own (thread.ts), or where there is none in the main one.
import type { CountCells } from "./counts.ts";
import type { Engine } from "./engine.ts";
import type { GuardOptions } from "./guard.ts";
import type { ModelEntry } from "./handler.ts";
import { createMetrics } from "./metrics.ts";
import { type PageParts, respond, type Site } from "./routes.ts";

/** What HTTP is told: plain data. */
export interface HttpSettings {
  readonly port: number;
  readonly hostname: string;
  readonly models: readonly ModelEntry[];
  /** Answers that may go on and wait at the same time. */
  readonly places: number;
  /** Longest time for an answer, in seconds. */
  readonly answerSeconds: number;
  readonly guard: GuardOptions;
  readonly page: PageParts;
  /** Where the models' side writes how many answers go on and wait. */
  readonly counts: CountCells;
}

/** A listening server. */
export interface Http {
  readonly port: number;
  /** Takes no new requests, and after so many seconds ends the answers as they are. */
  stop(seconds: number): Promise<void>;
  /** Resolves when nobody listens any more. */
  readonly finished: Promise<void>;
}

export function listen(settings: HttpSettings, engine: Engine): Http {
  const { port, hostname } = settings;
  let stopping = false;
  const site: Site = {
    ...settings,
    engine,
    metrics: createMetrics(),
    created: Math.floor(Date.now() / 1000),
    running: new Set(),
    stopping: () => stopping,
  };
  const http = Deno.serve(
    { port, hostname, onListen() {} },
    (request, { completed }) => respond(site, request, completed),
  );
  const over = Promise.withResolvers<void>();
  http.finished.then(over.resolve);
  let closer: ReturnType<typeof setTimeout> | undefined;
  const abortAll = () => {
    site.running.forEach(({ control }) => control.abort());
    // What is being sent gets a moment more; connections that neither send nor close are not waited for.
    closer = setTimeout(over.resolve, 1000);
  };
  return {
    port: http.addr.port,
    async stop(seconds) {
      stopping = true;
      const timer = setTimeout(abortAll, 1000 * seconds);
      http.shutdown();
      await over.promise;
      clearTimeout(timer);
      clearTimeout(closer);
    },
    finished: over.promise,
  };
}
