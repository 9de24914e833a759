// Curated posts as conversations of several turns.

import { UserError } from "../../errors.ts";
import {
  checkedTurns,
  checkShares,
  type Conversation,
  conversationOf,
  type ConversationOptions,
  drawBy,
  named,
  type QuestionAnswer,
  SYSTEM_PROMPTS,
  textRows,
} from "../finsight/conversation.ts";
import { introductionPairs } from "../finsight/introductions.ts";
import { Dataset } from "../dataset.ts";
import type { Row } from "../row.ts";

/** Options of {@linkcode redditConversations}. */
export interface RedditConversationOptions extends ConversationOptions {
  /** The share of rows whose conversation may begin with a starter; default 0.8. */
  eligible?: number;
  /** How probable a starter is for these; default 0.5. */
  starterChance?: number;
  /** Openings to draw from, one question and answer each; default introductions of the assistant. */
  starters?: readonly QuestionAnswer[];
  /** How many further questions and answers follow, at least and at most; default [3, 7]. */
  turns?: readonly [number, number];
  /** How often a row may be such a further turn; default 5. */
  maxUses?: number;
}

/**
 * One conversation for each curated row: a system prompt; for half of the first 80 % of the (shuffled) rows a starter; the row's
 * question and answer; then 3 to 7 questions (their short form) and answers of other rows, each of which is used at
 * most five times so. Where rows have been used up, fewer follow. What is drawn, the seed decides.
 *
 * @param rows with `question`, `followUp` and `answer` as {@linkcode redditSteps} write them, and `subreddit`
 * @returns rows { messages, metadata: { source: "reddit: <subreddit>", conversation_id, type: "reddit", turns } }
 * @throws UserError for a row that lacks a field, or an option out of range
 *
 * @example
 * ```ts
 * import { redditConversations } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const rows = ["Stocks?", "Bonds?", "Cash?", "Gold?"].map((question) => ({
 *   question, followUp: question, answer: `${question.slice(0, -1)} can be right for you.`, subreddit: "investing",
 * }));
 * const talks = redditConversations(rows, { seed: 7, turns: [1, 2] });
 * assert.equal(talks.length, 4);
 * assert.equal(talks.at(0).messages[0].role, "system");
 * ```
 */
export function redditConversations(
  rows: Iterable<Row>,
  options: RedditConversationOptions = {},
): Dataset<Conversation> {
  const { seed = 42, eligible = 0.8, starterChance = 0.5, maxUses = 5, assistant = "FinSight" } = options;
  const [low, high] = checkedTurns("redditConversations", options.turns ?? [3, 7], 0);
  checkShares("redditConversations", { eligible, starterChance });
  if (!Number.isInteger(maxUses) || maxUses < 0) {
    throw new UserError(`redditConversations: maxUses is ${maxUses}: give a whole number, 0 or more.`);
  }
  const draw = drawBy(seed);
  const shuffled = draw.shuffled(textRows("redditConversations", rows, ["question", "followUp", "answer"]));
  const prompts = options.systemPrompts ?? SYSTEM_PROMPTS;
  const starters = options.starters ?? introductionPairs(assistant);
  const further = useLimited(shuffled.length, maxUses, draw.between);
  const talks = shuffled.map((row, i) => {
    const opens = i < Math.floor(eligible * shuffled.length) && draw.chance() < starterChance;
    const others = further(draw.between(low, high), i).map((other) => shuffled[other]);
    return conversationOf(named(draw.pick(prompts), assistant), [
      ...opens ? [draw.pick(starters)] : [],
      { user: row.question, assistant: row.answer },
      ...others.map((other) => ({ user: other.followUp, assistant: other.answer })),
    ], {
      source: `reddit: ${row.subreddit || "unknown"}`,
      type: "reddit",
      turns: 1 + others.length,
      starter: opens,
    });
  });
  return new Dataset(talks, "reddit conversations");
}

/** Draws distinct rows, never `own`, each at most `maxUses` times in all. */
function useLimited(
  count: number,
  maxUses: number,
  between: (low: number, high: number) => number,
): (wanted: number, own: number) => number[] {
  const left = new Uint32Array(count).fill(maxUses);
  // The rows that can still be drawn stand in front; drawn ones are swapped behind the end for the time of one call.
  const pool = maxUses > 0 ? Array.from({ length: count }, (_, i) => i) : [];
  return (wanted, own) => {
    const drawn: number[] = [];
    let end = pool.length;
    while (drawn.length < wanted && end > 0) {
      const at = between(0, end - 1), row = pool[at];
      end--;
      [pool[at], pool[end]] = [pool[end], row];
      if (row !== own) drawn.push(row);
    }
    for (const row of drawn) left[row]--;
    for (let at = pool.length - 1; at >= end; at--) {
      if (left[pool[at]] > 0) continue;
      pool[at] = pool[pool.length - 1];
      pool.pop();
    }
    return drawn;
  };
}
