// What the five builders share: conversations with metadata, and drawing from lists by a seed.

import { createHash } from "node:crypto";
import { checkRows } from "../../arguments.ts";
import { UserError } from "../../errors.ts";
import { Dataset } from "../dataset.ts";
import { seededRandom } from "../random.ts";
import { atRow, isObject, type Row } from "../row.ts";
import { textIn } from "../curate_steps.ts";

/** A conversation as FinSight's files hold them. */
export interface Conversation {
  /** The system prompt, then turns of user and assistant. */
  messages: { role: "system" | "user" | "assistant"; content: string }[];
  /** Where it came from: `source`, `conversation_id` (SHA-256 of the messages) and what the builder adds. */
  metadata: {
    source: string;
    conversation_id: string;
    type: string;
    [field: string]: string | number | boolean;
  };
}

/** A question and its answer. */
export interface QuestionAnswer {
  /** What is asked. */
  user: string;
  /** What is answered. */
  assistant: string;
}

/** The options that all builders have. */
export interface ConversationOptions {
  /** Decides everything that is drawn; default 42. */
  seed?: number;
  /** What the assistant is called; default "FinSight". */
  assistant?: string;
  /** System prompts to draw from, "{assistant}" standing for the name; default five of the builder's own. */
  systemPrompts?: readonly string[];
}

/** Drawing by a seed. */
export interface Draw {
  /** A number in [0, 1). */
  chance(): number;
  /** A whole number between two, both included. */
  between(low: number, high: number): number;
  /** One of a list. */
  pick<T>(list: readonly T[]): T;
  /** The list in another order. */
  shuffled<T>(list: readonly T[]): T[];
}

export function drawBy(seed: number): Draw {
  if (!Number.isSafeInteger(seed)) throw new UserError(`the seed is ${seed}: give a whole number.`);
  const chance = seededRandom(seed);
  const between = (low: number, high: number) => low + Math.floor(chance() * (high - low + 1));
  return {
    chance,
    between,
    pick(list) {
      if (list.length > 0) return list[between(0, list.length - 1)];
      throw new UserError("a list to draw from is empty: give at least one system prompt and one starter.");
    },
    shuffled(list) {
      const order = [...list];
      for (let last = order.length - 1; last > 0; last--) {
        const chosen = between(0, last);
        [order[last], order[chosen]] = [order[chosen], order[last]];
      }
      return order;
    },
  };
}

export const SYSTEM_PROMPTS: readonly string[] = [
  "You are {assistant}, an assistant for questions of finance. Answer accurately and plainly.",
  "You are {assistant}. Help people understand money: answer what is asked, with figures where they matter.",
  "As {assistant}, you explain finance to people who are new to it, step by step.",
  "You are a financial assistant named {assistant}. Be clear, careful and honest about risk.",
  "You are {assistant}, an AI that gives guidance on saving, investing and markets.",
];

/** Puts a conversation together. */
export function conversationOf(
  system: string,
  pairs: readonly QuestionAnswer[],
  metadata: { source: string; type: string; [field: string]: string | number | boolean },
): Conversation {
  const turns = pairs.flatMap(({ user, assistant }) => [
    { role: "user" as const, content: user },
    { role: "assistant" as const, content: assistant },
  ]);
  const messages: Conversation["messages"] = [{ role: "system", content: system }, ...turns];
  const id = createHash("sha256").update(JSON.stringify(messages)).digest("hex");
  const { source, type, ...more } = metadata;
  return { messages, metadata: { source, conversation_id: id, type, ...more } };
}

/** A blank filled to the letter: in a text to put in, replaceAll would take "$&" and "$$" for orders. */
export const filled = (text: string, blank: string, by: string): string =>
  text.replaceAll(`{${blank}}`, () => by);

/** The name filled into a text. */
export const named = (text: string, assistant: string): string => filled(text, "assistant", assistant);

/** Rows with their fields checked: each has to hold text that is not blank; other rows are refused with file, row and field. */
export function textRows(caller: string, rows: Iterable<Row>, fields: readonly string[]): Row[] {
  checkRows(caller, rows);
  const name = rows instanceof Dataset ? rows.name : "the rows";
  return Array.from(rows, (row, i) =>
    atRow(name, i, () => {
      if (!isObject(row)) throw new UserError("it is not an object with fields.");
      for (const field of fields) {
        if (textIn(row, field).trim() === "") throw new UserError(`field "${field}" is blank.`);
      }
      return row;
    }));
}

/** Checks a range of turns such as [3, 7]; `least` is what it may begin with. */
export function checkedTurns(
  caller: string,
  [low, high]: readonly [number, number],
  least: number = 1,
): readonly [number, number] {
  if (Number.isInteger(low) && Number.isInteger(high) && low >= least && high >= low) return [low, high];
  throw new UserError(
    `${caller}: turns is [${low}, ${high}]: give two whole numbers from ${least} on, the smaller first.`,
  );
}

/** Checks shares, by their names. */
export function checkShares(caller: string, shares: Record<string, number>): void {
  for (const [name, share] of Object.entries(shares)) {
    if (share >= 0 && share <= 1) continue;
    throw new UserError(`${caller}: ${name} is ${share}: give a share from 0 to 1.`);
  }
}

/** Lists cut into runs of random length; what is left over at the end is a shorter run. */
export function runsOf<T>(list: readonly T[], [low, high]: readonly [number, number], draw: Draw): T[][] {
  const runs: T[][] = [];
  for (let at = 0; at < list.length; at += runs.at(-1)!.length) {
    runs.push(list.slice(at, at + draw.between(low, high)));
  }
  return runs;
}
