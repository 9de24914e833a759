// The shapes that rows of questions and answers come in, read as one.

import { UserError } from "../errors.ts";
import type { Message } from "../text/chat_template.ts";
import type { Row } from "./row.ts";

/** A question, what it is asked about (may be empty), and where its answer stands. */
export interface Exchange {
  question: string;
  context: string;
  /** The answer; throws a UserError where the row has none. */
  answer(): string;
}

// [question, context, answer], as Alpaca's, OpenAI's and question-answering files name them.
const SHAPES = [
  ["instruction", "input", "output"],
  ["prompt", undefined, "completion"],
  ["question", "context", "answer"],
] as const;
const SHAPES_IN_WORDS = 'instruction/input/output, prompt/completion, question/context/answer, or "messages"';

/** Reads a row as one question and its answer. */
export function exchangeOf(row: Row): Exchange {
  for (const [question, context, answer] of SHAPES) {
    if (row[question] === undefined) continue;
    return {
      question: textOf(row, question),
      context: context === undefined ? "" : textOf({ [context]: row[context] ?? "" }, context),
      answer: () => textOf(row, answer),
    };
  }
  const messages = turnsOf(row);
  if (!messages) {
    throw new UserError(
      `no field "instruction", "prompt", "question" or "messages" (it has ${
        fieldNames(row)
      }; known are ${SHAPES_IN_WORDS}).`,
    );
  }
  return singleTurn(messages);
}

/** Reads a row as a conversation; a row of question and answer becomes one of two turns. */
export function messagesOf(row: Row): Message[] {
  const turns = turnsOf(row);
  if (turns) return turns;
  const { question, context, answer } = exchangeOf(row);
  const asked = { role: "user", content: context === "" ? question : `${question}\n\n${context}` };
  const answered = SHAPES.some(([, , field]) => row[field] !== undefined);
  return answered ? [asked, { role: "assistant", content: answer() }] : [asked];
}

function turnsOf(row: Row): Message[] | undefined {
  const field = row.messages !== undefined ? "messages" : "conversations";
  const turns: unknown = row[field];
  if (turns === undefined) return undefined;
  if (!Array.isArray(turns) || turns.length === 0) {
    throw new UserError(`field "${field}" is not a list of messages.`);
  }
  return turns.map((turn, i) => message(turn, `${field}[${i}]`));
}

// ShareGPT's names for the speakers.
const ROLES: Record<string, string> = { human: "user", gpt: "assistant" };

function message(turn: Row | null, where: string): Message {
  const role = turn?.role ?? turn?.from;
  const content = turn?.content ?? turn?.value;
  if (typeof role !== "string" || typeof content !== "string") {
    throw new UserError(`${where} should have a "role" and a "content" that are text.`);
  }
  return { role: ROLES[role] ?? role, content };
}

function singleTurn(messages: Message[]): Exchange {
  const [asked, answered] = messages;
  const roles = messages.map((message) => message.role).join(", ");
  if (roles !== "user, assistant" && roles !== "user") {
    throw new UserError(
      `its messages are ${roles}: this prompt holds one question and its answer; use chat(tokenizer) for conversations.`,
    );
  }
  return {
    question: asked.content,
    context: "",
    answer() {
      if (!answered) throw new UserError("its messages hold no answer.");
      return answered.content;
    },
  };
}

function textOf(row: Row, field: string): string {
  const value: unknown = row[field];
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value === undefined) throw new UserError(`no field "${field}" (it has ${fieldNames(row)}).`);
  throw new UserError(
    `field "${field}" is ${
      value === null ? "null" : Array.isArray(value) ? "a list" : "an object"
    }, not text.`,
  );
}

function fieldNames(row: Row): string {
  return Object.keys(row).join(", ") || "none";
}
