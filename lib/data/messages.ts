// One turn of a conversation, as OpenAI's and ShareGPT's files write it, read as a chat template wants it.

import { UserError } from "../errors.ts";
import { isObject } from "../text/files.ts";
import type { Message, ToolCall } from "../text/chat_template.ts";

// Other names for the speakers; "function_call" is the assistant's turn that calls a function, "observation" its result.
const ROLES: Record<string, string> = {
  human: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  bard: "assistant",
  model: "assistant",
  function_call: "assistant",
  developer: "system",
  observation: "tool",
  function: "tool",
};

/** Reads a turn ({ role, content } or { from, value }); `where` is its place for messages. */
export function messageOf(turn: unknown, where: string): Message {
  const given = isObject(turn) ? turn : {};
  const role = given.role ?? given.from;
  const calls = toolCalls(given, role, where);
  const content = role === "function_call" ? "" : contentOf(given.content ?? given.value, calls, where);
  if (typeof role !== "string" || content === undefined) {
    throw new UserError(`${where} should have a "role" and a "content" that are text.`);
  }
  const message: Message = { role: Object.hasOwn(ROLES, role) ? ROLES[role] : role, content };
  if (calls) message.tool_calls = calls;
  for (const field of ["name", "tool_call_id", "reasoning_content"] as const) {
    if (typeof given[field] === "string") message[field] = given[field];
  }
  return message;
}

/** JSON text of a call or a list of things, as files hold it inside a field. */
export function functionCalls(text: string, where: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [value];
  } catch (error) {
    throw new UserError(`${where} is not valid JSON: ${(error as Error).message}`);
  }
}

function contentOf(content: unknown, calls: ToolCall[] | undefined, where: string): string | undefined {
  if (typeof content === "string") return content;
  if ((content === null || content === undefined) && calls) return "";
  if (!Array.isArray(content)) return undefined;
  return content.map((part, i) => {
    if (typeof part === "string") return part;
    if (
      isObject(part) && (part.type === "text" || part.type === undefined) && typeof part.text === "string"
    ) return part.text;
    throw new UserError(
      `${where}.content[${i}] is of type ${JSON.stringify(part?.type)}: only text can be trained on.`,
    );
  }).join("");
}

// OpenAI's tool_calls, its older function_call, and ShareGPT's turn of that name; arguments become objects, as the
// templates write them as JSON themselves.
function toolCalls(turn: Record<string, unknown>, role: unknown, where: string): ToolCall[] | undefined {
  const given = role === "function_call"
    ? functionCalls(String(turn.value ?? turn.content), where)
    : turn.tool_calls ?? (isObject(turn.function_call) ? [turn.function_call] : undefined);
  if (given === undefined || given === null) return undefined;
  if (!Array.isArray(given)) throw new UserError(`${where}.tool_calls is not a list.`);
  if (given.length === 0) return undefined;
  return given.map((call) => {
    const called = isObject(call) && isObject(call.function) ? call.function : call;
    if (!isObject(called) || typeof called.name !== "string") {
      throw new UserError(`${where} calls a function without a "name".`);
    }
    const written = called.arguments ?? {};
    const inner = typeof written === "string"
      ? functionCalls(written || "{}", `${where}, arguments`)[0]
      : written;
    const id = isObject(call) && typeof call.id === "string" ? { id: call.id } : {};
    return { ...id, type: "function", function: { name: called.name, arguments: inner } };
  });
}
