// The chat template of a tokenizer: which one a folder holds, and how it renders.

import { join } from "@std/path";
import { UserError } from "../errors.ts";
import { isObject, type JsonObject, readOptionalText } from "./files.ts";

/** One turn of a conversation. */
export interface Message {
  /** Who speaks: "system", "user" or "assistant", or whatever else the template knows. */
  role: string;
  /** What is said. */
  content: string;
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

/** A function that renders messages by the template; `tokens` are the names it may use, such as bos_token. */
export async function chatRenderer(
  template: string,
  tokens: Record<string, string | undefined>,
  source: string,
): Promise<(messages: Message[], addGenerationPrompt: boolean) => string> {
  const { Template } = await import("@huggingface/jinja");
  let compiled: InstanceType<typeof Template> | undefined;
  return (messages, addGenerationPrompt) => {
    try {
      compiled ??= new Template(template); // only now: a broken template must not hinder those who never chat
      return compiled.render({ ...tokens, messages, add_generation_prompt: addGenerationPrompt });
    } catch (error) {
      throw new UserError(`${source}: the chat template refused these messages: ${(error as Error).message}`);
    }
  };
}
