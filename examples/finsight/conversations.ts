// FinSight's five categories as conversations of our own: introductions, company questions, definitions, forum threads,
// general finance. Training and test are about different people, terms, firms and numbers.

import { drawSum } from "../tiny/calculations.ts";
import { sentence } from "../tiny/definitions.ts";
import { people } from "../tiny/names.ts";
import { drawStory } from "../tiny/passages.ts";
import { drawFrom, type Random } from "../tiny/random.ts";
import { fewSums, fewTerms } from "../tiny/short_text.ts";
import { introduction, type Subject, type Turn } from "./introductions.ts";

/** A row in FinSight's form. */
export interface ConversationRow {
  messages: { role: string; content: string }[];
  metadata: { source: string; type: Category };
}

const systems = [
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

/** What a term is, who uses it, how risky it is; later questions only say "it". */
function definition(random: Random, { term }: Subject): Turn[] {
  const first: Turn = [
    random.pick([
      `What is ${term.a}?`,
      `pls explain ${term.a}`,
      `What does ${term.name} mean?`,
      `Give me a short definition of ${term.a}.`,
    ]),
    sentence(`${term.a} is ${term.is}`),
  ];
  const use: Turn = [
    random.pick(["Who uses it, and what for?", "who needs that", "What is it good for?"]),
    sentence(`${term.users} ${term.verb} ${term.a} to ${term.to}`),
  ];
  const risk: Turn = [
    random.pick(["How risky is it?", "is it safe", "And the risk?"]),
    sentence(`${term.a} carries ${term.risk!.level} risk because ${term.risk!.why}`),
  ];
  return [first, ...random.shuffle([use, risk]).slice(0, random.int(1, 2))];
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

/** People and terms cut in two, one for training, one for the test. */
export function splitSubjects(seed: number): { train: Subject[]; test: Subject[] } {
  const random = drawFrom(seed);
  const cut = <T>(items: readonly T[]) => {
    const shuffled = random.shuffle(items), count = Math.round(items.length * 0.3);
    return { train: shuffled.slice(count), test: shuffled.slice(0, count) };
  };
  const names = cut(people), terms = cut(fewTerms);
  const all = (names: string[], terms: Subject["term"][]) =>
    names.flatMap((name) => terms.map((term) => ({ name, term })));
  return { train: all(names.train, terms.train), test: all(names.test, terms.test) };
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
