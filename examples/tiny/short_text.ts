// Finance text for models of less than half a million parameters: the tiny Llama's, about fewer things.

import { calculationText, sumKinds } from "./calculations.ts";
import { comparisonText } from "./comparisons.ts";
import { definitionText, lessonText } from "./definitions.ts";
import { dialogueText } from "./dialogues.ts";
import { newsText } from "./passages.ts";
import { drawFrom, type Random } from "./random.ts";
import type { SumKind } from "./sums.ts";
import { type Term, terms } from "./terms.ts";

/** The terms that the text is about: those whose risk is known. */
export const fewTerms: readonly Term[] = terms.filter((term) => term.risk);

/** The sums that it works out: those with one easy step. */
export const fewSums: readonly SumKind[] = sumKinds.filter(({ wanted }) =>
  [
    "the profit",
    "the capital gain",
    "the net worth",
    "the number of months",
    "the break-even point",
    "the current ratio",
  ]
    .includes(wanted)
);

const kinds: readonly { share: number; write(random: Random): string }[] = [
  { share: 32, write: (random) => definitionText(random, fewTerms) },
  { share: 10, write: (random) => lessonText(random, fewTerms) },
  { share: 12, write: (random) => comparisonText(random, fewTerms) },
  { share: 14, write: (random) => calculationText(random, fewSums) },
  { share: 10, write: (random) => dialogueText(random, fewTerms, fewSums) },
  { share: 22, write: newsText },
];

/** Documents of one to eight sentences, without end; the same seed gives the same text. No document asks and answers. */
export function* shortText(seed: number): Generator<string> {
  const random = drawFrom(seed);
  while (true) {
    let left = random.next() * 100;
    const kind = kinds.find((each) => (left -= each.share) < 0) ?? kinds[0];
    yield kind.write(random);
  }
}
