// The FinSight repository's curation of Reddit posts, as a list of steps.

import type { CurationStep } from "../curate.ts";
import { fieldsStep, percentileStep, scoreStep, step, textIn } from "../curate_steps.ts";
import type { Row } from "../row.ts";
import { similarStep } from "../tfidf.ts";
import { type CleanOptions, cleanReddit } from "./clean.ts";
import { answerFaults } from "./faults.ts";
import { textComplexity, textQuality } from "./quality.ts";
import { financeRelevance } from "./relevance.ts";
import { isProfane, spokenKinds } from "./tone.ts";

/** A score of a text. */
export type TextScore = (text: string) => number;

/** Options of {@linkcode redditSteps}: scores and thresholds in place of FinSight's. */
export interface RedditOptions extends CleanOptions {
  /** Default {@linkcode textQuality}. */
  quality?: TextScore;
  /** Default {@linkcode textComplexity}. */
  complexity?: TextScore;
  /** Default {@linkcode financeRelevance}. */
  relevance?: TextScore;
  /** The kinds of spoken language in a text; default {@linkcode spokenKinds}. */
  kinds?: (text: string) => readonly string[];
  /** Whether a text is profane; default {@linkcode isProfane}. */
  profane?: (text: string) => boolean;
  /** Why a text is no answer; default {@linkcode answerFaults}. */
  faults?: (text: string) => readonly string[];
  /** What the scores have to be above; default quality 0.6, complexity 0.3, relevance 0.2. */
  above?: { quality?: number; complexity?: number; relevance?: number };
  /** The percentile of z_score, combined_score and comment_normalized_score that rows have to be above; default 20. */
  percentile?: number;
  /** How many of the eleven kinds of spoken language a text needs; default 2. */
  spoken?: number;
  /** The fewest and most characters of an answer; default [50, 2000]. */
  characters?: readonly [number, number];
  /** The cosine above which a row is like an earlier one; default 0.85. */
  similar?: number;
}

/**
 * The steps by which FinSight chose 2,960 of 250,000 Reddit posts (winddude/reddit_finance_43_250k), for {@linkcode curate}:
 *
 * 1. the fields are there (body, title, three scores; selftext may be missing)
 * 2. z_score, combined_score and comment_normalized_score each above their 20th percentile
 * 3. cleaned ({@linkcode cleanReddit}): writes `answer` (the body), `followUp` (the title) and `question` (title and selftext
 *    where the title is a question or shouted, else selftext, else title)
 * 4. {@linkcode textQuality} above 0.6
 * 5. {@linkcode textComplexity} above 0.3
 * 6. {@linkcode financeRelevance} above 0.2
 * 7. spoken: two or more of eleven kinds ({@linkcode spokenKinds})
 * 8. no profanity ({@linkcode isProfane})
 * 9. 50 to 2,000 characters
 * 10. no two alike: cosine of TF-IDF vectors (5,000 features of one and two words) at most 0.85, the earliest stays
 * 11. a sound answer ({@linkcode answerFaults}), which the repository asks for when it builds conversations
 *
 * The repository's log says 250,000, after step 2 137,812, from step 4 on 137,118, 137,049, 4,707, 3,457, 3,055, 2,963 and
 * 2,960; its scores had landed on other rows than those they were taken from, so that only the first figure compares.
 *
 * @example
 * ```ts
 * import { curate, funnelChart, redditSteps } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const post = (body: string, score: number) => ({
 *   title: "Pay the loan or invest?", body, z_score: score, combined_score: score, comment_normalized_score: score,
 * });
 * const advice = "I think you should pay off the credit card first: its interest of 20% is far above the return of any fund. " +
 *   "After that, let your savings grow in an index fund with low fees.";
 * const { rows, stages } = curate([post("lol", 1), post(advice, 2), post("Buy high, sell low.", 3)], redditSteps());
 * assert.deepEqual(rows.map((row) => row.answer).toArray(), [advice]);
 * const chart = funnelChart(stages);
 * ```
 */
export function redditSteps(options: RedditOptions = {}): CurationStep[] {
  const { quality = textQuality, complexity = textComplexity, relevance = financeRelevance, above = {} } =
    options;
  const { kinds = spokenKinds, profane = isProfane, faults = answerFaults } = options;
  const { percentile = 20, spoken = 2, characters: [least, most] = [50, 2000], similar = 0.85 } = options;
  const scores = { z_score: "number", combined_score: "number", comment_normalized_score: "number" } as const;
  const byText = (name: string, score: TextScore, bar: number) =>
    scoreStep(name, { score: (row) => score(textIn(row, "answer")), above: bar, field: name });
  return [
    fieldsStep({ body: "text", title: "text", selftext: "text?", subreddit: "text?", ...scores }),
    percentileStep(Object.keys(scores), percentile),
    step("cleaned", (row) => cleaned(row, options)),
    byText("quality", quality, above.quality ?? 0.6),
    byText("complexity", complexity, above.complexity ?? 0.3),
    byText("relevance", relevance, above.relevance ?? 0.2),
    step(
      "spoken",
      (row) => kinds(textIn(row, "answer")).length >= spoken || `fewer than ${spoken} kinds`,
    ),
    step("no profanity", (row) => !profane(textIn(row, "answer")) || "profanity"),
    step(`of ${least} to ${most} characters`, (row) => {
      const length = [...textIn(row, "answer")].length;
      return length < least ? "too short" : length > most ? "too long" : true;
    }),
    similarStep("answer", { threshold: similar }),
    step("sound answers", (row) => faults(textIn(row, "answer"))[0] ?? true),
  ];
}

/** The row with what is said in it as prose, or why it goes. */
function cleaned(row: Row, options: CleanOptions): Row | string {
  const answer = cleanReddit(textIn(row, "body"), options);
  const title = cleanReddit(textIn(row, "title"), options);
  const selftext = cleanReddit(row.selftext ?? "", options);
  if (answer === "") return "nothing left of the body";
  if (title === "") return "nothing left of the title";
  const asks = /[?!]$/.test(title) || (title === title.toUpperCase() && title !== title.toLowerCase());
  const question = selftext === "" ? title : asks ? `${title}\n\n${selftext}` : selftext;
  return { ...row, answer, question, followUp: title };
}
