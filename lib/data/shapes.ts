// The shapes that rows come in, told by the names of their fields, and read as conversations or as questions and answers.

import { UserError } from "../errors.ts";
import type { Message } from "../text/chat_template.ts";
import type { Row } from "./row.ts";
import { functionCalls, messageOf } from "./messages.ts";

/** A question, what it is asked about (may be empty), and where its answer stands. */
export interface Exchange {
  question: string;
  context: string;
  /** The answer; throws a UserError where the row has none. */
  answer(): string;
}

/** A row as a conversation; `trained[i]` tells whether message i is an answer to learn. */
export interface Conversation {
  messages: Message[];
  trained: boolean[];
  /** The functions that the model may call, as the chat template wants them. */
  tools?: unknown[];
}

/** What a row is, by its fields alone. */
export type Shape = "conversation" | "exchange" | "preference" | "segments" | "classification" | "text";

// [question, context, answer] as the tools and data sets of the field name them.
const EXCHANGES: readonly (readonly [string, string | undefined, string])[] = [
  ["instruction", "input", "output"], // Alpaca, LLaMA-Factory, FinGPT
  ["instruction", "input", "response"], // GPTeacher
  ["instruction", "context", "response"], // Dolly
  ["prompt", undefined, "completion"], // OpenAI, TRL, MLX-LM
  ["prompt", undefined, "response"],
  ["prompt", undefined, "generation"], // Metharme
  ["question", "context", "answer"],
  ["question", "article", "answer"],
  ["question", "context", "answers"], // SQuAD
  ["question", undefined, "response"], // OpenOrca
  ["query", undefined, "response"],
  ["input", undefined, "output"],
  ["inputs", undefined, "targets"], // FLAN
  ["context", undefined, "target"], // FinGPT's older files
  ["article", undefined, "summary"],
  ["message_1", undefined, "message_2"], // Camel
  ["INSTRUCTION", undefined, "RESPONSE"], // OpenAssistant
];
const CONVERSATIONS = ["messages", "conversations", "conversation"];
const TEXTS = ["text", "sentence", "news", "headline", "tweet", "title", "review", "content"];
const LABELS = ["label_text", "label", "sentiment"];

/** The shapes in words, for messages. */
export const SHAPES_IN_WORDS =
  'instruction/input/output, prompt/completion, question/context/answer, "messages" or "conversations", ' +
  "text/label, text, and chosen/rejected";

/** Tells a row's shape, or undefined where its fields are none that are known. */
export function shapeOf(row: Row): Shape | undefined {
  if (has(row, "chosen")) return "preference";
  if (CONVERSATIONS.some((field) => has(row, field)) || listsOfTurns(row)) return "conversation";
  if (has(row, "segments")) return "segments";
  const exchange = exchangeFields(row);
  if (exchange && has(row, exchange[2])) return "exchange";
  if (labelled(row)) return "classification";
  return has(row, "text") ? "text" : undefined;
}

/** The complaint about a row of no known shape: its fields, and what is known. */
export function unknownShape(row: Row): UserError {
  const [question, , answer] = exchangeFields(row) ?? [];
  const half = question === undefined ? "" : `"${question}" has no "${answer}" beside it; `;
  return new UserError(
    `${half}no shape that is known (it has ${fieldNames(row)}; known are ${SHAPES_IN_WORDS}): ` +
      "rename the fields with rows.map(...), or give a prompt.",
  );
}

/** Reads a row as one question and its answer. */
export function exchangeOf(row: Row): Exchange {
  const fields = exchangeFields(row);
  if (fields && !listsOfTurns(row)) {
    for (const field of ["system", "system_prompt", "history"]) {
      if (typeof row[field] === "string" ? row[field] !== "" : row[field]?.length > 0) {
        throw new UserError(
          `field "${field}" has no place in this prompt, which holds one question and its answer; use chat(tokenizer).`,
        );
      }
    }
    return readExchange(row, fields);
  }
  const turns = turnsOf(row);
  if (turns) return singleTurn(turns.messages);
  throw new UserError(
    `no field "instruction", "prompt", "question" or "messages" (it has ${
      fieldNames(row)
    }; known are ${SHAPES_IN_WORDS}).`,
  );
}

/** Reads a row as a conversation; a row of question and answer becomes one of two turns, behind its history. */
export function conversationOf(row: Row): Conversation {
  const turns = turnsOf(row);
  if (turns) return turns;
  const fields = exchangeFields(row);
  if (!fields) exchangeOf(row); // throws
  const { question, context, answer } = readExchange(row, fields!);
  const messages: Message[] = [
    ...systemOf(row),
    ...historyOf(row),
    { role: "user", content: context === "" ? question : `${question}\n\n${context}` },
  ];
  if (has(row, fields![2])) messages.push({ role: "assistant", content: answer() });
  return { messages, trained: messages.map(isAnswer), tools: toolsOf(row) };
}

/** A preference row as one of the shapes above that holds the chosen answer only. */
export function chosenOf(row: Row): Row {
  const { chosen, prompt } = row;
  const turn = (value: unknown) => typeof value === "string" ? { role: "assistant", content: value } : value;
  const before = CONVERSATIONS.map((field) => row[field]).find(Array.isArray) ??
    (Array.isArray(prompt) ? prompt : undefined);
  const answers: unknown[] = Array.isArray(chosen) ? chosen : [turn(chosen)];
  if (before) {
    const repeated = JSON.stringify(answers.slice(0, before.length)) === JSON.stringify(before);
    return { ...withoutPreference(row), messages: repeated ? answers : [...before, ...answers] };
  }
  if (Array.isArray(chosen)) return { ...withoutPreference(row), messages: chosen };
  const question = exchangeFields(row)?.[0];
  if (question === undefined) return { text: textOf(row, "chosen") };
  return {
    ...withoutPreference(row),
    [question]: row[question],
    [EXCHANGES.find(([field]) => field === question)![2]]: chosen,
  };
}

/** A row's text and label, or undefined. */
export function labelled(row: Row): { text: string; label: string } | undefined {
  const text = TEXTS.find((field) => typeof row[field] === "string");
  const label = LABELS.find((field) =>
    ["string", "number", "boolean"].includes(typeof row[field]) && field !== text
  );
  return text === undefined || label === undefined ? undefined : { text, label };
}

/** The names of a row's fields, for messages. */
export function fieldNames(row: Row): string {
  return Object.keys(row).join(", ") || "none";
}

/** A field that must be text; numbers and truth values are written out. */
export function textOf(row: Row, field: string): string {
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

function has(row: Row, field: string): boolean {
  return row[field] !== undefined;
}

// All three fields say more than two, and a question alone is still asked.
function exchangeFields(row: Row): readonly [string, string | undefined, string] | undefined {
  const asked = EXCHANGES.filter(([question]) => has(row, question));
  return asked.find(([, context, answer]) =>
    context !== undefined && has(row, context) && has(row, answer)
  ) ??
    asked.find(([, , answer]) => has(row, answer)) ?? asked[0];
}

function readExchange(
  row: Row,
  [question, context, answer]: readonly [string, string | undefined, string],
): Exchange {
  return {
    question: textOf(row, question),
    context: context === undefined ? "" : textOf({ [context]: row[context] ?? "" }, context),
    answer() {
      const several: unknown = row[answer]?.text; // SQuAD's { text: [...], answer_start: [...] }
      return Array.isArray(several) && several.length > 0 ? String(several[0]) : textOf(row, answer);
    },
  };
}

// TRL's prompt and completion may be lists of messages.
function listsOfTurns(row: Row): boolean {
  return Array.isArray(row.prompt) && (row.completion === undefined || Array.isArray(row.completion));
}

function turnsOf(row: Row): Conversation | undefined {
  const tools = toolsOf(row);
  if (listsOfTurns(row)) {
    const asked = read(row, "prompt");
    const answered = has(row, "completion") ? read(row, "completion") : { messages: [], trained: [] };
    return {
      messages: [...asked.messages, ...answered.messages],
      trained: [...asked.messages.map(() => false), ...answered.trained], // as TRL: the completion's answers
      tools,
    };
  }
  const field = CONVERSATIONS.find((name) => has(row, name));
  if (field === undefined) return undefined;
  const { messages, trained } = read(row, field);
  const system = messages[0].role === "system" ? [] : systemOf(row);
  return { messages: [...system, ...messages], trained: [...system.map(() => false), ...trained], tools };
}

function read(row: Row, field: string): { messages: Message[]; trained: boolean[] } {
  const turns: unknown = row[field];
  if (!Array.isArray(turns) || turns.length === 0) {
    throw new UserError(`field "${field}" is not a list of messages.`);
  }
  const messages = turns.map((turn, i) => messageOf(turn, `${field}[${i}]`));
  const inPart = turns.findIndex((turn) => turn.train_detail?.length > 0);
  if (inPart >= 0) {
    throw new UserError(
      `${field}[${inPart}] has a "train_detail": parts of an answer cannot be chosen, write the row as "segments".`,
    );
  }
  // OpenAI's weight 0 and Axolotl's train false: an answer to read, not to learn.
  const trained = messages.map((message, i) =>
    isAnswer(message) && turns[i].weight !== 0 && turns[i].train !== false
  );
  return { messages, trained };
}

function isAnswer(message: Message): boolean {
  return message.role === "assistant";
}

function systemOf(row: Row): Message[] {
  const system = row.system ?? row.system_prompt;
  return typeof system === "string" && system !== "" ? [{ role: "system", content: system }] : [];
}

// LLaMA-Factory's earlier turns: [[question, answer], ...].
function historyOf(row: Row): Message[] {
  if (row.history === undefined || row.history === null || row.history === "") return [];
  const pairs: unknown = row.history;
  const sound = Array.isArray(pairs) &&
    pairs.every((pair) =>
      Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === "string")
    );
  if (!sound) throw new UserError(`field "history" should be a list of [question, answer] pairs of text.`);
  return (pairs as [string, string][]).flatMap(([question, answer]) => [
    { role: "user", content: question },
    { role: "assistant", content: answer },
  ]);
}

// A list, or a list written as JSON text (LLaMA-Factory); OpenAI's older "functions" are wrapped.
function toolsOf(row: Row): unknown[] | undefined {
  const value: unknown = row.tools ?? row.functions;
  if (value === undefined || value === null || value === "") return undefined;
  const tools = typeof value === "string" ? functionCalls(value, 'field "tools"') : value;
  if (!Array.isArray(tools)) throw new UserError('field "tools" is not a list of functions.');
  if (tools.length === 0) return undefined;
  return tools.map((tool) => tool?.function === undefined ? { type: "function", function: tool } : tool);
}

function withoutPreference(row: Row): Row {
  const { chosen: _chosen, rejected: _rejected, ...rest } = row;
  for (const field of CONVERSATIONS) delete rest[field];
  if (Array.isArray(rest.prompt)) delete rest.prompt;
  return rest;
}

function singleTurn(messages: Message[]): Exchange {
  const [asked, answered] = messages;
  const roles = messages.map((message) => message.role).join(", ");
  if (roles !== "user, assistant" && roles !== "user" || answered?.tool_calls) {
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
