// What a teacher's answer holds: its thinking, and the JSON that a schema asks for.

import { type JSONSchema, validator } from "../metrics/json.ts";
import { findJSON } from "../metrics/json_find.ts";
import type { Completion } from "./stream.ts";

/** An answer taken apart. */
export interface Answer {
  /** The text without the thinking; with a schema, the value as JSON. */
  text: string;
  /** The thinking, without its marks, or "". */
  thinking: string;
  /** With a schema: the value that fits it. */
  value?: unknown;
}

/** Takes an answer apart and checks it; throws an Error with the reason when it is of no use. */
export type AnswerReader = (completion: Completion) => Answer;

/** Reads answers: without a schema any text, with one the JSON in it (also inside a code fence or between sentences). */
export async function answerReader(schema?: JSONSchema): Promise<AnswerReader> {
  const violations = schema && await validator(schema);
  const kind = schema?.type === "object" ? "object" : schema?.type === "array" ? "list" : undefined;
  return ({ text: whole, thinking: apart, finish }) => {
    if (finish === "length") throw new Error("the answer was cut at maxTokens");
    if (finish === "content_filter") throw new Error("the endpoint's filter held the answer back");
    const { text, thinking } = splitThinking(whole);
    const answer = { text, thinking: thinking || apart.trim() };
    if (/<think(ing)?>/i.test(text)) throw new Error("the thinking has no end");
    if (text === "") throw new Error("the answer is empty");
    if (!violations) return answer;
    const found = findJSON(text, kind);
    if ("missing" in found) throw new Error(/^\s*</.test(text) ? "it is HTML, not JSON" : found.missing);
    const against = violations(found.value);
    if (against.length > 0) throw new Error(`the JSON does not fit the schema: ${against.at(-1)}`); // the innermost
    return { ...answer, text: JSON.stringify(found.value), value: found.value };
  };
}

/**
 * Parts a text into what stands between <thinking> (or <think>) marks and the rest. A closing mark alone ends a thinking that
 * the chat template began; an opening mark alone stays in the text.
 *
 * @example
 * ```ts
 * import { splitThinking } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.deepEqual(splitThinking("<thinking>Margins fall.</thinking>\nHigh"), { thinking: "Margins fall.", text: "High" });
 * ```
 */
export function splitThinking(text: string): { thinking: string; text: string } {
  const thoughts: string[] = [];
  const keep = (thought: string) => (thoughts.push(thought.trim()), "");
  const rest = text.replace(/<think(?:ing)?>([\s\S]*?)<\/think(?:ing)?>/gi, (_, thought) => keep(thought))
    .replace(/^([\s\S]*)<\/think(?:ing)?>/i, (_, thought) => keep(thought));
  return { thinking: thoughts.filter(Boolean).join("\n"), text: rest.trim() };
}
