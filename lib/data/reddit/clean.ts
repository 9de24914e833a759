// A Reddit post's markdown as plain prose: links, marks and edit notes out, sentences in paragraphs.

import { UserError } from "../../errors.ts";
import { sentences } from "../../metrics/sentences.ts";

/** Options of {@linkcode cleanReddit}. */
export interface CleanOptions {
  /**
   * What happens to "Edit:", "Update:" and "TL;DR": "drop" takes out the mark and the rest of its line (default), "unmark" the
   * mark alone.
   */
  editLines?: "drop" | "unmark";
  /** Sentences of a paragraph; default 4. */
  paragraph?: number;
}

const EDIT = String
  .raw`(?<![\p{L}\p{N}_])(?:(?:edit|update)[ \t]{0,3}[0-9]{0,3}[ \t]{0,3}:|tl;?dr(?![\p{L}\p{N}_])[:,]*)`;

// In this order. The counts in the first two keep hostile text ("[[[[...") from taking quadratic time.
const RULES: [RegExp, string][] = [
  [/\[[^\]]{1,1000}\]\([^)]{1,2000}\)/gu, ""], // links with their text
  [/https?:\/\/[!$-_a-z]+/gu, ""], // addresses
  [/\*\*(.+?)\*\*/gu, "$1"], // emphasis of all kinds
  [/\*(.+?)\*/gu, "$1"],
  [/_(.+?)_/gu, "$1"],
  [/~~(.+?)~~/gu, "$1"],
  [/\^(.+?)(?=\s|$)/gmu, "$1"],
  [/^[ \t]*>[ \t]*/gmu, ""], // the marks of quotations
  [/&amp;/gu, "&"],
  [/&lt;/gu, "<"],
  [/&gt;/gu, ">"],
  [/#[\p{L}\p{N}_]+/gu, ""], // hashtags
  [/^#+[ \t]*/gmu, ""], // the marks of headings
  [/thanks?(?: you)? for (?:the |all the )?(?:gold|silver|platinum|awards?)(?![\p{L}\p{N}_]).*/giu, ""],
];
const MARKS: Record<"drop" | "unmark", RegExp> = {
  drop: new RegExp(`${EDIT}.*`, "giu"),
  unmark: new RegExp(EDIT, "giu"),
};

/**
 * A Reddit text as plain prose, in this order: links go with their text, addresses too; marks of emphasis, quotations and headings
 * go, their words stay; `&amp;`, `&lt;` and `&gt;` are written out; hashtags go; thanks for an award go with the rest of their
 * line, "Edit:", "Update:" and "TL;DR" as well; white space and control characters become single spaces; every
 * sentence begins with a capital; each four sentences make a paragraph; a text that does not end in ".", "!" or "?" gets a ".".
 *
 * The steps are those of the FinSight repository; sentences end where NLTK's Punkt finds their end (there: at every full stop, also
 * that of "3.5").
 *
 * @returns the prose; "" where nothing is left
 * @throws UserError for paragraphs of less than one sentence
 * @example
 * ```ts
 * import { cleanReddit } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const text = "**Buy** [this](https://x.y) index fund, fees &lt; 0.1%\n\nEdit: typo";
 * assert.equal(cleanReddit(text), "Buy index fund, fees < 0.1%.");
 * ```
 */
export function cleanReddit(text: string, options: CleanOptions = {}): string {
  const { editLines = "drop", paragraph = 4 } = options;
  if (!(paragraph >= 1)) {
    throw new UserError(`cleanReddit: paragraph is ${paragraph}: give 1 or more sentences.`);
  }
  // Every kind of space and control character but the line break, on which the rules for lines rest.
  const plain = text.toWellFormed().replace(/\r\n?/g, "\n").replace(/(?!\n)[\s\p{Cc}]/gu, " ");
  const unmarked = RULES.reduce((changed, [pattern, by]) => changed.replace(pattern, by), plain)
    .replace(MARKS[editLines], "");
  const collapsed = unmarked.replace(/\s+/g, " ").trim();
  if (collapsed === "") return "";
  const said = sentences(collapsed).map((sentence) => sentence.trim()).filter(Boolean).map(capitalised);
  const paragraphs = Array.from(
    { length: Math.ceil(said.length / paragraph) },
    (_, i) => said.slice(i * paragraph, (i + 1) * paragraph).join(" "),
  );
  const prose = paragraphs.join("\n\n");
  return /[.!?]$/.test(prose) ? prose : `${prose}.`;
}

/** A small first letter becomes a capital one. */
function capitalised(text: string): string {
  const [first = ""] = text;
  return /\p{Lowercase}/u.test(first) ? first.toUpperCase() + text.slice(first.length) : text;
}
