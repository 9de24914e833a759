// The prompt that fits the rows, told by their fields.

import { UserError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { chat } from "./chat.ts";
import { financeQA, type Prompt, type TextPart } from "./prompt.ts";
import { atRow, type Row } from "./row.ts";
import { chosenOf, exchangeOf, labelled, type Shape, shapeOf, textOf, unknownShape } from "./shapes.ts";

/** Options of {@linkcode detectPrompt}. */
export interface DetectOptions {
  /** A system message for rows that bring none, where the tokenizer has a chat template. */
  system?: string;
  /** The names of the labels of text/label rows, by their number or by what the file calls them. Default: as in the file. */
  labels?: readonly string[] | Readonly<Record<string, string>>;
}

/**
 * Chooses the prompt for rows by their fields. {@linkcode packBatches} does so itself where it is given none; do it once
 * for all rows where training and test rows must be asked alike (the labels of text/label rows are listed in the question).
 *
 * | rows | prompt |
 * |---|---|
 * | messages, conversations, prompt and completion as lists of messages | the chat template |
 * | instruction/input/output, question/context/answer, prompt/completion and other names for them | the chat template, or financeQA for a tokenizer without one |
 * | prompt/completion that bring their own space or line break between them | the two behind one another, as TRL does |
 * | text/label | the question which label fits, with all labels listed; answered by the label's name |
 * | chosen/rejected | the chosen answer as one of the above; the rejected one is not used, and a warning says so |
 * | segments (Axolotl's { label, text }) | behind one another; those with a true label are answers |
 * | text | the text itself |
 *
 * @param rows all rows; they are read once
 * @param tokenizer the model's, for its chat template
 * @throws UserError for no rows, a row of no known shape (its fields are named), rows of shapes that do not go together,
 *   conversations of several turns without a chat template
 *
 * @example
 * ```ts
 * import { detectPrompt } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const rows = [{ text: "Profit fell.", label: 0 }, { text: "Sales doubled.", label: 1 }];
 * const prompt = detectPrompt(rows, undefined, { labels: ["negative", "positive"] });
 * assert.equal(
 *   prompt.question(rows[0]) + prompt.answer(rows[0]),
 *   "### Question: Choose the label of the text from {negative/positive}.\n\nProfit fell.\n\n### Answer: negative",
 * );
 * ```
 */
export function detectPrompt(
  rows: Iterable<Row>,
  tokenizer?: Tokenizer,
  options: DetectOptions = {},
): Prompt {
  const name = (rows as { name?: unknown }).name;
  const seen = survey(rows, typeof name === "string" ? name : "the rows");
  const base = tokenizer?.chatTemplate === undefined ? financeQA : chat(tokenizer, options);
  const [shape] = seen.shapes.keys();
  if (shape === "text") return plainText;
  if (shape === "segments") return segments;
  if (shape === "classification") return classification(namesOf(seen.labels, options.labels), base);
  if (shape === "preference") {
    console.warn(
      "rows of chosen and rejected answers: the chosen ones are trained on, the rejected ones are not used.",
    );
    const inner = detectPrompt(seen.chosen, tokenizer, options);
    return mapped(`${inner.name} of the chosen answers`, inner, chosenOf);
  }
  return shape === "exchange" && seen.joined ? joined : base;
}

interface Survey {
  shapes: Map<Shape, number>;
  labels: Set<string>;
  chosen: Row[];
  /** Whether every row brings the space between its question and its answer. */
  joined: boolean;
}

// Conversations and single questions go together, as each is read by its own fields; other shapes do not mix.
function survey(rows: Iterable<Row>, name: string): Survey {
  const seen: Survey = { shapes: new Map(), labels: new Set(), chosen: [], joined: true };
  let index = 0;
  for (const row of rows) {
    const shape = atRow(name, index, () => shapeAt(row));
    if (!seen.shapes.has(shape)) seen.shapes.set(shape, index);
    if (shape === "classification") seen.labels.add(String(row[labelled(row)!.label]));
    if (shape === "preference") seen.chosen.push(atRow(name, index, () => chosenOf(row)));
    if (shape === "exchange") seen.joined &&= bringsSpace(row);
    index++;
  }
  if (index === 0) throw new UserError(`${name} has no rows: there is nothing to choose a prompt by.`);
  const kinds = new Set(
    [...seen.shapes.keys()].map((shape) => shape === "exchange" ? "conversation" : shape),
  );
  if (kinds.size > 1) {
    const found = [...seen.shapes].map(([shape, at]) => `${shape} in row ${at}`).join(", ");
    throw new UserError(
      `${name} holds rows of shapes that do not go together (${found}): give a prompt, or split them.`,
    );
  }
  if (seen.shapes.size > 1) seen.joined = false;
  return seen;
}

function shapeAt(row: Row): Shape {
  const shape = shapeOf(row);
  if (shape === undefined) throw unknownShape(row);
  const verdict = row.completion !== undefined && typeof row.label === "boolean"
    ? "label" // TRL's
    : typeof row.kto_tag === "boolean"
    ? "kto_tag" // LLaMA-Factory's
    : undefined;
  if (verdict) {
    throw new UserError(
      `answers with a ${verdict} of true or false are preferences one by one: keep the good ones with ` +
        `rows.filter((row) => row.${verdict}), and leave the field out with rows.map(...).`,
    );
  }
  return shape;
}

function bringsSpace(row: Row): boolean {
  if (row.prompt === undefined && row.target === undefined && row.targets === undefined) return false;
  const { question, answer } = exchangeOf(row);
  return /\s$/.test(question) || /^\s/.test(answer());
}

/** Question and answer behind one another; spaces at the question's end belong to the answer's first word. */
const joined: Prompt = {
  name: "question and answer as they stand",
  question: (row) => exchangeOf(row).question.replace(/ +$/, ""),
  answer(row) {
    const { question, answer } = exchangeOf(row);
    return / *$/.exec(question)![0] + answer();
  },
};

const plainText: Prompt = { name: "text", question: () => "", answer: (row) => textOf(row, "text") };

const segments: Prompt = {
  name: "segments",
  question: (row) => textOfParts(partsOf(row).slice(0, lastAnswer(row))),
  answer: (row) => textOfParts(partsOf(row).slice(lastAnswer(row))),
  render: partsOf,
};

function partsOf(row: Row): TextPart[] {
  const list: unknown = row.segments;
  if (!Array.isArray(list)) throw new UserError('field "segments" is not a list of { label, text }.');
  return list.map((segment, i) => {
    if (typeof segment?.text === "string" && typeof segment.label === "boolean") {
      return { text: segment.text, trained: segment.label };
    }
    throw new UserError(`segments[${i}] should have a "text" and a "label" that is true or false.`);
  });
}

function textOfParts(parts: TextPart[]): string {
  return parts.map((part) => part.text).join("");
}

function lastAnswer(row: Row): number {
  return Math.max(partsOf(row).findLastIndex((part) => part.trained), 0);
}

/** Which label fits the text; `names` says what each label of the file is called. */
function classification(names: Map<string, string>, base: Prompt): Prompt {
  const listed = [...names.values()].join("/");
  return mapped(`${base.name} with the labels ${listed}`, base, (row) => {
    const fields = labelled(row);
    const text = fields?.text ?? "text";
    const question = {
      question: `Choose the label of the text from {${listed}}.`,
      context: textOf(row, text),
    };
    if (fields === undefined) return question; // a text without a label can still be asked about
    const answer = names.get(String(row[fields.label]));
    if (answer !== undefined) return { ...question, answer };
    throw new UserError(
      `its ${fields.label} is ${JSON.stringify(row[fields.label])}, none of ${[...names.keys()].join(", ")}.`,
    );
  });
}

const MOST_LABELS = 50;

function namesOf(found: Set<string>, given: DetectOptions["labels"]): Map<string, string> {
  const numbers = [...found].every((label) => Number.isFinite(Number(label)));
  const labels = [...found].sort((a, b) => numbers ? Number(a) - Number(b) : a < b ? -1 : 1);
  if (given === undefined && labels.length > MOST_LABELS) {
    throw new UserError(
      `text/label rows with ${labels.length} different labels (${
        labels.slice(0, 3).join(", ")
      }, ...) are no classes: ` +
        "give a prompt that says what to ask.",
    );
  }
  if (given === undefined) return new Map(labels.map((label) => [label, label]));
  const names = new Map(Object.entries(given));
  const missing = labels.find((label) => !names.has(label));
  if (missing !== undefined) throw new UserError(`{ labels } has no name for the label ${missing}.`);
  return names;
}

/** A prompt for rows that are read as other rows. */
function mapped(name: string, base: Prompt, read: (row: Row) => Row): Prompt {
  return {
    name,
    question: (row) => base.question(read(row)),
    answer: (row) => base.answer(read(row)),
    render: base.render && ((row, completionOnly) => base.render!(read(row), completionOnly)),
    turnEnd: base.turnEnd,
  };
}

/** Rows of a stream that are looked at before the first of them is tokenized. */
const HEAD = 1000;

interface Collector<R> {
  add(row: Row): void;
  finish(): R;
}

/**
 * The collector that `create` makes with the prompt given, or with the one that the rows tell: all of them where they can be
 * read twice, else the first thousand, which wait until then. Rows of token ids need none.
 */
export function withPrompt<R, O extends { tokenizer?: Tokenizer; prompt?: Prompt }>(
  rows: object,
  options: O,
  create: (options: O) => Collector<R>,
): Collector<R> {
  if (options.prompt || !options.tokenizer) return create(options);
  const choose = (from: Iterable<Row>) => {
    const text = Array.from(from).filter((row) => row.inputIds === undefined);
    if (text.length === 0) return create(options);
    const all = Object.assign(text, { name: (rows as { name?: unknown }).name });
    return create({ ...options, prompt: detectPrompt(all, options.tokenizer) });
  };
  if (Array.isArray(rows) || Symbol.iterator in rows && "length" in rows) return choose(rows as Row[]);
  let waiting: Row[] = [];
  let collector: Collector<R> | undefined;
  const start = () => {
    collector = choose(waiting);
    for (const row of waiting) collector.add(row);
    waiting = [];
    return collector;
  };
  return {
    add(row) {
      if (collector) return collector.add(row);
      waiting.push(row);
      if (waiting.length === HEAD) start();
    },
    finish: () => (collector ?? start()).finish(),
  };
}
