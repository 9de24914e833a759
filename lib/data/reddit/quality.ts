// Two scores of how a text is written: quality and complexity.

import { sentences } from "../../metrics/sentences.ts";
import { wordTokenize } from "../../metrics/words.ts";

/** Scores look at so many characters of a text. */
const CHARACTERS = 10_000;

/** The beginning of a text that scores look at. */
export function scored(text: string): string {
  const cut = text.toWellFormed();
  return cut.length <= CHARACTERS ? cut : [...cut.slice(0, 2 * CHARACTERS)].slice(0, CHARACTERS).join("");
}

/**
 * How well a text is written, from 0 to 1: the mean of
 * - min(mean length of its tokens / 10, 1), in characters, punctuation counted as tokens
 * - min(sentences / 3, 1)
 * - 1 if it has punctuation, else 0
 * - 1 if it starts with a capital letter, else 0
 * - the share of its sentences with three or more words (parts between spaces)
 *
 * A text without a word has 0; only the first 10,000 characters count. The formula is the FinSight repository's. Its tokens and
 * sentence counts came from a language model (spaCy's en_core_web_md); here tokens are those of the Penn Treebank's rules
 * (NLTK's word_tokenize) and sentences Punkt's. FinSight keeps texts above 0.6.
 *
 * @example
 * ```ts
 * import { textQuality } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.ok(textQuality("Bonds are loans to a state.") > 0.7);
 * assert.ok(textQuality("lol") < 0.3);
 * ```
 */
export function textQuality(text: string): number {
  const read = scored(text);
  const tokens = wordTokenize(read), said = sentences(read);
  if (tokens.length === 0) return 0;
  const whole = said.filter((sentence) => sentence.trim().split(/\s+/).length >= 3);
  return mean([
    Math.min(mean(tokens.map(lengthOf)) / 10, 1),
    Math.min(said.length / 3, 1),
    /\p{P}/u.test(read) ? 1 : 0,
    /^\p{Uppercase}/u.test(read) ? 1 : 0,
    whole.length / said.length,
  ]);
}

/**
 * How demanding a text is, from 0 to 1: the mean of
 * - min(mean length of its words / 10, 1), in characters
 * - min(mean words of its sentences / 20, 1)
 * - lexical diversity: distinct words / words (capitals make words distinct)
 * - the share of its distinct words that have eight or more characters
 *
 * Words are the tokens of NLTK's word_tokenize without punctuation at their ends (TextBlob's words, which the FinSight
 * repository took; the formula is the repository's). A text of fewer than ten characters or without a word has 0; only the
 * first 10,000 characters count. FinSight keeps texts above 0.3.
 *
 * @example
 * ```ts
 * import { textComplexity } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const simple = textComplexity("I buy and I buy and I buy and I hold and I buy.");
 * const hard = textComplexity("Diversified portfolios withstand idiosyncratic shocks considerably better.");
 * assert.ok(simple < 0.5 && hard > 0.7);
 * ```
 */
export function textComplexity(text: string): number {
  const read = scored(text);
  if (lengthOf(read.trim()) < 10) return 0;
  const bySentence = sentences(read).map((sentence) => wordTokenize(sentence).map(bare).filter(Boolean));
  const words = bySentence.flat(), distinct = new Set(words);
  if (words.length === 0) return 0;
  return mean([
    Math.min(mean(words.map(lengthOf)) / 10, 1),
    Math.min(mean(bySentence.map((sentence) => sentence.length)) / 20, 1),
    distinct.size / words.length,
    [...distinct].filter((word) => lengthOf(word) >= 8).length / distinct.size,
  ]);
}

const ENDS = /^[!-/:-@[-`{-~]+|[!-/:-@[-`{-~]+$/g;

/** A token without the ASCII punctuation at its ends; what was cut off at an apostrophe ("'s") stays as it is. */
function bare(token: string): string {
  const stripped = token.replace(ENDS, "");
  return stripped !== "" && token.startsWith("'") ? token : stripped;
}

/** Characters, not UTF-16 units. */
function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length++;
  return length;
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
