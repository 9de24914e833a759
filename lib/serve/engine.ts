// The models' side of a request: from what is asked to the pieces of its answers. HTTP may be in another thread, so what goes in
// and comes out is plain data.
import type { ConstraintSource } from "../generate/constraint.ts";
import { UserError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { openChoice, type Piece } from "./choice.ts";
import { Refusal } from "./errors.ts";
import type { ServedModel } from "./models.ts";
import { turnOfEventLoop } from "../train/signals.ts";
import { type ChatAsked, type CompletionAsked, tooLong, type Turn } from "./request.ts";

/** What answers requests. */
export interface Engine {
  /** Begins to answer; throws the refusal of what cannot be asked. The signal ends the answers as they are. */
  ask(request: EngineRequest, signal: AbortSignal): Promise<Begun>;
}

/** A request whose fields are checked. */
export type EngineRequest =
  | { readonly kind: "chat"; readonly asked: ChatAsked }
  | { readonly kind: "completion"; readonly asked: CompletionAsked };

/** Answers on their way. */
export interface Begun {
  readonly promptTokens: number;
  /** Of all answers, in the order in which they are made. */
  readonly pieces: AsyncGenerator<Piece, void, void>;
}

/** What the models' side works with. */
export interface EngineOptions {
  readonly served: ReadonlyMap<string, ServedModel>;
  /** A chat's turns as the model's text, where it has no chat template. */
  readonly question?: (turns: readonly Turn[]) => string;
  /** What restricts answers to a schema. */
  schemaConstraint(tokenizer: Tokenizer, schema: Record<string, unknown>): Promise<ConstraintSource>;
}

export function createEngine(options: EngineOptions): Engine {
  return { ask: (request, signal) => ask(options, request, signal) };
}

async function ask(
  options: EngineOptions,
  { kind, asked }: EngineRequest,
  signal: AbortSignal,
): Promise<Begun> {
  const served = options.served.get(asked.model)!;
  const given = kind === "chat" ? [chatText(served, asked.messages, options)] : asked.prompts;
  const prompts: (readonly number[])[] = [];
  for (const prompt of given) {
    prompts.push(promptIds(served, prompt));
    if (given.length > 1) await turnOfEventLoop(); // others' tokens, and who leaves
  }
  const constraint = await constraintOf(options, served, asked.format);
  const choices: AsyncGenerator<Piece, void, void>[] = [];
  try {
    prompts.forEach((prompt) => {
      for (let streamId = 0; streamId < asked.n; streamId++) {
        const index = choices.length;
        choices.push(openChoice(served, { index, prompt, streamId, asked, constraint, signal }));
      }
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    // What the streams refuse is the request's fault.
    throw new Refusal(400, error.message);
  }
  return { promptTokens: prompts.reduce((sum, { length }) => sum + length, 0), pieces: merged(choices) };
}

/** A prompt's tokens; one that is certainly too long is refused before it is tokenized, which takes seconds for a megabyte. */
function promptIds(
  { tokenizer, model, streams }: ServedModel,
  prompt: string | readonly number[],
): readonly number[] {
  const { maxLength } = streams, room = model.config.encoderDecoder ? maxLength : maxLength - 1;
  const refused = (tokens: string) =>
    tooLong(`The prompt has ${tokens} tokens; there is room for ${maxLength} with the answer: shorten it.`);
  if (typeof prompt === "string" && prompt.length > room) {
    const least = tokenizer.tokensAtLeast?.(prompt) ?? 0;
    if (least > room) throw refused(`at least ${least}`);
  }
  const ids = typeof prompt === "string" ? encoded(tokenizer, prompt) : prompt;
  if (ids.length > room) throw refused(String(ids.length));
  return ids;
}

function encoded(tokenizer: Tokenizer, text: string): number[] {
  try {
    return tokenizer.encode(text);
  } catch (error) {
    if (error instanceof UserError) throw new Refusal(400, error.message);
    throw error;
  }
}

function chatText(
  { tokenizer, id }: ServedModel,
  messages: readonly Turn[],
  { question }: EngineOptions,
): string {
  if (question) return question(messages);
  if (tokenizer.chatTemplate === undefined) {
    const message = `${id} has no chat template: use /v1/completions, or start the server with a prompt.`;
    throw new Refusal(400, message, { param: "messages" });
  }
  try {
    return tokenizer.applyChatTemplate([...messages], { addGenerationPrompt: true });
  } catch (error) {
    // The template's own refusal, such as roles that do not take turns.
    if (error instanceof UserError) throw new Refusal(400, error.message, { param: "messages" });
    throw error;
  }
}

async function constraintOf(
  { schemaConstraint }: EngineOptions,
  { tokenizer }: ServedModel,
  format: ChatAsked["format"],
): Promise<ConstraintSource | undefined> {
  if (!format) return undefined;
  try {
    return await schemaConstraint(tokenizer, format.schema);
  } catch (error) {
    if (error instanceof UserError) throw new Refusal(400, error.message, { param: "response_format" });
    throw error;
  }
}

/** The pieces of all answers in the order in which they are made. */
async function* merged(
  choices: readonly AsyncGenerator<Piece, void, void>[],
): AsyncGenerator<Piece, void, void> {
  type Next = { source: AsyncGenerator<Piece, void, void>; result: IteratorResult<Piece, void> };
  const next = (source: Next["source"]): Promise<Next> => {
    const result = source.next().then((result) => ({ source, result }));
    result.catch(() => {}); // one that fails ends them all; nobody waits for the others then
    return result;
  };
  const pending = new Map(choices.map((source) => [source, next(source)]));
  while (pending.size > 0) {
    const { source, result } = await Promise.race(pending.values());
    if (result.done) {
      pending.delete(source);
      continue;
    }
    pending.set(source, next(source));
    yield result.value;
  }
}
