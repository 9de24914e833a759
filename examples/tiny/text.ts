// The pretraining text of the tiny model: an endless stream of short documents of finance prose, true and seeded.

import { calculationText, tableText } from "./calculations.ts";
import { comparisonText } from "./comparisons.ts";
import { definitionText, groupText, lessonText } from "./definitions.ts";
import { dialogueText } from "./dialogues.ts";
import { effectText, newsText } from "./passages.ts";
import { drawFrom, type Random } from "./random.ts";
import { firstDocuments } from "../embedded.ts";

/** The kinds of document and how often each comes, out of 100. */
export const documentKinds: readonly { name: string; share: number; write(random: Random): string }[] = [
  { name: "definition", share: 28, write: definitionText },
  { name: "lesson", share: 8, write: lessonText },
  { name: "group", share: 5, write: groupText },
  { name: "comparison", share: 12, write: comparisonText },
  { name: "calculation", share: 20, write: calculationText },
  { name: "table", share: 6, write: tableText },
  { name: "dialogue", share: 7, write: dialogueText },
  { name: "news", share: 12, write: newsText },
  { name: "effect", share: 2, write: effectText },
];

/**
 * Documents of one to eight sentences, without end: take as many as are needed. The same seed gives the same text.
 * No document is in question and answer form: that is what fine-tuning adds.
 */
export function* pretrainingText(seed: number): Generator<string> {
  const random = drawFrom(seed);
  while (true) {
    let left = random.next() * 100;
    const kind = documentKinds.find((each) => (left -= each.share) < 0) ?? documentKinds[0];
    yield kind.write(random);
  }
}

/** The first documents of the stream, up to about `characters` characters in all. */
export function takeText(seed: number, characters: number): string[] {
  return firstDocuments(pretrainingText(seed), characters);
}
