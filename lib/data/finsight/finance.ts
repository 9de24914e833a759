// General finance: questions and answers of any kind as conversations.

import { checkRows } from "../../arguments.ts";
import { UserError } from "../../errors.ts";
import { Dataset } from "../dataset.ts";
import { atRow, isObject, type Row } from "../row.ts";
import {
  checkedTurns,
  type Conversation,
  conversationOf,
  type ConversationOptions,
  drawBy,
  named,
  type QuestionAnswer,
  runsOf,
  SYSTEM_PROMPTS,
} from "./conversation.ts";

/** Options of {@linkcode financeConversations}. */
export interface FinanceOptions extends ConversationOptions {
  /** How many questions a conversation has, at least and at most; what is left makes a shorter one. Default [1, 3]. */
  turns?: readonly [number, number];
  /** The field with the question; default the first that the row has of instruction (with input), question, prompt, title. */
  question?: string;
  /** The field with the answer; default the first that the row has of output, answer, completion, response. */
  answer?: string;
  /** What the metadata says of the rows' source; default the dataset's name. */
  source?: string;
}

/**
 * Questions and answers about finance, such as finance-alpaca's or FiQA's, as conversations. Every row is used once.
 *
 * @param rows { instruction, input?, output } or other names, see {@linkcode FinanceOptions}
 * @returns rows { messages, metadata: { source, conversation_id, type: "finance", turns } }
 * @throws UserError for a row without question or answer, or an option out of range
 *
 * @example
 * ```ts
 * import { financeConversations } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const [talk] = financeConversations([{ instruction: "What is a bond?", input: "", output: "A loan." }]);
 * assert.deepEqual(talk.messages.slice(1).map(({ content }) => content), ["What is a bond?", "A loan."]);
 * ```
 */
export function financeConversations(
  rows: Iterable<Row>,
  options: FinanceOptions = {},
): Dataset<Conversation> {
  const { seed = 42, assistant = "FinSight", systemPrompts = SYSTEM_PROMPTS } = options;
  checkRows("financeConversations", rows);
  const turns = checkedTurns("financeConversations", options.turns ?? [1, 3]);
  const name = rows instanceof Dataset ? rows.name : "the rows";
  const pairs = Array.from(rows, (row, i) => atRow(name, i, () => pairOf(row, options)));
  const draw = drawBy(seed);
  const talks = runsOf(draw.shuffled(pairs), turns, draw).map((run) =>
    conversationOf(named(draw.pick(systemPrompts), assistant), run, {
      source: options.source ?? name,
      type: "finance",
      turns: run.length,
    })
  );
  return new Dataset(talks, "finance conversations");
}

const QUESTIONS = ["instruction", "question", "prompt", "title"];
const ANSWERS = ["output", "answer", "completion", "response"];

function pairOf(row: Row, options: FinanceOptions): QuestionAnswer {
  const user = fieldOf(row, "question", options.question, QUESTIONS);
  const assistant = fieldOf(row, "answer", options.answer, ANSWERS);
  const input = options.question === undefined ? inputOf(row) : "";
  return { user: input === "" ? user : `${user}\n\n${input}`, assistant };
}

function inputOf({ input }: Row): string {
  if (input === undefined || input === null) return "";
  if (typeof input === "string") return input.trim();
  throw new UserError('field "input" (more of the question) is no text.');
}

function fieldOf(row: Row, what: string, given: string | undefined, known: readonly string[]): string {
  const field = given ?? (isObject(row) ? known.find((one) => Object.hasOwn(row, one)) : undefined);
  const value: unknown = isObject(row) && field !== undefined ? row[field] : undefined;
  if (typeof value === "string" && value.trim() !== "") return value;
  throw new UserError(
    field === undefined
      ? `no field with the ${what}: it is looked for in ${known.join(", ")}.`
      : `field "${field}" (the ${what}) is ${value === undefined ? "missing" : "blank or no text"}.`,
  );
}
