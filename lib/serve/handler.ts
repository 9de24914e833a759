// The server's paths: from a request to its response. Knows nothing of sockets.
import type { ConstraintSource } from "../generate/constraint.ts";
import { UserError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { eventResponse, type Running, wholeResponse } from "./answer.ts";
import { openChoice } from "./choice.ts";
import { Refusal } from "./errors.ts";
import { parseBody } from "./fields.ts";
import type { Metrics } from "./metrics.ts";
import { findModel, modelEntry, type ServedModel } from "./models.ts";
import { type Asked, chatRequest, completionRequest, tooLong, type Turn } from "./request.ts";

/** What the handler works with. */
export interface Context {
  readonly served: ReadonlyMap<string, ServedModel>;
  readonly metrics: Metrics;
  /** Answers that may go on and wait at the same time. */
  readonly places: number;
  /** Longest time for an answer, in seconds. */
  readonly answerSeconds: number;
  /** Started, in seconds since 1970. */
  readonly created: number;
  /** A chat's turns as the model's text, where it has no chat template. */
  readonly question?: (turns: readonly Turn[]) => string;
  /** What restricts answers to a schema. */
  schemaConstraint(tokenizer: Tokenizer, schema: Record<string, unknown>): Promise<ConstraintSource>;
  /** Answers that are being made; aborted when the server stops. */
  readonly running: Set<AbortController>;
}

/** /v1/models. */
export function listModels({ served, created }: Context): Response {
  return Response.json({
    object: "list",
    data: [...served.values()].map((entry) => modelEntry(entry, created)),
  });
}

/** /v1/models/NAME. */
export function showModel({ served, created }: Context, id: string): Response {
  return Response.json(modelEntry(findModel(served, id), created));
}

/** /v1/chat/completions. */
export async function chat(context: Context, body: string): Promise<Response> {
  const asked = chatRequest(parseBody(body)), served = findModel(context.served, asked.model);
  const text = chatText(served, asked.messages, context);
  return await answer(context, "chat", served, asked, [served.tokenizer.encode(text)]);
}

/** /v1/completions. */
export async function complete(context: Context, body: string): Promise<Response> {
  const asked = completionRequest(parseBody(body)), served = findModel(context.served, asked.model);
  const prompts = asked.prompts.map((prompt) =>
    typeof prompt === "string" ? served.tokenizer.encode(prompt) : prompt
  );
  return await answer(context, "completion", served, asked, prompts);
}

function chatText({ tokenizer, id }: ServedModel, messages: Turn[], { question }: Context): string {
  if (question) return question(messages);
  if (tokenizer.chatTemplate === undefined) {
    throw new Refusal(
      400,
      `${id} has no chat template: use /v1/completions, or start the server with a prompt.`,
      {
        param: "messages",
      },
    );
  }
  try {
    return tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
  } catch (error) {
    // The template's own refusal, such as roles that do not take turns.
    if (error instanceof UserError) throw new Refusal(400, error.message, { param: "messages" });
    throw error;
  }
}

async function answer(
  context: Context,
  kind: "chat" | "completion",
  served: ServedModel,
  asked: Asked,
  prompts: readonly (readonly number[])[],
): Promise<Response> {
  const { metrics, running, answerSeconds } = context;
  checkRoom(context, served, prompts.length * asked.n);
  const constraint = await constraintOf(context, served, asked);
  const control = new AbortController(), begin = performance.now();
  const timer = setTimeout(() => control.abort(), 1000 * answerSeconds);
  running.add(control);
  let over = false, begun = false;
  const end = (left: boolean) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    running.delete(control);
    control.abort(); // also answers that are not asked for any more
    if (left) metrics.cancelled();
  };
  try {
    const choices = prompts.flatMap((prompt, p) =>
      Array.from(
        { length: asked.n },
        (_, streamId) =>
          openChoice(served, {
            index: p * asked.n + streamId,
            prompt,
            streamId,
            asked,
            constraint,
            signal: control.signal,
          }),
      )
    );
    const answers: Running = {
      head: {
        kind,
        id: `${kind === "chat" ? "chatcmpl" : "cmpl"}-${crypto.randomUUID()}`,
        created: Math.floor(Date.now() / 1000),
        model: served.id,
        logprobs: asked.logprobs !== undefined,
      },
      choices,
      promptTokens: prompts.reduce((sum, { length }) => sum + length, 0),
      includeUsage: asked.includeUsage,
      onPiece({ tokens }) {
        if (!begun) metrics.firstToken((performance.now() - begin) / 1000);
        begun = true;
        metrics.tokens("generated", tokens);
      },
      onEnd: end,
    };
    metrics.tokens("prompt", answers.promptTokens);
    return asked.stream ? eventResponse(answers) : await wholeResponse(answers);
  } catch (error) {
    end(false);
    if (error instanceof UserError) throw refusalOf(error);
    throw error;
  }
}

/** What the streams refuse is the request's fault. */
function refusalOf({ message }: UserError): Refusal {
  return /there is room for/.test(message) ? tooLong(message) : new Refusal(400, message);
}

function checkRoom({ served, places }: Context, { streams }: ServedModel, wanted: number): void {
  const all = new Set([...served.values()].map(({ streams }) => streams));
  const busy = [...all].reduce((sum, { running, waiting }) => sum + running + waiting, 0);
  if (busy + wanted <= places) return;
  if (wanted > places) {
    throw new Refusal(400, `At most ${places} answers can be asked for at once.`, { param: "n" });
  }
  const retryAfter = Math.min(30, 1 + Math.floor(streams.waiting / 8));
  throw new Refusal(429, "Too many requests are waiting: try again later.", {
    retryAfter,
    code: "queue_full",
  });
}

async function constraintOf(
  { schemaConstraint }: Context,
  { tokenizer }: ServedModel,
  { format }: Asked,
): Promise<ConstraintSource | undefined> {
  if (!format) return undefined;
  try {
    return await schemaConstraint(tokenizer, format.schema);
  } catch (error) {
    if (error instanceof UserError) throw new Refusal(400, error.message, { param: "response_format" });
    throw error;
  }
}
