// One answer of a request: its tokens as pieces of text, up to its end or a stop string.
import type { ConstraintSource } from "../generate/constraint.ts";
import type { StreamToken } from "../generate/streams_stream.ts";
import type { TokenLogprob } from "../generate/streams_pick.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { ServedModel } from "./models.ts";
import type { Asked } from "./request.ts";
import { detokenizer, stopFilter } from "./text_pieces.ts";

/** A piece of one answer. */
export interface Piece {
  /** Which answer of the request. */
  readonly index: number;
  readonly text: string;
  /** Of the tokens that came with this piece; a stop string's are among them. */
  readonly logprobs: readonly TokenChances[];
  readonly tokens: number;
  /** There with the last one. */
  readonly finish?: "stop" | "length";
}

/** A token's text with its log-probability, and the likeliest in its place. */
export interface TokenChances extends TokenChance {
  readonly top: readonly TokenChance[];
}

export interface TokenChance {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: number[];
}

/** What is asked for one answer. */
export interface ChoiceRequest {
  readonly index: number;
  readonly prompt: readonly number[];
  /** Which of the answers to its prompt. */
  readonly streamId: number;
  readonly asked: Asked;
  readonly constraint?: ConstraintSource;
  readonly signal: AbortSignal;
}

/** Joins the model's streams at once, so that what cannot be asked is refused before anything is sent. */
export function openChoice(served: ServedModel, request: ChoiceRequest): AsyncGenerator<Piece, void, void> {
  const { prompt, streamId, asked: { options, logprobs }, constraint, signal } = request;
  const tokens = served.streams.submit(prompt, {
    ...options,
    adapter: served.adapter,
    streamId,
    logprobs,
    constraint,
    signal,
  });
  return pieces(served, request, tokens);
}

async function* pieces(
  { tokenizer, model }: ServedModel,
  { index, asked, signal }: ChoiceRequest,
  tokens: AsyncGenerator<StreamToken, void, void>,
): AsyncGenerator<Piece, void, void> {
  const text = detokenizer(tokenizer), stops = stopFilter(asked.stop);
  let finish: Piece["finish"], count = 0, chances: TokenChances[] = [], last = "";
  for await (const next of tokens) {
    count++;
    if (next.logprob !== undefined) chances.push(chancesOf(tokenizer, next));
    // What ends an answer is no part of its text, special token or not.
    const isEnd = next.finish === "stop" && model.generation.eosTokenIds.includes(next.token);
    const piece = stops.push(isEnd ? "" : text.push(next.token));
    finish = stops.stopped ? "stop" : next.finish;
    if (finish) {
      last = piece;
      break;
    }
    if (piece === "") continue;
    yield { index, text: piece, logprobs: chances, tokens: count };
    chances = [];
    count = 0;
  }
  const rest = last + (stops.stopped ? "" : stops.push(text.rest()) + stops.rest());
  // Without a reason of its own the answer was ended from outside, or its constraint allows nothing more.
  yield {
    index,
    text: rest,
    logprobs: chances,
    tokens: count,
    finish: finish ?? (signal.aborted ? "length" : "stop"),
  };
}

function chancesOf(tokenizer: Tokenizer, { token, logprob, top }: StreamToken): TokenChances {
  const chance = ({ token, logprob }: TokenLogprob): TokenChance => {
    const bytes = tokenizer.tokenBytes?.(token) ??
      new TextEncoder().encode(tokenizer.decode([token], { skipSpecialTokens: false }));
    return { token: new TextDecoder().decode(bytes), logprob, bytes: [...bytes] };
  };
  return { ...chance({ token, logprob: logprob! }), top: top!.map(chance) };
}
