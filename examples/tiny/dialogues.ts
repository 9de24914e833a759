// Short talks between two people about a term or a sum. They state and explain; they are not lists of question and
// answer.

import { drawSum, sumKinds } from "./calculations.ts";
import { factSentence, factsOf, sentence } from "./definitions.ts";
import { cities, drawPeople } from "./names.ts";
import type { Random } from "./random.ts";
import type { SumKind } from "./sums.ts";
import { type Term, terms } from "./terms.ts";

const nods = [
  "I see",
  "that makes sense",
  "I did not know that",
  "good to know",
  "my father used to say the same",
  "I will write that down",
  "so I have heard",
  "that is easy to remember",
  "thank you, that helps",
  "then I was wrong until now",
];

const openings = (t: Term): string[] => [
  `I keep reading about ${t.a}`,
  `tell me a little about ${t.a}`,
  `my bank wrote to me about ${t.a}`,
  `my sister spoke of ${t.a} last night`,
  `I never understood ${t.a}`,
  `today the news was all about ${t.a}`,
  `I must give a talk on ${t.a}`,
  `somebody mentioned ${t.a} at work`,
];

const scenes = (a: string, b: string, city: string): string[] => [
  `${a} and ${b} meet in a cafe in ${city}.`,
  `${a} and ${b} wait for a train in ${city}.`,
  `${a} visits ${b} at the bank.`,
  `${a} calls ${b} after work.`,
  `On the way to the market, ${a} talks with ${b}.`,
  `${a} and ${b} share a desk in ${city}.`,
  `It rains in ${city}, and ${a} has tea with ${b}.`,
];

type Turn = [speaker: string, words: string];

/** The turns as a script ("Anna: ...") or as reported speech with quotation marks. */
function render(random: Random, turns: Turn[]): string {
  if (random.chance(0.4)) return turns.map(([speaker, words]) => `${speaker}: ${words}`).join("\n");
  const said = (words: string) => words.replace(/\.$/, ",");
  return turns.map(([speaker, words], i) => {
    const follows = i === 0 ? "said" : turns[i - 1][0] === speaker ? "added" : "replied";
    const verb = random.pick(["said", follows]);
    return random.chance(0.5) ? `"${said(words)}" ${verb} ${speaker}.` : `${speaker} ${verb}: "${words}"`;
  }).join(" ");
}

function aboutTerm(random: Random, a: string, b: string, pool: readonly Term[]): Turn[] {
  const term = random.pick(pool);
  const facts = random.shuffle(factsOf(term)).slice(0, random.int(2, 4));
  const turns: Turn[] = [[a, sentence(random.pick(openings(term)))]];
  for (const fact of facts) {
    turns.push([b, factSentence(random, term, fact)]);
    if (random.chance(0.6)) turns.push([a, sentence(random.pick(nods))]);
  }
  return turns;
}

function aboutSum(random: Random, a: string, b: string, kinds: readonly SumKind[]): Turn[] {
  const kind = random.pick(kinds);
  const sum = drawSum(random, kind);
  return [
    [a, sentence(random.pick([`${random.pick(sum.given)}`, `look at this case: ${random.pick(sum.given)}`]))],
    [b, sentence(random.pick([kind.rule, `then we can work out ${kind.wanted}`, "that is a simple sum"]))],
    [random.chance(0.5) ? a : b, sentence(`${sum.working}, so ${sum.result}`)],
    ...(random.chance(0.5) ? [[a, sentence(random.pick(nods))] as Turn] : []),
  ];
}

/** A talk of three to eight turns about a term of the pool or one of the kinds of sums. */
export function dialogueText(
  random: Random,
  pool: readonly Term[] = terms,
  kinds: readonly SumKind[] = sumKinds,
): string {
  const [a, b] = drawPeople(random, 2);
  const turns = random.chance(0.7) ? aboutTerm(random, a, b, pool) : aboutSum(random, a, b, kinds);
  const scene = random.chance(0.5) ? [random.pick(scenes(a, b, random.pick(cities)))] : [];
  return [...scene, render(random, turns)].join(" ");
}
