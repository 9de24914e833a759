// Prompts: how a row becomes the text that is trained on, and the text that a model is asked with.

import { UserError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { exchangeOf, messagesOf } from "./fields.ts";
import type { Row } from "./row.ts";

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

/**
 * A prompt that renders conversations by the tokenizer's own chat template. Rows may have `messages` ({ role, content }),
 * `conversations` (ShareGPT's { from, value }), or be a question and its answer as for {@linkcode financeQA}. The question
 * is everything before the last answer, with the assistant's turn opened; `completionOnly` trains every assistant turn.
 *
 * @param tokenizer one with a chat template
 * @param options `system`: a system message for rows that bring none
 * @throws UserError when the tokenizer is missing
 *
 * @example
 * ```ts
 * import { chat, loadTokenizer } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const prompt = chat(await loadTokenizer("tests/reference/tiny_tokenizer"), { system: "Be brief." });
 * assert.equal(
 *   prompt.question({ messages: [{ role: "user", content: "Bond?" }] }),
 *   "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nBond?<|im_end|>\n<|im_start|>assistant\n",
 * );
 * ```
 */
export function chat(tokenizer: Tokenizer | undefined, options: { system?: string } = {}): Prompt {
  if (!tokenizer) {
    throw new UserError(
      "chat() needs a tokenizer with a chat template: the model folder has no tokenizer.json.",
    );
  }
  const template = tokenizer.applyChatTemplate;
  const conversation = (row: Row) => {
    const messages = messagesOf(row);
    const brings = options.system === undefined || messages[0].role === "system";
    return brings ? messages : [{ role: "system", content: options.system as string }, ...messages];
  };
  const question = (row: Row) => {
    const messages = conversation(row);
    const asked = messages.at(-1)?.role === "assistant" ? messages.slice(0, -1) : messages;
    return template(asked, { addGenerationPrompt: true });
  };
  return {
    name: "chat",
    question,
    answer: (row) => afterPrefix(template(conversation(row)), question(row)),
    render(row, completionOnly) {
      const messages = conversation(row);
      const whole = template(messages);
      if (!completionOnly) return [{ text: whole, trained: true }];
      const parts: TextPart[] = [];
      let done = "";
      messages.forEach((message, i) => {
        if (message.role !== "assistant") return;
        const opened = template(messages.slice(0, i), { addGenerationPrompt: true });
        const closed = template(messages.slice(0, i + 1));
        afterPrefix(whole, closed);
        parts.push({ text: afterPrefix(opened, done), trained: false }, {
          text: afterPrefix(closed, opened),
          trained: true,
        });
        done = closed;
      });
      if (parts.length === 0) throw new UserError("its messages hold no answer of the assistant.");
      return [...parts, { text: whole.slice(done.length), trained: false }].filter((part) =>
        part.text !== ""
      );
    },
  };
}

// Most templates write turn after turn; one that rewrites earlier turns hides where an answer begins.
function afterPrefix(text: string, prefix: string): string {
  if (text.startsWith(prefix)) return text.slice(prefix.length);
  throw new UserError(
    "the chat template changes earlier turns when later ones follow, so that the answer's beginning cannot be found; train the whole text (completionOnly: false).",
  );
}
