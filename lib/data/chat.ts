// The chat prompt: conversations rendered by the model's own template, and where in the text the answers stand.

import { UserError } from "../errors.ts";
import type { Message } from "../text/chat_template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Prompt, TextPart } from "./prompt.ts";
import type { Row } from "./row.ts";
import { type Conversation, conversationOf } from "./shapes.ts";

/**
 * A prompt that renders conversations by the tokenizer's own chat template. Rows may have `messages` ({ role, content }, also
 * with tool calls and a list of `tools`), `conversations` (ShareGPT's { from, value }), `prompt` and `completion` as lists of
 * messages (TRL), or be a question and its answer as for {@linkcode financeQA}, behind their `system` and `history`. The
 * question is everything before the last answer, with the assistant's turn opened.
 *
 * `completionOnly` trains what the assistant says, in every turn, with the token that ends the turn; answers of weight 0
 * (OpenAI) or train false (Axolotl) are left out. The text is always the one that the model is asked with, followed by the
 * last answer: a template that writes earlier turns otherwise when later ones follow (Qwen3 leaves out old thoughts,
 * Mistral moves the system prompt) is met as it will be used. Where a template has {% generation %} marks, they decide.
 *
 * @param tokenizer one with a chat template
 * @param options `system`: a system message for rows that bring none
 * @throws UserError when the tokenizer is missing; while rendering, when the template refuses or leaves out a message, or
 *   hides where answers begin
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
  const { system } = options;
  const read = (row: Row): Conversation => {
    const conversation = conversationOf(row);
    if (system === undefined || conversation.messages[0].role === "system") return conversation;
    return {
      ...conversation,
      messages: [{ role: "system", content: system }, ...conversation.messages],
      trained: [false, ...conversation.trained],
    };
  };
  let known: Turns | undefined;
  const turns = () => known ??= turnsOf(tokenizer);
  return {
    name: "chat",
    get turnEnd() {
      return turns().end;
    },
    question: (row) => askedOf(tokenizer, read(row)).text,
    answer(row) {
      const conversation = read(row);
      const { text } = askedOf(tokenizer, conversation);
      return wholeOf(tokenizer, conversation, text).slice(text.length);
    },
    render(row, completionOnly) {
      const conversation = read(row);
      if (completionOnly && !conversation.trained.includes(true)) {
        throw new UserError("its messages hold no answer of the assistant to train on.");
      }
      if (completionOnly && tokenizer.markAnswers) return markedParts(tokenizer, conversation);
      const asked = askedOf(tokenizer, conversation);
      const text = wholeOf(tokenizer, conversation, asked.text, !completionOnly);
      refuseLost(conversation.messages, text);
      if (!completionOnly) return [{ text, trained: true }];
      const spans = conversation.messages.some((message) => message.tool_calls)
        ? spansByPrefix(tokenizer, conversation, text, turns())
        : spansByMarks(tokenizer, conversation, text, asked, turns());
      const flags = answerFlags(conversation);
      return cut(text, spans.filter((_, i) => flags[i]));
    },
  };
}

type Spans = [begin: number, end: number][];

/** What a template writes around an answer: how it opens the assistant's turn, and the token that ends it. */
interface Turns {
  opening: string;
  end?: string;
}

const MARK = "fintuneAnswer";

/** Seen in a conversation of one question and one answer. */
function turnsOf(tokenizer: Tokenizer): Turns {
  const user = { role: "user", content: "Q" };
  try {
    const asked = tokenizer.applyChatTemplate([user]);
    const opened = tokenizer.applyChatTemplate([user], { addGenerationPrompt: true });
    const whole = tokenizer.applyChatTemplate([user, { role: "assistant", content: MARK }]);
    const after = whole.slice(whole.indexOf(MARK) + MARK.length).trimStart();
    const [first] = tokenizer.encode(after, { addSpecialTokens: false });
    const end = first === undefined ? "" : tokenizer.decode([first], { skipSpecialTokens: false });
    const special = end !== "" && (/^<.+>$/.test(end) || tokenizer.decode([first]) === "");
    return {
      opening: opened.startsWith(asked) ? opened.slice(asked.length) : "",
      end: special && after.startsWith(end) ? end : undefined,
    };
  } catch (error) {
    if (error instanceof UserError) return { opening: "" }; // a template that wants other messages than these
    throw error;
  }
}

/** The messages before the last answer, and how a model is asked with them. */
function askedOf(
  tokenizer: Tokenizer,
  { messages, tools }: Conversation,
): { messages: Message[]; text: string } {
  const asked = messages.at(-1)?.role === "assistant" ? messages.slice(0, -1) : messages;
  return { messages: asked, text: tokenizer.applyChatTemplate(asked, { addGenerationPrompt: true, tools }) };
}

/** The text that is trained on: what the model is asked with, and the last answer as the template writes it. */
function wholeOf(tokenizer: Tokenizer, conversation: Conversation, asked: string, anyText = false): string {
  const { messages, tools } = conversation;
  const whole = tokenizer.applyChatTemplate(messages, { tools });
  if (messages.at(-1)!.role !== "assistant" || whole.startsWith(asked)) return whole;
  // The template writes what comes before otherwise as soon as there is an answer: the answer's own end is kept.
  const [skeleton] = marked(messages, messages.length - 1);
  const before = tokenizer.applyChatTemplate(skeleton, { tools }).split(MARK)[0];
  const last = messages.at(-2)?.content.trim() ?? "";
  const opening = asked.slice(asked.lastIndexOf(last)).trimEnd();
  const [opened, space] = [before.trimEnd(), asked.length - asked.trimEnd().length];
  if (last !== "" && whole.startsWith(before) && opened.endsWith(opening)) {
    return asked + whole.slice(opened.length + space);
  }
  if (anyText) return whole;
  throw hidden();
}

/** Parts from the template's own marks; they know nothing of weights, so that then all answers must have one. */
function markedParts(tokenizer: Tokenizer, conversation: Conversation): TextPart[] {
  const { messages, tools } = conversation;
  const { text, spans } = tokenizer.markAnswers!(messages, { tools });
  const flags = answerFlags(conversation);
  if (flags.includes(false) && flags.length !== spans.length) {
    throw new UserError(
      "its answers of weight 0 cannot be told from the others by the chat template's marks.",
    );
  }
  refuseLost(messages, text);
  return cut(text, spans.filter((_, i) => flags[i] ?? true));
}

/** For each answer, in order, whether it is trained. */
function answerFlags({ messages, trained }: Conversation): boolean[] {
  return trained.filter((_, i) => messages[i].role === "assistant");
}

/** Answers found by rendering a second time with marks in their places. */
function spansByMarks(
  tokenizer: Tokenizer,
  { messages, tools }: Conversation,
  text: string,
  asked: { messages: Message[]; text: string },
  { opening, end }: Turns,
): Spans {
  const closed = asked.messages.length < messages.length;
  const last: Spans = closed ? [[asked.text.length, endOfTurn(text, text.length, end)]] : [];
  const before = closed ? asked.text : text;
  if (!asked.messages.some((message) => message.role === "assistant")) return last;
  const [skeleton, contents, thoughts] = marked(asked.messages, 0);
  const pieces = tokenizer.applyChatTemplate(skeleton, { addGenerationPrompt: closed, tools }).split(MARK);
  const spans: Spans = [];
  let at = 0;
  for (let i = 0; i < contents.length; i++) {
    const [piece, next] = [pieces[i], pieces[i + 1]];
    if (next === undefined || !before.startsWith(piece, at)) throw hidden();
    const from = at + piece.length;
    const shown = [contents[i], contents[i].trim(), contents[i].trimEnd(), contents[i].trimStart()]
      .find((content) => before.startsWith(content + next, from));
    if (shown === undefined) throw hidden();
    at = from + shown.length;
    spans.push([beginOfTurn(piece, from, opening, thoughts[i]), at + leadingEnd(next, end)]);
  }
  if (pieces.length !== contents.length + 1 || at + pieces.at(-1)!.length !== before.length) throw hidden();
  return [...spans, ...last];
}

/** Answers that call functions: what the template writes between the opened turn and the closed one. */
function spansByPrefix(
  tokenizer: Tokenizer,
  { messages, tools }: Conversation,
  text: string,
  { end }: Turns,
): Spans {
  return messages.flatMap((message, i): Spans => {
    if (message.role !== "assistant") return [];
    const opened = tokenizer.applyChatTemplate(messages.slice(0, i), { addGenerationPrompt: true, tools });
    const closed = tokenizer.applyChatTemplate(messages.slice(0, i + 1), { tools });
    const begin = [opened, opened.trimEnd()].find((start) => closed.startsWith(start))?.length;
    if (begin === undefined || !text.startsWith(closed)) throw hidden();
    return [[begin, endOfTurn(closed, closed.length, end)]];
  });
}

/**
 * The messages with marks for the answers from `first` on, what stood there, and the thoughts before it, which stay:
 * templates look for them.
 */
function marked(messages: readonly Message[], first: number): [Message[], string[], string[]] {
  const [contents, kept]: string[][] = [[], []];
  const skeleton = messages.map((message, i) => {
    if (message.role !== "assistant" || i < first) return message;
    const thoughts = /^[^]*<\/think>\s*/.exec(message.content)?.[0] ?? "";
    contents.push(message.content.slice(thoughts.length));
    kept.push(thoughts);
    return { ...message, content: thoughts + MARK };
  });
  return [skeleton, contents, kept];
}

// What the model has to write begins where its turn was opened: thoughts before the answer are its own, and so is the space
// behind a question that opens nothing (Mistral's).
function beginOfTurn(piece: string, end: number, opening: string, thoughts: string): number {
  const start = end - piece.length;
  const thought = [thoughts, thoughts.trimStart()].find((text) => piece.endsWith(text)) ?? "";
  const before = piece.slice(0, piece.length - thought.length);
  if (opening === "") return start + before.trimEnd().length;
  const at = piece.lastIndexOf(opening);
  return start + (at < 0 ? before.length : at + opening.length);
}

function leadingEnd(following: string, end: string | undefined): number {
  const space = following.length - following.trimStart().length;
  return end !== undefined && following.startsWith(end, space) ? space + end.length : 0;
}

// Behind the last answer: its token, not the line break that some templates write after it.
function endOfTurn(text: string, length: number, end: string | undefined): number {
  const trimmed = text.trimEnd();
  return end !== undefined && trimmed.endsWith(end) ? trimmed.length : length;
}

function cut(text: string, spans: Spans): TextPart[] {
  const parts: TextPart[] = [];
  let done = 0;
  for (const [begin, end] of spans) {
    parts.push({ text: text.slice(done, begin), trained: false }, {
      text: text.slice(begin, end),
      trained: true,
    });
    done = end;
  }
  return [...parts, { text: text.slice(done), trained: false }].filter((part) => part.text !== "");
}

function refuseLost(messages: readonly Message[], text: string): void {
  for (const { role, content, tool_calls } of messages) {
    const call = tool_calls?.find((call) => !text.includes(call.function.name))?.function.name;
    if (call !== undefined) {
      throw new UserError(
        `the chat template leaves out that the assistant calls "${call}": leave such rows out with rows.filter(...), or use a model whose template has calls of functions.`,
      );
    }
    if (role === "assistant" || text.includes(content.trim())) continue;
    if (text.includes(JSON.stringify(content).slice(1, -1))) continue; // results of functions, written as JSON
    throw new UserError(
      `the chat template leaves out what "${role}" says: rename the role, or join it to a message that the template shows.`,
    );
  }
}

function hidden(): UserError {
  return new UserError(
    "the chat template hides where answers begin (it writes them, or the turns before them, otherwise than it asks for " +
      "them): train the whole text (completionOnly: false), or use a template with {% generation %} marks.",
  );
}
