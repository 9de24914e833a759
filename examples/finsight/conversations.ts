// FinSight's five categories as conversations of our own: introductions, company questions, definitions, forum threads,
// general finance. Training and test are about different people, facts, firms and numbers.

import type { Message, Row } from "@fintune/fintune";
import { drawSum } from "../tiny/calculations.ts";
import { sentence } from "../tiny/definitions.ts";
import { people } from "../tiny/names.ts";
import { drawStory } from "../tiny/passages.ts";
import { drawFrom, type Random } from "../tiny/random.ts";
import { fewSums, fewTerms } from "../tiny/short_text.ts";
import type { Term } from "../tiny/terms.ts";
import { type Fact, facts, introduction, type Subject, type Turn } from "./introductions.ts";

/** A row in FinSight's form. */
export interface ConversationRow {
  messages: { role: string; content: string }[];
  metadata: { source: string; type: Category };
}

/** System prompts. */
export const systems: readonly string[] = [
  "You are FinSight, an advisor in money matters.",
  "As FinSight, explain finance in plain words.",
  "You are an assistant named FinSight. Give clear answers about money.",
  "Act as FinSight and help the user with finance.",
];

/** A company's news, and questions about what it says. */
function company(random: Random): Turn[] {
  const { firm, passage, events } = drawStory(random);
  return random.shuffle(events).slice(0, 2).map(({ topic, plain }, i) => {
    const asked = random.pick([
      `What does it say about ${topic}?`,
      `what happened to ${topic}`,
      `Tell me about ${topic} of ${firm}.`,
      `What do we learn about ${topic}?`,
    ]);
    return [i === 0 ? `${passage} ${asked}` : asked, sentence(plain)];
  });
}

/** A fact as an answer. */
function told(t: Term, fact: Fact): string {
  return sentence(
    {
      is: `${t.a} is ${t.is}`,
      use: `${t.users} ${t.verb} ${t.a} to ${t.to}`,
      example: `an example of ${t.a} is ${t.example}`,
      note: `${t.a} ${t.note}`,
      risk: `${t.a} carries ${t.risk!.level} risk because ${t.risk!.why}`,
    }[fact],
  );
}

/** Questions for a fact; those that come later may say "it". */
function askFor(random: Random, fact: Fact, a: string): string {
  return random.pick(
    {
      is: [`What is ${a}?`, `pls explain ${a}`, `Give me a short definition of ${a}.`],
      use: [`Who needs ${a}, and what for?`, `what is ${a} good for`, `Who uses ${a}?`],
      example: [`Can you give an example of ${a}?`, `show me a case of ${a}`, `I need an example of ${a}.`],
      note: [
        `What else should I know about ${a}?`,
        `tell me more on ${a}`,
        `Is there anything to note about ${a}?`,
      ],
      risk: [`How risky is ${a}?`, `is ${a} safe`, `Should I be afraid of ${a}?`],
    }[fact],
  );
}

/** Two or three facts about a term. */
function definition(random: Random, { term, told: known, last }: Subject): Turn[] {
  const end = random.pick(last);
  const before = random.shuffle(known.filter((fact) => fact !== end)).slice(0, random.int(1, 2));
  return [...before, end].map((fact, i) => [
    askFor(random, fact, i > 0 && random.chance(0.5) ? "it" : term.a),
    told(term, fact),
  ]);
}

/** A sum from daily life or from a firm's books. */
function general(random: Random): Turn[] {
  return Array.from({ length: 2 }, () => {
    const kind = random.pick(fewSums), { given, working, result } = drawSum(random, kind);
    const ask = random.pick([
      `What is ${kind.wanted}?`,
      `find ${kind.wanted}`,
      `How large is ${kind.wanted}?`,
    ]);
    return [`${sentence(random.pick(given))} ${ask}`, sentence(`${working}, so ${result}`)];
  });
}

const makers = { introduction, company, definition, general };

/** The categories that are written as conversations; the fifth, reddit, is curated from threads. */
export type Category = keyof typeof makers | "reddit";
export const categories: readonly Category[] = ["introduction", "company", "definition", "reddit", "general"];

/** A row from its turns. */
export function conversationRow(random: Random, type: Category, turns: readonly Turn[]): ConversationRow {
  const said = turns.flatMap(([user, assistant]) => [
    { role: "user", content: user },
    { role: "assistant", content: assistant },
  ]);
  return {
    messages: [{ role: "system", content: random.pick(systems) }, ...said],
    metadata: { source: "examples/finsight", type },
  };
}

/**
 * Whom and what training and test are about: other people; of each term, training tells all facts but one, and the test ends with
 * that one, which no answer of training tells.
 */
export function splitSubjects(seed: number): { train: Subject[]; test: Subject[] } {
  const random = drawFrom(seed), names = random.shuffle(people), held = Math.round(names.length * 0.3);
  const about = fewTerms.map((term) => {
    const kept = random.pick(facts);
    return { term, told: facts.filter((fact) => fact !== kept), kept };
  });
  return {
    train: names.slice(held).flatMap((name) =>
      about.map(({ term, told }) => ({ name, term, told, last: told }))
    ),
    test: names.slice(0, held).flatMap((name) =>
      about.map(({ term, told, kept }) => ({ name, term, told, last: [kept] }))
    ),
  };
}

/** Conversations of one category. */
export function drawConversations(
  type: Exclude<Category, "reddit">,
  { count, seed, subjects }: { count: number; seed: number; subjects: readonly Subject[] },
): ConversationRow[] {
  const random = drawFrom(seed);
  return Array.from(
    { length: count },
    () => conversationRow(random, type, makers[type](random, random.pick(subjects))),
  );
}

/** The same conversations with the answers of all dealt out at random: what is learnt from them is the style alone. */
export function shuffleAnswers(rows: readonly Row[], seed: number): Row[] {
  const answers = (row: Row) => row.messages.filter(({ role }: Message) => role === "assistant");
  const dealt = drawFrom(seed).shuffle(rows.flatMap(answers)).values();
  return rows.map((row) => ({
    ...row,
    messages: row.messages.map((message: Message) =>
      message.role === "assistant" ? dealt.next().value : message
    ),
  }));
}
