// SQL as tokens, which any text has, and the query in a model's answer.

/** A token: words as they are, "text" and "quoted" without their quotes ("" and [] and `` may be a name or a text). */
export interface SQLToken {
  kind: "word" | "text" | "quoted" | "number" | "mark";
  text: string;
}

const TOKEN =
  /\s+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'((?:[^']|'')*)'?|"((?:[^"]|"")*)"?|`([^`]*)`?|\[([^\]]*)\]|(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)|([\p{L}_][\p{L}\p{N}_$]*)|(<=|>=|<>|!=|==|\|\||[\s\S])/gu;

/** The tokens of any text; what is no SQL becomes marks. */
export function sqlTokens(sql: string): SQLToken[] {
  const tokens: SQLToken[] = [];
  for (const [, single, double, tick, bracket, number, word, mark] of sql.matchAll(TOKEN)) {
    if (single !== undefined) tokens.push({ kind: "text", text: single.replaceAll("''", "'") });
    else if (double !== undefined) tokens.push({ kind: "quoted", text: double.replaceAll('""', '"') });
    else if (tick ?? bracket) tokens.push({ kind: "quoted", text: tick ?? bracket });
    else if (number !== undefined) tokens.push({ kind: "number", text: number });
    else if (word !== undefined) tokens.push({ kind: "word", text: word });
    else if (mark !== undefined) tokens.push({ kind: "mark", text: mark });
  }
  return tokens;
}

/** Longer texts are no query. */
const LONGEST = 20_000;
/** An answer that begins so is not the SELECT inside it. */
const OTHER_STATEMENT =
  /^\s*(?:insert|replace|update|delete|create|drop|alter|attach|detach|pragma|vacuum|begin|explain)\s/i;

/**
 * The query in a model's answer: inside a code fence if there is one, from the first SELECT (or WITH name AS) that begins a
 * line, else from the first SELECT, up to its semicolon or an empty line. Text without one is returned as it is.
 *
 * @example
 * ```ts
 * import { findSQL } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const answer = "The query is:\nSELECT name FROM fund WHERE fee < 1; It lists the cheap ones.";
 * assert.equal(findSQL(answer), "SELECT name FROM fund WHERE fee < 1");
 * ```
 */
export function findSQL(text: string): string {
  const fenced = /```\w*\s*\n?([\s\S]*?)(?:```|$)/.exec(text)?.[1] ?? text;
  const start = OTHER_STATEMENT.exec(fenced) ??
    /^[ \t]*(?:select\b|with\s+(?:recursive\s+)?[\w"]+\s*(?:\([^)]*\)\s*)?as\s*\()/im.exec(fenced) ??
    /\bselect\b/i.exec(fenced);
  const query = start ? fenced.slice(start.index, start.index + LONGEST).trim() : fenced.slice(0, LONGEST);
  // Inside quotes and comments neither of them ends anything.
  return /^(?:--[^\n]*|\/\*[\s\S]*?\*\/|'[^']*'|"[^"]*"|[^;'"\n]|['"]|\n(?![ \t\r]*\n))*/.exec(query)![0]
    .trim();
}
