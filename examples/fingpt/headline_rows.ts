// Headlines as rows for fine-tuning and for the test.

import { drawFrom, type Random } from "../tiny/random.ts";
import { sentiments, type Words } from "./figures.ts";
import { drawHeadline, type Headline, type HeadlineKind } from "./headlines.ts";
import { instructionOf, type SentimentRow } from "./rows.ts";

/** A row as FinGPT has it, and how its headline says what it says. */
export interface HeadlineRow extends SentimentRow {
  kind: HeadlineKind;
}

function rowOf({ text, sentiment, source, kind }: Headline): HeadlineRow {
  const instruction = instructionOf(source === "TFNS" ? "tweet" : "news");
  return { instruction, input: text, output: sentiment, source, kind };
}

/** `count` different rows, as many of each label. */
function drawRows(random: Random, count: number, words: Words, taken: Set<string>): HeadlineRow[] {
  const left = Object.fromEntries(sentiments.map((label, i) => [label, Math.floor((count + i) / 3)]));
  const rows: HeadlineRow[] = [];
  while (rows.length < count) {
    const headline = drawHeadline(random, words);
    if (left[headline.sentiment] === 0 || taken.has(headline.text)) continue;
    taken.add(headline.text);
    left[headline.sentiment]--;
    rows.push(rowOf(headline));
  }
  return rows;
}

/**
 * Rows for fine-tuning and for the test, as many of each label. No headline of the test is one of training, and its verbs are
 * all, of which training leaves a quarter out.
 */
export function headlineRows(
  options: { train: number; test: number; seed: number },
): { train: HeadlineRow[]; test: HeadlineRow[] } {
  const random = drawFrom(options.seed), taken = new Set<string>();
  const train = drawRows(random, options.train, "common", taken);
  return { train, test: drawRows(random, options.test, "all", taken) };
}
