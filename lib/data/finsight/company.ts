// Company Q&A: questions about annual reports as conversations, each about one company.

import { UserError } from "../../errors.ts";
import { Dataset } from "../dataset.ts";
import type { Row } from "../row.ts";
import { COMPANY_NAMES } from "./companies.ts";
import {
  checkedTurns,
  checkShares,
  type Conversation,
  conversationOf,
  type ConversationOptions,
  drawBy,
  filled,
  named,
  type QuestionAnswer,
  runsOf,
  textRows,
} from "./conversation.ts";

/** Options of {@linkcode companyConversations}. */
export interface CompanyOptions extends ConversationOptions {
  /** How many questions a conversation has, at least and at most; what is left of a company makes a shorter one. Default [3, 7]. */
  turns?: readonly [number, number];
  /** How often each row is used, in conversations drawn anew; default 1. */
  uses?: number;
  /** Names by ticker, before those that are known here (69 of the S&P 500); other companies are called by their ticker. */
  companyNames?: Readonly<Record<string, string>>;
  /** The share of conversations that begin with a greeting; default 0.5. */
  greeting?: number;
  /** The share of conversations whose system prompt holds the filing's passages that the answers rest on; default 0. */
  context?: number;
}

const PROMPTS = [
  "You are {assistant}, an assistant that answers questions about companies' annual reports accurately and concisely.",
  "You are {assistant}. You have read companies' 10-K filings: answer what is asked, with the figures they give.",
  "As {assistant}, you help people understand what companies report about their business and finances.",
];
const GREETINGS: readonly QuestionAnswer[] = [
  { user: "Hello", assistant: "Hello! Which company's report would you like to talk about?" },
  {
    user: "Hi, can you help me with a company's annual report?",
    assistant: "Of course. Ask me about its business, its risks or its figures.",
  },
  {
    user: "I'm looking at {company}. Can you answer some questions?",
    assistant: "Gladly. What would you like to know about {company}?",
  },
  {
    user: "I have some questions about {company}'s filing.",
    assistant: "Go ahead, I know {company}'s 10-K.",
  },
];

/**
 * Questions and answers about 10-K filings as conversations of several turns, each about one company and filing. A question that
 * does not name its company gets the name in front, so that it can be understood alone. Every row is used.
 *
 * @param rows { question, answer, ticker, filing, context? }, as virattt/financial-qa-10K has them
 * @param options see {@linkcode CompanyOptions}
 * @returns rows { messages, metadata: { source: "financial_qa_10k", conversation_id, type: "company_qa", ticker, company_name,
 * filing_year, turns } }
 * @throws UserError for a row that lacks a field (drop such rows with `fieldsStep` before), or an option out of range
 *
 * @example
 * ```ts
 * import { companyConversations } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const rows = [
 *   { question: "What did NVIDIA invent in 1999?", answer: "The GPU.", ticker: "NVDA", filing: "2023_10K" },
 *   { question: "Where is its headquarters?", answer: "In Santa Clara.", ticker: "NVDA", filing: "2023_10K" },
 * ];
 * const [talk] = companyConversations(rows, { greeting: 0 });
 * assert.equal(talk.metadata.company_name, "NVIDIA");
 * assert.ok(talk.messages.some(({ content }) => content === "About NVIDIA: Where is its headquarters?"));
 * ```
 */
export function companyConversations(
  rows: Iterable<Row>,
  options: CompanyOptions = {},
): Dataset<Conversation> {
  const { seed = 42, assistant = "FinSight", uses = 1, greeting = 0.5, context = 0 } = options;
  const turns = checkedTurns("companyConversations", options.turns ?? [3, 7]);
  checkShares("companyConversations", { greeting, context });
  if (!Number.isInteger(uses) || uses < 1) {
    throw new UserError(`companyConversations: uses is ${uses}: give a whole number of at least 1.`);
  }
  const draw = drawBy(seed);
  const needed = ["question", "answer", "ticker", "filing", ...context > 0 ? ["context"] : []];
  const groups = Map.groupBy(
    textRows("companyConversations", rows, needed),
    ({ ticker, filing }) => JSON.stringify([ticker, filing]),
  );
  const runs = [...groups.values()].flatMap((group) =>
    Array.from({ length: uses }, () => runsOf(draw.shuffled(group), turns, draw)).flat()
  );
  const talks = draw.shuffled(runs).map((run) => {
    const { ticker, filing } = run[0];
    const company = companyName(ticker, options.companyNames);
    const prompt = named(draw.pick(options.systemPrompts ?? PROMPTS), assistant);
    const opening = draw.chance() < greeting ? [aboutCompany(draw.pick(GREETINGS), company)] : [];
    const shown = draw.chance() < context;
    return conversationOf(
      shown ? `${prompt}\n\nFrom ${company}'s filing:\n${passages(run)}` : prompt,
      [
        ...opening,
        ...run.map(({ question, answer }) => ({
          user: namingCompany(question, ticker, company),
          assistant: answer,
        })),
      ],
      {
        source: "financial_qa_10k",
        type: "company_qa",
        ticker,
        company_name: company,
        filing_year: filing,
        turns: run.length,
      },
    );
  });
  return new Dataset(talks, "company conversations");
}

function companyName(ticker: string, own: Readonly<Record<string, string>> = {}): string {
  for (const names of [own, COMPANY_NAMES]) if (Object.hasOwn(names, ticker)) return names[ticker];
  return ticker;
}

const aboutCompany = ({ user, assistant }: QuestionAnswer, company: string): QuestionAnswer => ({
  user: filled(user, "company", company),
  assistant: filled(assistant, "company", company),
});

/** The question with the company's name in front, unless the name's first word or the ticker is in it. */
function namingCompany(question: string, ticker: string, company: string): string {
  const first = company.replace(/^the /i, "").split(" ")[0];
  // As a name, that is: not the "cost" of Costco (COST), the "home" market of Home Depot.
  const isName = (word: string) =>
    word === ticker || word === first || /^\p{Lu}/u.test(word) && same(word, first);
  return question.split(/[^\p{L}\p{N}&-]+/u).some(isName) ? question : `About ${company}: ${question}`;
}

const same = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

const passages = (run: readonly Row[]): string =>
  [...new Set(run.map((row) => row.context as string))].join("\n\n");
