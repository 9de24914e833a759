// How much a text is about finance: keywords, entities and the likeness of its words to finance's.

import { boundedMap } from "../../text/bounded_map.ts";
import { STOP_WORDS } from "../stop_words.ts";
import { type Entity, financeEntities } from "./entities.ts";
import { scored } from "./quality.ts";
import { FINANCE_TOPICS, FINANCE_WORDS } from "./terms.ts";

/** Options of {@linkcode financeRelevance}: what its three parts are taken from. */
export interface RelevanceOptions {
  /** The keywords, single words in lower case; default about 400 words of finance. */
  keywords?: ReadonlySet<string>;
  /** The names and figures of a text, such as a model's entities; default {@linkcode financeEntities}. */
  entities?: (text: string) => readonly Entity[];
  /** How near a text is to finance, from 0 to 1, such as by a model's vectors; default {@linkcode topicSimilarity}. */
  similarity?: (text: string) => number;
}

/**
 * How much a text is about finance, from 0 to 1. Its words are what stands between spaces, in lower case, without punctuation at
 * their ends, each once; hits are those that are keywords; density is hits / words.
 * - 0.1 with fewer than 2 hits
 * - 0.2 with a density below 0.05
 * - otherwise min(0.40 density + 0.35 entities + 0.25 similarity, 1), where `entities` is the mean weight of the text's names and
 *   figures (0 without any)
 *
 * Only the first 10,000 characters count. The formula is the FinSight repository's, whose entities and vectors came from spaCy's
 * en_core_web_md: rules ({@linkcode financeEntities}) and the letters of words ({@linkcode topicSimilarity}) stand in for them,
 * and functions of your own can be given. FinSight keeps texts above 0.2.
 *
 * @example
 * ```ts
 * import { financeRelevance } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.ok(financeRelevance("Put 10% of your salary into an index fund, and let dividends compound.") > 0.2);
 * assert.ok(financeRelevance("My cat has a new friend.") === 0.1);
 * const byModel = financeRelevance("Rates and bonds move apart.", { entities: () => [], similarity: () => 0.8 });
 * assert.ok(Math.abs(byModel - (0.4 * 2 / 5 + 0.25 * 0.8)) < 1e-12);
 * ```
 */
export function financeRelevance(text: string, options: RelevanceOptions = {}): number {
  const { keywords = FINANCE_WORDS, entities = financeEntities, similarity = topicSimilarity } = options;
  const read = scored(text);
  const words = new Set(bareWords(read));
  const hits = [...words].filter((word) => keywords.has(word)).length;
  if (hits < 2) return 0.1;
  const density = hits / words.size;
  if (density < 0.05) return 0.2;
  const found = entities(read);
  const named = found.length === 0 ? 0 : found.reduce((sum, { weight }) => sum + weight, 0) / found.length;
  return Math.min(0.4 * density + 0.35 * named + 0.25 * similarity(read), 1);
}

/**
 * How near a text's words are to words of finance, from 0 to 1: for each of its first 50 words of three or more letters that are no
 * function words, the largest cosine to one of some 50 topics (finance, market, bond ...); of these the mean (0 without any).
 * A word's vector counts its runs of three characters, with marks for its begin and end ("<bo", "bon", "ond", "nd>"): what
 * fastText's subwords are before training. It stands in for spaCy's word vectors; a model's can be given to
 * {@linkcode financeRelevance}.
 *
 * @example
 * ```ts
 * import { topicSimilarity } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.ok(topicSimilarity("Investing in stocks") > topicSimilarity("Walking in parks"));
 * ```
 */
export function topicSimilarity(text: string): number {
  const words = bareWords(scored(text)).filter((word) => /^\p{L}{3,}$/u.test(word) && !STOP_WORDS.has(word))
    .slice(0, 50);
  return words.length === 0 ? 0 : words.reduce((sum, word) => sum + nearestTopic(word), 0) / words.length;
}

/** What stands between spaces, in lower case, without punctuation and symbols at the ends. */
function bareWords(text: string): string[] {
  return text.toLowerCase().split(/\s+/).map((word) => word.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, ""))
    .filter(Boolean);
}

interface Trigrams {
  counts: Map<string, number>;
  length: number;
}

const TOPICS = [...new Set(FINANCE_TOPICS)].map(trigrams);
const nearest = boundedMap<string, number>(20_000);

function nearestTopic(word: string): number {
  const known = nearest.get(word);
  if (known !== undefined) return known;
  const own = trigrams(word.slice(0, 100));
  const found = Math.max(...TOPICS.map((topic) => cosine(own, topic)));
  nearest.set(word, found);
  return found;
}

function trigrams(word: string): Trigrams {
  const letters = ["<", ...word, ">"];
  const counts = new Map<string, number>();
  for (let i = 0; i + 3 <= letters.length; i++) {
    const run = letters.slice(i, i + 3).join("");
    counts.set(run, (counts.get(run) ?? 0) + 1);
  }
  return { counts, length: Math.sqrt([...counts.values()].reduce((sum, count) => sum + count * count, 0)) };
}

function cosine(a: Trigrams, b: Trigrams): number {
  let product = 0;
  for (const [run, count] of a.counts) product += count * (b.counts.get(run) ?? 0);
  return product / (a.length * b.length);
}
