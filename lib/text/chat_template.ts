// The chat template of a tokenizer: which one a folder holds, and how it renders.

import { join } from "@std/path";
import { UserError } from "../errors.ts";
import { isObject, type JsonObject, readOptionalText } from "./files.ts";
import { templateCompiler } from "./jinja.ts";

/** One turn of a conversation. */
export interface Message {
  /** Who speaks: "system", "user" or "assistant", or whatever else the template knows. */
  role: string;
  /** What is said. */
  content: string;
  /** The functions that the assistant calls instead of, or besides, saying something. */
  tool_calls?: ToolCall[];
  /** Which call a tool's turn answers. */
  tool_call_id?: string;
  /** The name of the speaker or of the function. */
  name?: string;
  /** What the assistant thought before it spoke, for templates that keep it apart. */
  reasoning_content?: string;
}

/** A call of a function, as chat templates want it: the arguments as an object, not as text. */
export interface ToolCall {
  /** Names the call, so that its result can refer to it. */
  id?: string;
  /** Always "function". */
  type: string;
  /** Which function, with what. */
  function: { name: string; arguments: unknown };
}

/**
 * Finds the folder's chat template: `chat_template.jinja` first, as Transformers does, else `chat_template` of
 * tokenizer_config.json: a text, or a list of named ones, of which "default" is taken.
 */
export async function findChatTemplate(folder: string, config: JsonObject): Promise<string | undefined> {
  const file = await readOptionalText(join(folder, "chat_template.jinja"));
  if (file !== undefined) return file;
  const configured = config.chat_template;
  if (configured === undefined || configured === null) return undefined;
  if (typeof configured === "string") return configured;
  const named = Array.isArray(configured)
    ? configured.find((entry) => isObject(entry) && entry.name === "default")?.template
    : isObject(configured)
    ? configured.default
    : undefined;
  if (typeof named === "string") return named;
  throw new UserError(
    `${join(folder, "tokenizer_config.json")}: "chat_template" holds no template named "default".`,
  );
}

/** Options of {@linkcode Tokenizer.applyChatTemplate}. */
export interface ChatOptions {
  /** Opens the assistant's turn at the end. Default false. */
  addGenerationPrompt?: boolean;
  /** The functions that the model may call, as OpenAI describes them. */
  tools?: unknown[];
}

/** A rendered conversation, and where the template itself marks what the assistant says. */
export interface MarkedChat {
  /** The whole text. */
  text: string;
  /** [begin, end) of each marked piece, in UTF-16 units. */
  spans: [number, number][];
}

/** The two ways to render messages. */
export interface ChatRenderer {
  render(messages: Message[], options?: ChatOptions): string;
  /** There where the template has {% generation %} marks. */
  renderMarked?(messages: Message[], options?: ChatOptions): MarkedChat;
}

/** A function that renders messages by the template; `tokens` are the names it may use, such as bos_token. */
export async function chatRenderer(
  template: string,
  tokens: Record<string, string | undefined>,
  source: string,
): Promise<ChatRenderer> {
  const compile = await templateCompiler();
  const renderer = (jinja: string) => {
    let compiled: ReturnType<typeof compile> | undefined;
    return (messages: Message[], options: ChatOptions = {}): string => {
      const { addGenerationPrompt = false, tools } = options;
      const given = { ...tokens, messages, ...tools && { tools }, fixed_date: fixedDate };
      try {
        compiled ??= compile(jinja.replaceAll("strftime_now", "fixed_date")); // only now: a broken template must not hinder those who never chat
        return compiled({ ...given, add_generation_prompt: addGenerationPrompt });
      } catch (error) {
        throw new UserError(
          `${source}: the chat template refused these messages: ${(error as Error).message}`,
        );
      }
    };
  };
  if (!GENERATION.test(template)) return { render: renderer(template) };
  const marked = renderer(withMarks(template));
  return {
    render: renderer(template),
    renderMarked: (messages, options) => withoutMarks(marked(messages, options)),
  };
}

const GENERATION = /{%-?\s*generation\s*-?%}/;
const [BEGIN, END] = ["\uFDD0", "\uFDD1"]; // no characters of any text: Unicode keeps them free

// The library drops the marks. A block that writes a sign of ours instead treats the white space around it as they do.
function withMarks(template: string): string {
  return template.replace(
    /{%(-?)\s*(end)?generation\s*(-?)%}/g,
    (_, before, end, after) => `{%${before} if true %}{{ "${end ? END : BEGIN}" }}{% endif ${after}%}`,
  );
}

function withoutMarks(marked: string): MarkedChat {
  const spans: [number, number][] = [];
  let text = "";
  for (const piece of marked.split(/(?=[\uFDD0\uFDD1])/)) {
    if (piece[0] === BEGIN) spans.push([text.length, text.length]);
    text += piece[0] === BEGIN || piece[0] === END ? piece.slice(1) : piece;
    if (piece[0] === BEGIN) spans.at(-1)![1] = text.length;
  }
  return { text, spans };
}

// Templates that write the date (Llama 3's) would train another text tomorrow than today, and a resumed run would not be
// the run that was stopped: the date is always the one that Llama's template falls back to.
const DATE: Record<string, string> = {
  d: "26",
  m: "07",
  Y: "2024",
  y: "24",
  b: "Jul",
  B: "July",
  a: "Fri",
  A: "Friday",
  H: "00",
  M: "00",
  S: "00",
  "%": "%",
};

function fixedDate(format: string): string {
  return format.replace(/%(.)/g, (code, letter) => DATE[letter] ?? code);
}
