// The JSON value in a free text: after a block of thinking, in a code fence, or between sentences.

/** A JSON value was found, or why there is none. */
export type FoundJSON = { value: unknown } | { missing: string };

/** Deeper nesting is no answer, and would end the stack of whatever walks it. */
const DEEPEST = 200;
/** Brackets that never close would otherwise be followed to the end of the text, each of them. */
const MOST_LOOKS = 4_000_000;

/**
 * The first JSON object or list in a text that a model wrote. Blocks of `<thinking>` or `<think>` are left out, code fences
 * come before other text. A text that is JSON as a whole may also be a number, a text, true, false or null. Never throws.
 *
 * @param text anything: HTML, half a JSON, nothing
 * @param kind look for an object or for a list only; default: for either
 * @returns `{ value }`, or `{ missing }` with the reason
 *
 * @example
 * ```ts
 * import { findJSON } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const text = '<thinking>{"draft": 1}</thinking> Here it is: {"risk": "High"}.';
 * assert.deepEqual(findJSON(text), { value: { risk: "High" } });
 * assert.deepEqual(findJSON('{"risk": "Hi'), { missing: "the JSON is cut off" });
 * ```
 */
export function findJSON(text: string, kind?: "object" | "list"): FoundJSON {
  const answer = withoutThinking(text);
  const whole = parsed(answer.trim());
  if (whole && (kind === undefined || kindOf(whole.value) === kind)) return whole;
  const looks = { left: MOST_LOOKS };
  for (const fence of answer.matchAll(/```[\w-]*\s*\n([\s\S]*?)```/g)) {
    const found = firstIn(fence[1], kind, looks);
    if ("value" in found) return found;
  }
  return firstIn(answer, kind, looks);
}

/** Without closed blocks of thinking, and without one that never ends. */
function withoutThinking(text: string): string {
  let rest = "", from = 0;
  const tag = /<(\/?)think(?:ing)?>/gi;
  let open = false;
  for (const { 0: whole, 1: slash, index } of text.matchAll(tag)) {
    // A closing tag alone: the template gave the opening one, and all before it was thinking.
    if (slash !== "") rest = open ? rest : "";
    else if (!open) rest += text.slice(from, index);
    open = slash === "";
    from = index + whole.length;
  }
  return open ? rest : rest + text.slice(from);
}

function firstIn(text: string, kind: string | undefined, looks: { left: number }): FoundJSON {
  let missing = "there is no JSON";
  const opening = /[{[]/g;
  for (let match = opening.exec(text); match && looks.left > 0; match = opening.exec(text)) {
    const end = closing(text, match.index, looks);
    if (end < 0) {
      missing = "the JSON is cut off";
      continue;
    }
    const found = parsed(text.slice(match.index, end));
    if (found && (kind === undefined || kindOf(found.value) === kind)) return found;
    if (!found) missing = "it is no JSON";
    // What lies inside a value of the other kind is not the answer.
    if (found) opening.lastIndex = end;
  }
  return { missing };
}

/** Where the bracket at `start` closes (behind it), or -1. */
function closing(text: string, start: number, looks: { left: number }): number {
  const open: string[] = [];
  let inText = false;
  for (let i = start; i < text.length; i++) {
    if (looks.left-- <= 0) return -1;
    const letter = text[i];
    if (inText) {
      if (letter === "\\") i++;
      else if (letter === '"') inText = false;
    } else if (letter === '"') inText = true;
    else if (letter === "{" || letter === "[") {
      if (open.push(letter === "{" ? "}" : "]") > DEEPEST) return -1;
    } else if (letter === "}" || letter === "]") {
      if (open.pop() !== letter) return i + 1; // no JSON: parsing says so
      if (open.length === 0) return i + 1;
    }
  }
  return -1;
}

function parsed(text: string): { value: unknown } | undefined {
  const start = /^[{[]/.test(text) ? closing(text, 0, { left: text.length }) : text.length;
  if (start !== text.length) return undefined;
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

export const kindOf = (value: unknown): string =>
  Array.isArray(value) ? "list" : value === null ? "null" : typeof value;
