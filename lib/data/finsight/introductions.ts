// Introductions: conversations in which the assistant says who it is and what it can do.

import { UserError } from "../../errors.ts";
import { Dataset } from "../dataset.ts";
import {
  checkedTurns,
  checkShares,
  type Conversation,
  conversationOf,
  type ConversationOptions,
  type Draw,
  drawBy,
  named,
  type QuestionAnswer,
  SYSTEM_PROMPTS,
} from "./conversation.ts";
import { INTRODUCTION_TOPICS } from "./introduction_texts.ts";

/** Options of {@linkcode introductionConversations}. */
export interface IntroductionOptions extends ConversationOptions {
  /** How many questions a conversation has, at least and at most; at most 6, default [3, 3]. */
  turns?: readonly [number, number];
  /** The share of questions written carelessly ("wat can u do"); default 0.3. */
  careless?: number;
}

/**
 * Conversations that give the assistant its identity: name, abilities, way of working, training, limits, each asked and answered
 * in several ways, a greeting often first. No two are the same.
 *
 * @param count how many
 * @param options see {@linkcode IntroductionOptions}
 * @returns rows { messages, metadata: { source: "generated_intro", conversation_id, type: "introduction" } }
 * @throws UserError for an option out of range, or more conversations than there are different ones
 *
 * @example
 * ```ts
 * import { introductionConversations } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const talks = introductionConversations(20, { assistant: "Ada", seed: 1 });
 * assert.equal(talks.length, 20);
 * assert.equal(talks.at(0).messages.length, 7);
 * assert.match(talks.at(0).messages.map(({ content }) => content).join(), /Ada/);
 * ```
 */
export function introductionConversations(
  count: number,
  options: IntroductionOptions = {},
): Dataset<Conversation> {
  const { seed = 42, assistant = "FinSight", systemPrompts = SYSTEM_PROMPTS, careless = 0.3 } = options;
  const turns = checkedTurns("introductionConversations", options.turns ?? [3, 3]);
  checkShares("introductionConversations", { careless });
  if (!Number.isInteger(count) || count < 1) {
    throw new UserError(
      `introductionConversations: the count is ${count}: give a whole number of at least 1.`,
    );
  }
  if (turns[1] > INTRODUCTION_TOPICS.length) {
    throw new UserError(
      `introductionConversations: there are ${INTRODUCTION_TOPICS.length} kinds of questions, too few for ${
        turns[1]
      } turns.`,
    );
  }
  const draw = drawBy(seed);
  const talks = new Map<string, Conversation>();
  for (let tries = 0; talks.size < count; tries++) {
    if (tries > 20 * count + 1000) {
      throw new UserError(
        `introductionConversations: only ${talks.size} different conversations of ${turns} turns were found: ask for fewer.`,
      );
    }
    const talk = conversationOf(
      named(draw.pick(systemPrompts), assistant),
      topicsFor(draw.between(...turns), draw).map(({ asked, answered }) => ({
        user: draw.chance() < careless ? carelessly(draw.pick(asked)) : draw.pick(asked),
        assistant: named(draw.pick(answered), assistant),
      })),
      { source: "generated_intro", type: "introduction" },
    );
    talks.set(talk.metadata.conversation_id, talk);
  }
  return new Dataset(talks.values(), "introductions");
}

/** All greetings and questions for the name, each with a fitting answer: openings for other conversations. */
export function introductionPairs(assistant: string): QuestionAnswer[] {
  return INTRODUCTION_TOPICS.slice(0, 3).flatMap(({ asked, answered }) =>
    asked.flatMap((user) => answered.map((answer) => ({ user, assistant: named(answer, assistant) })))
  );
}

/** Different kinds of questions; a greeting only as the first. */
function topicsFor(count: number, draw: Draw): typeof INTRODUCTION_TOPICS {
  const [greeting, ...others] = INTRODUCTION_TOPICS;
  const greets = count > others.length || draw.chance() < 0.5;
  const rest = draw.shuffled(others);
  return greets ? [greeting, ...rest.slice(0, count - 1)] : rest.slice(0, count);
}

const SHORT: [RegExp, string][] = [
  [/\byour\b/g, "ur"],
  [/\byou\b/g, "u"],
  [/\bare\b/g, "r"],
  [/\bwhat\b/g, "wat"],
  [/\bplease\b/g, "pls"],
  [/['?.,]/g, ""],
];

/** As people type in haste. */
function carelessly(text: string): string {
  return SHORT.reduce((changed, [pattern, by]) => changed.replace(pattern, by), text.toLowerCase());
}
