// What a text names, by rules: amounts, percentages, dates, laws, products, organisations, places, numbers.

import { GROUPS } from "./terms.ts";
import { escaped, whole } from "./words.ts";

/** A name or figure in a text. */
export interface Entity {
  /** "money", "percent", "date", "law", "product", "organisation", "place" or "number"; own functions may have others. */
  kind: string;
  /** Its words. */
  text: string;
  /** What it counts in {@linkcode financeRelevance}. */
  weight: number;
}

// Counts in the patterns keep hostile text from taking quadratic time.
const AMOUNT = String.raw`[0-9][0-9,.]{0,20}`;
const SCALE = String.raw`(?: ?(?:k|m|b|bn|mm|thousand|million|billion|trillion))?`;
const MONTH = "(?:january|february|march|april|may|june|july|august|september|october|november|december)";
const NAME = String.raw`(?:[A-Z][A-Za-z&-]{1,30} ){1,3}`;
const oneOf = (words: readonly string[]): string => words.map(escaped).join("|");

// In this order: what a rule takes, the later ones do not see. Without the i flag, capitals count.
const RULES: { kind: string; weight: number; pattern: RegExp }[] = [
  {
    kind: "money",
    weight: 1.2,
    pattern: new RegExp(String.raw`[$€£¥] ?${AMOUNT}${SCALE}(?![\p{L}\p{N}_])`, "giu"),
  },
  {
    kind: "money",
    weight: 1.2,
    pattern: new RegExp(
      whole(`${AMOUNT}${SCALE} ?(?:dollars?|bucks?|euros?|pounds?|yen|cents?|usd|eur|gbp)`),
      "giu",
    ),
  },
  {
    kind: "percent",
    weight: 1.1,
    pattern: new RegExp(
      String.raw`${AMOUNT} ?(?:%|(?:percent|per cent|basis points?|bps)(?![\p{L}\p{N}_]))`,
      "giu",
    ),
  },
  {
    kind: "date",
    weight: 0.9,
    pattern: new RegExp(
      whole(
        `${MONTH} [0-9]{1,4}|(?:q[1-4]|fy) ?(?:[12][0-9])?[0-9]{2}|(?:19|20)[0-9]{2}s?|` +
          `${AMOUNT} ?(?:days?|weeks?|months?|quarters?|years?)|(?:last|next|this) (?:day|week|month|quarter|year)|` +
          "today|yesterday|tomorrow",
      ),
      "giu",
    ),
  },
  {
    kind: "law",
    weight: 1.3,
    pattern: new RegExp(
      whole(String.raw`${NAME}(?:Act|Bill|Amendment|Rule)|Chapter (?:7|11|13)|Section [0-9]+|Basel I{1,3}`),
      "gu",
    ),
  },
  { kind: "product", weight: 1, pattern: new RegExp(whole(oneOf(GROUPS.products)), "giu") },
  {
    kind: "organisation",
    weight: 1,
    pattern: new RegExp(
      `${
        whole(
          `${oneOf(GROUPS.organisations)}|${NAME}(?:Inc|Corp|LLC|Ltd|Bank|Capital|Group|Holdings|Partners)`,
        )
      }|` +
        String.raw`\$[A-Z]{1,5}(?![\p{L}\p{N}_])`,
      "gu",
    ),
  },
  { kind: "place", weight: 1, pattern: new RegExp(whole(oneOf(GROUPS.places)), "gu") },
  { kind: "number", weight: 1.1, pattern: new RegExp(AMOUNT, "gu") },
];

/**
 * The names and figures of a text, found by rules: amounts of money (weight 1.2), percentages (1.1), dates and spans of time
 * (0.9), laws (1.3), financial products (1), organisations and $TICKERS (1), places (1), other numbers (1.1). The rules stand in for
 * the named-entity recogniser of spaCy's en_core_web_md, whose kinds had these weights in the FinSight repository (its PERSON, EVENT
 * and WORK_OF_ART have no rule).
 *
 * @example
 * ```ts
 * import { financeEntities } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const found = financeEntities("Vanguard charges 0.04% on $10,000 since 2019.");
 * assert.deepEqual(found.map(({ kind }) => kind), ["money", "percent", "date", "organisation"]);
 * ```
 */
export function financeEntities(text: string): Entity[] {
  const found: Entity[] = [];
  RULES.reduce((left, { kind, weight, pattern }) =>
    left.replace(pattern, (match) => {
      found.push({ kind, text: match, weight });
      return "\n";
    }), text);
  return found;
}
