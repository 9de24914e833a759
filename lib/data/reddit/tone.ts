// How a text speaks: whether it talks to someone, and whether it swears.

import { PROFANE, SPOKEN } from "./terms.ts";
import { escaped, whole } from "./words.ts";

/** Any of the words as whole words, capitals or not; "*" at a word's end stands for any ending. */
function wholeWords(words: readonly string[]): RegExp {
  const sources = words.map((word) =>
    word.endsWith("*") ? String.raw`${escaped(word.slice(0, -1))}[\p{L}\p{N}_]*` : escaped(word)
  );
  return new RegExp(whole(sources.join("|")), "iu");
}

const KINDS = SPOKEN.map(([kind, words]) => ({
  kind,
  pattern: kind === "question" ? /\?/ : wholeWords(words),
}));
const PROFANITY = wholeWords(PROFANE);

const plainQuotes = (text: string): string => text.replace(/[‘’]/g, "'");

/**
 * How many of eleven kinds of spoken language a text has: greetings and thanks, a question mark, you, I, we, words of advice,
 * invitations (let me, consider), fillers (actually), assent (sure, definitely), opinions (I think, in my opinion), contractions
 * (don't, it's). FinSight keeps texts with two or more.
 *
 * @example
 * ```ts
 * import { spokenKinds } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.deepEqual(spokenKinds("I think you're right!"), ["you", "I", "opinion"]);
 * ```
 */
export function spokenKinds(text: string): string[] {
  const plain = plainQuotes(text);
  return KINDS.filter(({ pattern }) => pattern.test(plain)).map(({ kind }) => kind);
}

/**
 * Whether a text has a word that a careful assistant does not use: swearing, sexual words, abuse (some 80 words, whole, in any
 * case, many with any ending).
 *
 * @example
 * ```ts
 * import { isProfane } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.ok(isProfane("What the hell is a bond?"));
 * assert.ok(!isProfane("Hello, I assess classic shells."));
 * ```
 */
export function isProfane(text: string): boolean {
  return PROFANITY.test(text);
}
