// One request on its way: what it is asked with, what it has given so far, and the way its tokens take to who reads them.
import type { Columns } from "./batch.ts";
import type { Constraint } from "./constraint.ts";
import { logprobsOf, nextToken, type PickRules, type TokenLogprob } from "./streams_pick.ts";

/** One token of an answer. */
export interface StreamToken {
  /** Its id; an EOS that ends the answer comes too. */
  readonly token: number;
  /** Natural logarithm of its probability, before temperature, penalties and constraints; where `logprobs` asked for it. */
  readonly logprob?: number;
  /** The likeliest tokens at this place, as many as `logprobs` said. */
  readonly top?: readonly TokenLogprob[];
  /** There with the last one: "stop" by an EOS or a constraint's end, "length" by maxNewTokens. */
  readonly finish?: "stop" | "length";
}

/** What a stream is asked with, all settled. */
export interface StreamSettings extends PickRules {
  readonly maxNewTokens: number;
  readonly eosTokenIds: readonly number[];
  readonly logprobs?: number;
  readonly constraint?: Constraint;
  readonly signal?: AbortSignal;
  /** Which columns of its lane's adapter are its own. */
  readonly columns?: Columns;
}

export interface Stream {
  readonly prompt: readonly number[];
  readonly settings: StreamSettings;
  /** Nobody reads it any more, or it has come to its end. */
  readonly over: boolean;
  /** Tokens of the answer so far. */
  readonly answer: readonly number[];
  /** Picks the token after `logits` and hands it on. */
  take(logits: Float32Array): void;
  /** Ends it without another token; with an error its reader gets that. */
  end(error?: unknown): void;
  /** The tokens as they come; leaving the loop ends the stream. */
  tokens(): AsyncGenerator<StreamToken, void, void>;
}

/** `begun`: what an answer's tokens are appended to (an encoder-decoder's are not appended to the prompt). */
export function createStream(
  prompt: readonly number[],
  settings: StreamSettings,
  begun: readonly number[] = prompt,
): Stream {
  const { maxNewTokens, eosTokenIds, logprobs, constraint, signal } = settings;
  const history = [...begun], answer: number[] = [], ready: StreamToken[] = [];
  let ended = false, failure: { error: unknown } | undefined, wake = () => {};
  const end = (error?: unknown) => {
    if (error !== undefined && !ended) failure = { error };
    ended = true;
    signal?.removeEventListener("abort", aborted);
    wake();
  };
  const aborted = () => end();
  signal?.addEventListener("abort", aborted);
  if (signal?.aborted) end();
  const choose = (logits: Float32Array) => {
    const token = nextToken(logits, settings, { history, begun: begun.length, constraint });
    if (token === undefined) return end();
    constraint?.accept(token);
    history.push(token);
    answer.push(token);
    const stops = eosTokenIds.includes(token) || constraint?.done === true;
    const finish = stops ? "stop" : answer.length === maxNewTokens ? "length" : undefined;
    ready.push({
      token,
      ...logprobs === undefined ? {} : logprobsOf(logits, token, logprobs),
      ...finish && { finish },
    });
    if (finish) end();
    else wake();
  };

  return {
    prompt,
    settings,
    answer,
    get over() {
      return ended;
    },
    take(logits) {
      if (ended) return;
      try {
        choose(logits);
      } catch (error) {
        end(error); // of a constraint that asks for too much: its own answer ends, no other
      }
    },
    end,
    async *tokens() {
      try {
        while (true) {
          while (ready.length > 0) yield ready.shift()!;
          if (failure) throw failure.error;
          if (ended) return;
          await new Promise<void>((resolve) => wake = resolve);
        }
      } finally {
        end();
      }
    },
  };
}
