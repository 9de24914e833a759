// Prompts: how a row becomes the text that is trained on, and the text that a model is asked with.

import type { Row } from "./row.ts";
import { exchangeOf } from "./shapes.ts";

export { chat } from "./chat.ts";

/** A piece of a row's text; with `completionOnly` only `trained` pieces count in the loss. */
export interface TextPart {
  /** The piece, to the letter. */
  text: string;
  /** Whether it belongs to an answer. */
  trained: boolean;
}

/**
 * A prompt is a plain object; write your own with a name and the first two functions. The text of a row is its question
 * followed by its answer, tokenized as one text.
 *
 * @example
 * ```ts
 * import type { Prompt } from "@fintune/fintune";
 * const sentiment: Prompt = {
 *   name: "sentiment",
 *   question: (row) => `Tweet: ${row.text}\nSentiment:`,
 *   answer: (row) => ` ${row.label}`,
 * };
 * console.log(sentiment.question({ text: "$AAPL beats estimates", label: "positive" }));
 * ```
 */
export interface Prompt {
  /** Its name, for messages and reports. */
  name: string;
  /** What a model is asked with: the text up to where its answer begins. Needs no answer in the row. */
  question(row: Row): string;
  /** What follows the question, to the letter (a space between them belongs to the answer). */
  answer(row: Row): string;
  /** The pieces of the whole text, for prompts that are more than a question and its answer. */
  render?(row: Row, completionOnly: boolean): TextPart[];
  /** The token with which the text itself ends an answer; without one the model's EOS is added. */
  readonly turnEnd?: string;
}

/**
 * "### Question: {question}\n\n### Answer: {answer}"; an input follows the question after an empty line.
 *
 * Rows may be instruction/input/output, prompt/completion, question/context/answer, or messages of one question and one
 * answer. The question ends with "### Answer:", so that its tokens begin the tokens of the whole text: the space belongs
 * to the answer's first word.
 *
 * @example
 * ```ts
 * import { financeQA } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const row = { instruction: "What is a bond?", input: "", output: "A loan." };
 * assert.equal(financeQA.question(row), "### Question: What is a bond?\n\n### Answer:");
 * assert.equal(financeQA.question(row) + financeQA.answer(row), "### Question: What is a bond?\n\n### Answer: A loan.");
 * ```
 */
export const financeQA: Prompt = {
  name: "financeQA",
  question(row) {
    const { question, context } = exchangeOf(row);
    return `### Question: ${question}${context === "" ? "" : `\n\n${context}`}\n\n### Answer:`;
  },
  answer: (row) => ` ${exchangeOf(row).answer()}`,
};

/**
 * Stanford Alpaca's two forms, with and without an input, after which the response follows on a new line. Rows are as for
 * {@linkcode financeQA}.
 *
 * @example
 * ```ts
 * import { alpaca } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.match(alpaca.question({ instruction: "Define beta." }), /### Instruction:\nDefine beta.\n\n### Response:\n$/);
 * ```
 */
export const alpaca: Prompt = {
  name: "alpaca",
  question(row) {
    const { question, context } = exchangeOf(row);
    const paired = context === "" ? "" : ", paired with an input that provides further context";
    const input = context === "" ? "" : `### Input:\n${context}\n\n`;
    return `Below is an instruction that describes a task${paired}. Write a response that appropriately completes the request.\n\n` +
      `### Instruction:\n${question}\n\n${input}### Response:\n`;
  },
  answer: (row) => exchangeOf(row).answer(),
};
