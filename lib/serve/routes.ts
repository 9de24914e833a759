// Which path does what, behind the guard; every response is counted and has the same protecting headers.
import { processMemory } from "../report/memory.ts";
import { type CountCells, readCounts } from "./counts.ts";
import { errorResponse, Refusal } from "./errors.ts";
import { checkKey, checkOrigin, corsHeaders, type GuardOptions, readBody } from "./guard.ts";
import { chat, complete, type Context, listModels, showModel } from "./handler.ts";

/** What stands at GET / and at /config.json. */
export interface PageParts {
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly config: object;
}

/** All that a request may need. */
export interface Site extends Context {
  readonly guard: GuardOptions;
  readonly page: PageParts;
  readonly counts: CountCells;
  /** Whether new requests are refused, as the server is about to stop. */
  readonly stopping: () => boolean;
}

/** Answers one request; never throws. `completed` rejects where the client leaves before it has its answer. */
export async function respond(site: Site, request: Request, completed: Promise<void>): Promise<Response> {
  const begin = performance.now();
  let response: Response, path = "other";
  try {
    checkOrigin(request, site.guard);
    const route = routeOf(request);
    path = route.path;
    response = request.method === "OPTIONS"
      ? preflight(request, site)
      : await route.answer(site, request, completed);
  } catch (error) {
    response = errorResponse(error);
  }
  response.headers.set("x-content-type-options", "nosniff");
  for (const [name, value] of Object.entries(corsHeaders(request, site.guard))) {
    response.headers.set(name, value);
  }
  site.metrics.answered(path, response.status);
  // An answer ends later, and says so itself.
  if (!(path in post && response.ok)) site.metrics.ended((performance.now() - begin) / 1000);
  return response;
}

interface Route {
  /** As it is counted. */
  readonly path: string;
  answer(site: Site, request: Request, completed: Promise<void>): Response | Promise<Response>;
}

type Answer = Route["answer"];

/** Without a key only what tells nothing: the page, which asks for the key, and whether the server lives. */
const open: Record<string, Answer> = {
  "/": ({ page }) => new Response(page.html, { headers: { ...page.headers } }),
  "/health": ({ stopping }) =>
    Response.json({ status: stopping() ? "stopping" : "ok" }, { status: stopping() ? 503 : 200 }),
};

const get: Record<string, Answer> = {
  "/config.json": ({ page }) => Response.json(page.config),
  "/v1/models": (site) => listModels(site),
  "/metrics": ({ metrics, counts }) => {
    const { running, waiting, promptTokens } = readCounts(counts);
    const text = metrics.text({
      fintune_running: running,
      fintune_waiting: waiting,
      fintune_prompt_tokens_read_total: promptTokens,
      process_resident_memory_bytes: processMemory().rss,
    });
    return new Response(text, { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
  },
};

const post: Record<string, typeof chat> = { "/v1/chat/completions": chat, "/v1/completions": complete };

function routeOf(request: Request): Route {
  const path = new URL(request.url).pathname.replace(/(.)\/+$/, "$1"), { method } = request;
  const asks = Object.hasOwn(post, path), tells = Object.hasOwn(get, path) || Object.hasOwn(open, path);
  const isModel = path.startsWith("/v1/models/");
  if (!asks && !tells && !isModel) throw new Refusal(404, "There is nothing at this path.");
  const allowed = asks ? ["POST"] : ["GET", "HEAD"];
  if (method !== "OPTIONS" && !allowed.includes(method)) {
    throw new Refusal(405, `This path takes ${allowed[0]} only.`);
  }
  if (Object.hasOwn(open, path)) return { path, answer: open[path] };
  if (asks) {
    return {
      path,
      answer: behindKey((site, request, completed) => ask(site, request, completed, post[path])),
    };
  }
  if (!isModel) return { path, answer: behindKey(get[path]) };
  const id = decoded(path.slice("/v1/models/".length));
  return { path: "/v1/models/*", answer: behindKey((site) => showModel(site, id)) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Refusal(400, "The path is no valid URL.");
  }
}

const behindKey = (answer: Answer): Answer => (site, request, completed) => {
  checkKey(request, site.guard);
  return answer(site, request, completed);
};

async function ask(
  site: Site,
  request: Request,
  completed: Promise<void>,
  answer: typeof chat,
): Promise<Response> {
  if (site.stopping()) throw new Refusal(503, "The server is about to stop.", { retryAfter: 10 });
  return await answer(site, await readBody(request, site.guard, site.stopping), completed);
}

/** Browsers ask first whether a page of another origin may ask. */
function preflight(request: Request, { guard }: Site): Response {
  const allowed = Object.keys(corsHeaders(request, guard)).length > 0;
  if (!allowed) throw new Refusal(405, "This server answers pages of its own only (see corsOrigins).");
  return new Response(null, { status: 204 });
}
