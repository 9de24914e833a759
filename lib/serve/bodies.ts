// The answers' JSON, as OpenAI's clients read it: whole, and in pieces.
import type { Piece, TokenChance, TokenChances } from "./choice.ts";

/** What all objects of one answer begin with. */
export interface Head {
  readonly kind: "chat" | "completion";
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** Whether log-probabilities were asked for. */
  readonly logprobs: boolean;
}

/** Tokens of the prompts and of the answers. */
export interface Usage {
  prompt: number;
  completion: number;
}

/** One answer, all of it. */
export interface WholeChoice {
  readonly index: number;
  readonly text: string;
  readonly logprobs: readonly TokenChances[];
  readonly finish: string;
}

const head = ({ id, created, model }: Head, object: string) => ({ id, object, created, model });

export const usageBody = ({ prompt, completion }: Usage): object => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
});

/** The whole answer. */
export function wholeBody(of: Head, choices: readonly WholeChoice[], usage: Usage): object {
  const isChat = of.kind === "chat";
  return {
    ...head(of, isChat ? "chat.completion" : "text_completion"),
    choices: choices.map(({ index, text, logprobs, finish }) => ({
      index,
      ...isChat ? { message: { role: "assistant", content: text, refusal: null } } : { text },
      logprobs: logprobsBody(of, logprobs, 0),
      finish_reason: finish,
    })),
    usage: usageBody(usage),
  };
}

/** A chat's answer begins with the role. */
export const roleChunk = (of: Head, index: number): object =>
  chunk(of, { index, delta: { role: "assistant", content: "" } });

/** A piece; `offset`: characters of this answer before it. */
export function pieceChunk(of: Head, { index, text, logprobs }: Piece, offset: number): object {
  const content = of.kind === "chat" ? { delta: { content: text } } : { text };
  return chunk(of, { index, ...content, logprobs: logprobsBody(of, logprobs, offset) });
}

/** Why an answer has ended. */
export function endChunk(of: Head, index: number, finish: string): object {
  return chunk(of, { index, ...of.kind === "chat" ? { delta: {} } : { text: "" }, finish_reason: finish });
}

/** The counts, behind all answers. */
export const usageChunk = (of: Head, usage: Usage): object => ({
  ...chunk(of),
  choices: [],
  usage: usageBody(usage),
});

function chunk(of: Head, choice?: object): object {
  const object = of.kind === "chat" ? "chat.completion.chunk" : "text_completion";
  return { ...head(of, object), choices: choice ? [{ logprobs: null, finish_reason: null, ...choice }] : [] };
}

function logprobsBody(of: Head, list: readonly TokenChances[], offset: number): object | null {
  if (!of.logprobs) return null;
  if (of.kind === "chat") {
    return { content: list.map(({ top, ...chance }) => ({ ...chance, top_logprobs: top })), refusal: null };
  }
  const byText = (top: readonly TokenChance[]) =>
    Object.fromEntries(top.map(({ token, logprob }) => [token, logprob]));
  let at = offset;
  return {
    tokens: list.map(({ token }) => token),
    token_logprobs: list.map(({ logprob }) => logprob),
    top_logprobs: list.map(({ top }) => byText(top)),
    text_offset: list.map(({ token }) => (at += token.length) - token.length),
  };
}
