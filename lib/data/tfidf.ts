// Texts that are alike, by the cosine of their TF-IDF vectors: what scikit-learn's TfidfVectorizer and cosine_similarity give.

import { checkTexts } from "../arguments.ts";
import { UserError } from "../errors.ts";
import type { CurationStep } from "./curate.ts";
import { located, textIn } from "./curate_steps.ts";
import type { NearPair } from "./near.ts";
import { STOP_WORDS } from "./stop_words.ts";

/** Options of {@linkcode similarTexts} and {@linkcode similarStep}. */
export interface SimilarOptions {
  /** Pairs with a larger cosine count; 0 to 1, default 0.85. */
  threshold?: number;
  /** So many features are kept, those that occur most often in all texts (equally many: in alphabetical order); default 5000. */
  maxFeatures?: number;
  /** Features are runs of one word up to this many; default 2. */
  ngram?: number;
  /** Words (lower case) that are taken out before runs are made; default about 250 English function words. */
  stopWords?: Iterable<string>;
}

/**
 * All pairs of texts whose TF-IDF vectors have a cosine above a threshold. Words are runs of two or more letters, digits or
 * underscores in lower case; a feature's weight in a text is tf * (ln((1 + n) / (1 + df)) + 1), where tf counts it in the text,
 * n the texts, and df the texts that hold it; vectors have length 1. These are the defaults of scikit-learn's
 * TfidfVectorizer. Meant for some thousand texts; for more, `nearDuplicates` looks at candidates only.
 *
 * @param texts in order
 * @returns the pairs, ordered by their later text, then by the earlier
 * @throws UserError for what is no list of texts, or an option out of range
 *
 * @example
 * ```ts
 * import { similarTexts } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const pairs = similarTexts(["Index funds are cheap.", "Sell your gold.", "The index funds, they are cheap!"]);
 * assert.deepEqual(pairs.map(({ first, second }) => [first, second]), [[0, 2]]);
 * ```
 */
export function similarTexts(texts: Iterable<string>, options: SimilarOptions = {}): NearPair[] {
  const { threshold = 0.85 } = options;
  if (!(threshold >= 0 && threshold <= 1)) {
    throw new UserError(`similarTexts: threshold is ${threshold}: give a cosine from 0 to 1.`);
  }
  checkTexts("similarTexts", "texts", typeof texts === "string" ? undefined : texts);
  const vectors = tfidfVectors(Array.from(texts), options);
  // For each feature the texts before that hold it, so that only features in common are multiplied.
  const holders = new Map<number, { texts: number[]; weights: number[] }>();
  const cosines = new Float64Array(vectors.length);
  return vectors.flatMap((vector, second) => {
    cosines.fill(0, 0, second);
    for (const [feature, weight] of vector) {
      const held = holders.get(feature) ?? { texts: [], weights: [] };
      for (let i = 0; i < held.texts.length; i++) cosines[held.texts[i]] += weight * held.weights[i];
      held.texts.push(second);
      held.weights.push(weight);
      holders.set(feature, held);
    }
    const found: NearPair[] = [];
    for (let first = 0; first < second; first++) {
      if (cosines[first] > threshold) found.push({ first, second, similarity: cosines[first] });
    }
    return found;
  });
}

/**
 * A step that drops the rows whose text is like that of a row before them (also one that goes itself): of each pair above the
 * threshold the earlier stays.
 *
 * @param field the field with the text
 * @param options see {@linkcode SimilarOptions}
 *
 * @example
 * ```ts
 * import { curate, similarStep } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const rows = ["Index funds are cheap.", "Sell your gold.", "The index funds, they are cheap!"].map((body) => ({ body }));
 * assert.equal(curate(rows, [similarStep("body")]).rows.length, 2);
 * ```
 */
export function similarStep(field: string, options: SimilarOptions = {}): CurationStep {
  const decide: CurationStep["decide"] = (rows, where) => {
    const texts = rows.map((row, i) => located(where(i), () => textIn(row, field)));
    const later = new Set(similarTexts(texts, options).map(({ second }) => second));
    return rows.map((_, i) => !later.has(i) || "like an earlier row");
  };
  return { name: `no two alike (TF-IDF above ${options.threshold ?? 0.85})`, decide };
}

/** The vectors of texts, each as feature number to weight. */
function tfidfVectors(texts: readonly string[], options: SimilarOptions): Map<number, number>[] {
  const { maxFeatures = 5000, ngram = 2, stopWords = STOP_WORDS } = options;
  for (const [name, value] of Object.entries({ maxFeatures, ngram })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new UserError(`similarTexts: ${name} is ${value}: give a whole number of at least 1.`);
    }
  }
  const stop = new Set(stopWords);
  const counts = texts.map((text, i) => {
    if (typeof text !== "string") throw new UserError(`similarTexts: text ${i} is no text.`);
    return countFeatures(text, ngram, stop);
  });
  const { numbers, holders } = chooseFeatures(counts, maxFeatures);
  const idf = holders.map((count) => Math.log((1 + texts.length) / (1 + count)) + 1);
  return counts.map((count) => {
    const vector = new Map<number, number>();
    for (const [feature, times] of count) {
      const number = numbers.get(feature);
      if (number !== undefined) vector.set(number, times * idf[number]);
    }
    let squares = 0;
    for (const weight of vector.values()) squares += weight * weight;
    const length = Math.sqrt(squares);
    for (const [number, weight] of vector) vector.set(number, weight / length);
    return vector;
  });
}

function countFeatures(text: string, ngram: number, stop: ReadonlySet<string>): Map<string, number> {
  const words = (text.toLowerCase().match(/[\p{L}\p{N}_]{2,}/gu) ?? []).filter((word) => !stop.has(word));
  const counts = new Map<string, number>();
  for (let size = 1; size <= ngram; size++) {
    for (let at = 0; at + size <= words.length; at++) {
      const feature = size === 1 ? words[at] : words.slice(at, at + size).join(" ");
      counts.set(feature, (counts.get(feature) ?? 0) + 1);
    }
  }
  return counts;
}

/** The most frequent features as numbers, and how many texts hold each. */
function chooseFeatures(
  counts: readonly ReadonlyMap<string, number>[],
  maxFeatures: number,
): { numbers: Map<string, number>; holders: number[] } {
  const totals = new Map<string, { times: number; texts: number }>();
  for (const count of counts) {
    for (const [feature, times] of count) {
      const total = totals.get(feature);
      if (!total) totals.set(feature, { times, texts: 1 });
      else {
        total.times += times;
        total.texts++;
      }
    }
  }
  const order = [...totals].sort(([a, { times: m }], [b, { times: n }]) => n - m || (a < b ? -1 : 1));
  const chosen = order.slice(0, maxFeatures);
  return {
    numbers: new Map(chosen.map(([feature], i) => [feature, i])),
    holders: chosen.map(([, { texts }]) => texts),
  };
}
