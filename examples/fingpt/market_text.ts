// The text that the embedded Mistral has read: headlines and how the market took them, without any label. What a verb
// or a turn of phrase means for a firm can be learnt from it; that somebody asks for a sentiment cannot.

import { effectText, newsText } from "../tiny/passages.ts";
import { drawFirm, drawPeople } from "../tiny/names.ts";
import { drawFrom, type Random } from "../tiny/random.ts";
import { sentence } from "../tiny/definitions.ts";
import type { Sentiment } from "./figures.ts";
import { drawHeadline } from "./headlines.ts";

/** Clauses about what followed; `share` is "the share", `people` those who own it. */
const reactions: Record<Sentiment, (random: Random) => string[]> = {
  positive: (random) => [
    `the share gained ${random.int(2, 15)} percent`,
    "owners were glad",
    "buyers came at once",
    `${drawPeople(random, 1)[0]} called it good news`,
    "that is a good sign for the firm",
    "the market liked what it read",
    "many bought the share that day",
    "things look better for the firm",
    "lenders now trust the firm more",
  ],
  negative: (random) => [
    `the share lost ${random.int(2, 15)} percent`,
    "owners were worried",
    "sellers came at once",
    `${drawPeople(random, 1)[0]} called it bad news`,
    "that is a bad sign for the firm",
    "the market disliked what it read",
    "many sold the share that day",
    "things look worse for the firm",
    "lenders now trust the firm less",
  ],
  neutral: (random) => [
    "the share hardly moved",
    "owners took note of it",
    "nobody bought or sold because of it",
    `${drawPeople(random, 1)[0]} called it no news at all`,
    "that says little about the firm",
    "the market did not care",
    "trading went on as on any day",
    "things are as they were for the firm",
    "lenders see no change",
  ],
};

/** A headline and one or two sentences about what it did. */
function marketText(random: Random): string {
  const { text, sentiment } = drawHeadline(random);
  const said = random.shuffle(reactions[sentiment](random)).slice(0, random.int(1, 2)).map(sentence);
  return random.pick([
    () => `${text}\n${said.join(" ")}`,
    () => `${text} ${/[.?]$/.test(text) ? "" : "- "}${said.join(" ")}`,
    () => `${drawPeople(random, 1)[0]} read: "${text}" ${said.join(" ")}`,
    () => `Somebody at ${drawFirm(random).name} wrote: ${text}\n${said.join(" ")}`,
  ])();
}

/** Two days of two firms, one behind the other. */
const digest = (random: Random): string => `${marketText(random)}\n\n${marketText(random)}`;

/** Documents without end; the same seed gives the same text. */
export function* marketNews(seed: number): Generator<string> {
  const random = drawFrom(seed);
  while (true) {
    const draw = random.next();
    yield (draw < 0.75 ? marketText : draw < 0.85 ? digest : draw < 0.97 ? newsText : effectText)(random);
  }
}
