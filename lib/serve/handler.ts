// The server's paths: from a request to its response. Knows nothing of sockets, and of the models only their names.
import { eventResponse, type Running, wholeResponse } from "./answer.ts";
import type { Engine, EngineRequest } from "./engine.ts";
import { Refusal } from "./errors.ts";
import { parseBody } from "./fields.ts";
import type { Metrics } from "./metrics.ts";
import { chatRequest, completionRequest } from "./request.ts";

/** A model as /v1/models shows it. */
export interface ModelEntry {
  readonly id: string;
  readonly adapter?: string;
  readonly base?: string;
}

/** What the handler works with. */
export interface Context {
  readonly engine: Engine;
  readonly models: readonly ModelEntry[];
  readonly metrics: Metrics;
  /** Answers that may go on and wait at the same time. */
  readonly places: number;
  /** Longest time for an answer, in seconds. */
  readonly answerSeconds: number;
  /** Started, in seconds since 1970. */
  readonly created: number;
  /** Requests that are being answered; aborted when the server stops. */
  readonly running: Set<Answering>;
}

/** A request that is being answered. */
export interface Answering {
  readonly control: AbortController;
  /** Answers that have not come to their end. */
  open: number;
}

/** /v1/models. */
export function listModels({ models, created }: Context): Response {
  return Response.json({ object: "list", data: models.map((entry) => modelBody(entry, created)) });
}

/** /v1/models/NAME. */
export function showModel(context: Context, id: string): Response {
  return Response.json(modelBody(entryOf(context, id), context.created));
}

const modelBody = ({ id, adapter, base }: ModelEntry, created: number): object => {
  return { id, object: "model", created, owned_by: "fintune", ...adapter && { adapter, base } };
};

/** The model of that name, or the refusal that lists what there is. */
function entryOf({ models }: Context, id: string): ModelEntry {
  const found = models.find((entry) => entry.id === id);
  if (found) return found;
  const names = models.slice(0, 20).map(({ id }) => id).join(", ");
  throw new Refusal(404, `There is no model "${id.slice(0, 100)}" here; there are: ${names}.`, {
    param: "model",
    code: "model_not_found",
  });
}

/** /v1/chat/completions; `completed` rejects where the client leaves before it has its answer. */
export async function chat(context: Context, body: string, completed: Promise<void>): Promise<Response> {
  const asked = chatRequest(parseBody(body));
  return await answer(context, { kind: "chat", asked }, { wanted: asked.n, completed });
}

/** /v1/completions. */
export async function complete(context: Context, body: string, completed: Promise<void>): Promise<Response> {
  const asked = completionRequest(parseBody(body));
  return await answer(context, { kind: "completion", asked }, {
    wanted: asked.n * asked.prompts.length,
    completed,
  });
}

async function answer(
  context: Context,
  request: EngineRequest,
  { wanted, completed }: { wanted: number; completed: Promise<void> },
): Promise<Response> {
  const { metrics, running, answerSeconds, engine } = context, { kind, asked } = request;
  const { id: model } = entryOf(context, asked.model);
  checkRoom(context, wanted);
  const own: Answering = { control: new AbortController(), open: wanted }, begin = performance.now();
  const timer = setTimeout(() => own.control.abort(), 1000 * answerSeconds);
  running.add(own);
  let over = false, begun = false, ended = false;
  const end = (cancelled: boolean) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    running.delete(own);
    own.control.abort(); // also answers that are not asked for any more
    if (cancelled) metrics.cancelled();
  };
  // A response that streams notices by itself; one that has not begun, or is sent whole, does not.
  completed.catch(() => end(true));
  try {
    const { promptTokens, pieces } = await engine.ask(request, own.control.signal);
    metrics.tokens("prompt", promptTokens);
    const answers: Running = {
      head: {
        kind,
        id: `${kind === "chat" ? "chatcmpl" : "cmpl"}-${crypto.randomUUID()}`,
        created: Math.floor(Date.now() / 1000),
        model,
        logprobs: asked.logprobs !== undefined,
      },
      pieces,
      count: wanted,
      promptTokens,
      includeUsage: asked.includeUsage,
      onPiece({ tokens, finish }) {
        if (!begun) metrics.firstToken((performance.now() - begin) / 1000);
        begun = true;
        metrics.tokens("generated", tokens);
        if (finish) own.open--;
      },
      onEnd(cancelled) {
        if (!ended) metrics.ended((performance.now() - begin) / 1000);
        ended = true;
        end(cancelled);
      },
    };
    return asked.stream ? eventResponse(answers) : await wholeResponse(answers);
  } catch (error) {
    end(false);
    throw error;
  }
}

function checkRoom({ running, places }: Context, wanted: number): void {
  const busy = [...running].reduce((sum, { open }) => sum + open, 0);
  if (busy + wanted <= places) return;
  if (wanted > places) {
    throw new Refusal(400, `At most ${places} answers can be asked for at once.`, { param: "n" });
  }
  const retryAfter = Math.min(30, 1 + Math.floor(busy / 8));
  throw new Refusal(429, "Too many requests are waiting: try again later.", {
    retryAfter,
    code: "queue_full",
  });
}
