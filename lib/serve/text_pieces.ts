// From tokens to text as it comes: pieces are whole characters, and nothing of a stop string is sent, also where its
// characters lie in several tokens.
import type { Tokenizer } from "../text/tokenizer.ts";

/** Turns tokens into text one by one. */
export interface Detokenizer {
  /** The text that this token adds; "" as long as a character is not whole. */
  push(token: number): string;
  /** What was held back. */
  rest(): string;
}

/** Tokens are decoded together with some before them, as spaces depend on what stands in front. */
const window = 16;

export function detokenizer(tokenizer: Tokenizer): Detokenizer {
  let tokens: number[] = [], sent = "";
  return {
    push(token) {
      tokens.push(token);
      const text = tokenizer.decode(tokens);
      // A replacement character at the end is a character whose other bytes are still to come.
      if (text.endsWith("\ufffd") || text.length <= sent.length) return "";
      const piece = text.slice(sent.length);
      sent = text;
      if (tokens.length >= 2 * window) {
        tokens = tokens.slice(-window);
        sent = tokenizer.decode(tokens);
      }
      return piece;
    },
    rest: () => tokenizer.decode(tokens).slice(sent.length),
  };
}

/** Lets text through up to a stop string. */
export interface StopFilter {
  /** What may be sent now; behind a stop string nothing. */
  push(piece: string): string;
  /** What was held back because it might have become a stop string. */
  rest(): string;
  /** Whether a stop string has come. */
  readonly stopped: boolean;
}

export function stopFilter(stops: readonly string[]): StopFilter {
  let held = "", stopped = false;
  return {
    get stopped() {
      return stopped;
    },
    push(piece) {
      if (stopped) return "";
      held += piece;
      const places = stops.map((stop) => held.indexOf(stop)).filter((at) => at >= 0);
      stopped = places.length > 0;
      const end = stopped ? Math.min(...places) : held.length - unsure(held, stops);
      const free = held.slice(0, end);
      held = stopped ? "" : held.slice(end);
      return free;
    },
    rest() {
      const rest = held;
      held = "";
      return rest;
    },
  };
}

/** Characters at the end of a text that a stop string may begin with. */
function unsure(text: string, stops: readonly string[]): number {
  const longest = Math.max(0, ...stops.map((stop) => stop.length - 1));
  for (let length = Math.min(longest, text.length); length > 0; length--) {
    const end = text.slice(-length);
    if (stops.some((stop) => stop.startsWith(end))) return length;
  }
  return 0;
}
