// Why a post is no answer that an assistant would give.

import { BOILERPLATE } from "./terms.ts";

type Check = readonly [reason: string, fault: (text: string) => boolean];

const times = (text: string, part: string): number => text.split(part).length - 1;
const matches = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;
const wordsIn = (text: string): number => text.trim() === "" ? 0 : text.trim().split(/\s+/).length;

const CHECKS: readonly Check[] = [
  ["fewer than 10 words", (text) => wordsIn(text) < 10],
  ["more than 200 words", (text) => wordsIn(text) > 200],
  ["markdown characters", (text) => /[[\]*#>`]|~~/.test(text)],
  ["more than 3 question marks", (text) => times(text, "?") > 3],
  ["more than 3 exclamation marks", (text) => times(text, "!") > 3],
  ["more than 2 ellipses", (text) => times(text, "...") > 2],
  ["more than 3 words in capitals", (text) => matches(text, /[A-Z]{3,}/g) > 3],
  ["more than 5 line breaks", (text) => times(text, "\n") > 5],
  ["more than 30 % capitals", (text) => matches(text, /\p{Uppercase}/gu) > 0.3 * matches(text, /./gsu)],
  ["a character three times in a row", (text) => /([\p{L}\p{N}_])\1\1/u.test(text)],
  ["boilerplate", (text) => {
    const plain = text.toLowerCase().replace(/[‘’]/g, "'");
    return BOILERPLATE.some((phrase) => plain.includes(phrase));
  }],
];

/**
 * Why a cleaned post is not taken as an answer: fewer than 10 or more than 200 words; markdown characters ([ ] * # > ` ~~); more
 * than 3 "?", 3 "!", 2 "..." or 3 runs of three and more capitals; more than 5 line breaks; more than 30 % capitals; a letter or
 * digit three times in a row ("yesss", but also "1000"); phrases that belong to a post ("not financial advice", "thanks for
 * reading"). The rules are the FinSight repository's, the phrases this library's.
 *
 * @returns the reasons, in this order; none for a sound answer
 * @example
 * ```ts
 * import { answerFaults } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.deepEqual(answerFaults("Pay off the loan with the highest rate first, then save what is left."), []);
 * assert.deepEqual(answerFaults("To the moon!!!!"), [
 *   "fewer than 10 words", "more than 3 exclamation marks", "boilerplate",
 * ]);
 * ```
 */
export function answerFaults(text: string): string[] {
  return CHECKS.filter(([, fault]) => fault(text)).map(([reason]) => reason);
}
