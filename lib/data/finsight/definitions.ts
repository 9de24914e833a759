// Definitions: financial terms explained in conversations, from lists of terms or out of documents.

import { sentences } from "../../metrics/sentences.ts";
import { Dataset } from "../dataset.ts";
import type { Row } from "../row.ts";
import {
  checkedTurns,
  type Conversation,
  conversationOf,
  type ConversationOptions,
  drawBy,
  named,
  runsOf,
  SYSTEM_PROMPTS,
  textRows,
} from "./conversation.ts";

/** Options of {@linkcode definitionConversations}. */
export interface DefinitionOptions extends ConversationOptions {
  /** How many terms a conversation has, at least and at most; what is left makes a shorter one. Default [2, 6]. */
  turns?: readonly [number, number];
}

/** A term, what it means, and where that was read. */
export interface Definition {
  /** The term, such as "yield to maturity". */
  term: string;
  /** One to three sentences. */
  definition: string;
  /** The document's name. */
  source: string;
  /** The page it begins on, from 1. */
  page: number;
}

const ASKED = [
  "What is meant by {term}?",
  "Can you explain this term: {term}?",
  "What does {term} mean?",
  "Please define {term}.",
  "I keep hearing about {term}. What is that?",
  "How would you explain {term} to a beginner?",
  "In finance, what does {term} stand for?",
  "I came across {term} in an article. Could you explain it?",
];

/**
 * Terms and their definitions as conversations: each term is asked for in one of several ways, and answered with its definition
 * as it stands. Every row is used once.
 *
 * @param rows { term, definition, source? }, from a file or {@linkcode findDefinitions}
 * @param options see {@linkcode DefinitionOptions}
 * @returns rows { messages, metadata: { source, conversation_id, type: "definition", terms, turns } }
 * @throws UserError for a row whose term or definition is missing or blank, or an option out of range
 *
 * @example
 * ```ts
 * import { definitionConversations } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const [talk] = definitionConversations([{ term: "APR", definition: "The yearly cost of a loan, fees included." }]);
 * assert.match(talk.messages[1].content, /APR/);
 * assert.equal(talk.messages[2].content, "The yearly cost of a loan, fees included.");
 * ```
 */
export function definitionConversations(
  rows: Iterable<Row>,
  options: DefinitionOptions = {},
): Dataset<Conversation> {
  const { seed = 42, assistant = "FinSight", systemPrompts = SYSTEM_PROMPTS } = options;
  const turns = checkedTurns("definitionConversations", options.turns ?? [2, 6]);
  const draw = drawBy(seed);
  const runs = runsOf(
    draw.shuffled(textRows("definitionConversations", rows, ["term", "definition"])),
    turns,
    draw,
  );
  const talks = runs.map((run) =>
    conversationOf(
      named(draw.pick(systemPrompts), assistant),
      run.map(({ term, definition }) => ({
        user: draw.pick(ASKED).replace("{term}", () => term.trim()),
        assistant: definition.trim(),
      })),
      {
        source: [
          ...new Set(run.map(({ source }) => typeof source === "string" ? source : "financial_definitions")),
        ]
          .join(", "),
        type: "definition",
        terms: run.map(({ term }) => term.trim()).join("; "),
        turns: run.length,
      },
    )
  );
  return new Dataset(talks, "definitions");
}

// "A bond is a loan ...": a short subject without a verb before, and a verb that defines.
const DEFINES =
  /^(?:(?:An?|The) )?((?:[\p{L}\p{N}&/'’-]+ ){0,5}?(?:\([\p{L}\p{N} &-]{1,20}\) )?[\p{L}\p{N}&/'’-]+(?: \([\p{L}\p{N} &-]{1,20}\))?) (?:is|are|means|refers to|is defined as|is known as|denotes) (?:an?|the|any|when|how|what|one of|that)\b/u;
const NO_TERM =
  /^(?:it|this|that|these|those|there|here|he|she|we|they|you|i|what|which|who|one|all|both|our|its|their|his|her|if|as|in|on|for|but|and|so|such)\b/i;

/**
 * Definitions that a document's passages give, such as those of `loadPDF`: sentences that begin "A bond is a ...", "Duration
 * refers to the ...", with up to two sentences that go on with it in the same paragraph. What is found is the text's own
 * words; passages that define nothing give nothing.
 *
 * @param passages { text, source?, page? }
 * @throws UserError for a passage without text
 *
 * @example
 * ```ts
 * import { definitionConversations, findDefinitions, loadPDF } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const { passages } = await loadPDF("tests/reference/pdf/report.pdf");
 * const found = findDefinitions(passages);
 * assert.equal(found.at(0).term, "yield to maturity");
 * assert.equal(found.at(0).source, "report.pdf");
 * const talks = definitionConversations(found);
 * ```
 */
export function findDefinitions(passages: Iterable<Row>): Dataset<Definition> {
  const name = passages instanceof Dataset ? passages.name : "the passages";
  const found = textRows("findDefinitions", passages, ["text"]).flatMap(({ text, source, page }) =>
    (text as string).split(/\n\s*\n/).flatMap((paragraph) => {
      const said = sentences(paragraph.replace(/\s+/g, " ").trim());
      const starts = said.map((sentence) => termOf(sentence));
      return starts.flatMap((term, i) => {
        if (term === undefined) return [];
        const next = starts.findIndex((other, j) => j > i && other !== undefined);
        const definition = said.slice(i, Math.min(i + 3, next < 0 ? said.length : next)).join(" ");
        return [{ term, definition, source: source ?? name, page: page ?? 1 }];
      });
    })
  );
  return new Dataset(found, `definitions in ${name}`);
}

function termOf(sentence: string): string | undefined {
  const term = DEFINES.exec(sentence.slice(0, 300))?.[1];
  return term === undefined || NO_TERM.test(term) || !/\p{L}{2}/u.test(term) ? undefined : term;
}
