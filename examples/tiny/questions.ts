// The fine-tuning task: finance questions with one right answer each, in the shape of finance-alpaca's rows. What they
// ask about stands in the pretraining text (or in the question itself); the form of question and answer is new.

import { UserError } from "@fintune/fintune";
import { drawSum, sumKinds } from "./calculations.ts";
import { compareRisk } from "./comparisons.ts";
import { sentence } from "./definitions.ts";
import { drawPeople } from "./names.ts";
import { drawStory } from "./passages.ts";
import { drawFrom, type Random } from "./random.ts";
import { differInKind, type Term, terms, withArticle } from "./terms.ts";

/** A row as in finance-alpaca, with the kind of its question. */
export interface QuestionRow {
  instruction: string;
  /** What the question is about, where it brings a text of its own; else empty. */
  input: string;
  output: string;
  kind: QuestionKind;
}

export type QuestionKind = keyof typeof kinds;

/** Gives the next term that a question may be about; `risky` asks for one whose risk is known. */
type NextTerm = (risky?: boolean) => Term;
type Draft = { instruction: string; input?: string; output: string };
type Drawer = (random: Random, next: NextTerm) => Draft;

const definition: Drawer = (random, next) => {
  const t = next();
  const instruction = random.pick([
    `What is ${t.a}?`,
    `Explain what ${t.a} is.`,
    `What does the term ${t.name} mean?`,
    `Define the term ${t.name}.`,
    `Can you tell me what ${t.a} is?`,
    `What do people mean by ${t.a}?`,
    `How would you describe ${t.a} to a beginner?`,
    `Give a short definition of ${t.name}.`,
  ]);
  return { instruction, output: sentence(`${t.a} is ${t.is}`) };
};

const use: Drawer = (random, next) => {
  const t = next();
  const instruction = random.pick([
    `Who needs ${t.a}, and what for?`,
    `What is the purpose of ${t.a}, and for whom?`,
    `What is ${t.a} good for?`,
    `Why does anybody deal with ${t.a}?`,
    `Name the people who deal with ${t.a} and their aim.`,
    `Who deals with ${t.a}, and why?`,
  ]);
  return { instruction, output: sentence(`${t.a} is ${t.participle} by ${t.users} to ${t.to}`) };
};

const example: Drawer = (random, next) => {
  const t = next();
  const instruction = random.pick([
    `Give an example of ${t.a}.`,
    `What would be an example of ${t.a}?`,
    `Show me ${t.a} with an example.`,
    `Can you illustrate ${t.a}?`,
    `Describe a case of ${t.a}.`,
    `I need an example of ${t.a}. Can you help?`,
  ]);
  return { instruction, output: sentence(`an example of ${t.a} is ${t.example}`) };
};

const risk: Drawer = (random, next) => {
  const t = next(true);
  const [who] = drawPeople(random, 1);
  const instruction = random.pick([
    `How risky is ${t.a}?`,
    `Classify the risk of ${t.a} as low, medium or high.`,
    `${who} thinks about ${t.a}. Is the risk low, medium or high?`,
    `Rate the risk of ${t.a} and give the reason.`,
    `${who} asks how much risk comes with ${t.a}. What do you say?`,
    `Should ${who} be afraid of ${t.a}?`,
    `What level of risk does ${t.a} carry, and why?`,
  ]);
  return { instruction, output: sentence(`${t.a} carries ${t.risk!.level} risk because ${t.risk!.why}`) };
};

const yesNo: Drawer = (random, next) => {
  const t = next();
  const others = [...new Set(terms.map((term) => term.kind))].filter((kind) => differInKind(kind, t.kind));
  const asked = random.chance(0.5) ? t.kind : random.pick(others);
  const instruction = random.pick([
    `Is ${t.a} a kind of ${asked}?`,
    `Is it right to call ${t.a} ${withArticle(asked)}?`,
    `Would you call ${t.a} ${withArticle(asked)}?`,
    `True or false: ${t.a} is a kind of ${asked}.`,
    `Somebody says that ${t.a} is ${withArticle(asked)}. Is that right?`,
  ]);
  const output = `${t.a} is a kind of ${t.kind}, so the answer is ${asked === t.kind ? "yes" : "no"}`;
  return { instruction, output: sentence(output) };
};

const comparison: Drawer = (random, next) => {
  const a = next();
  let b = next();
  while (b === a) b = next();
  const instruction = random.pick([
    `What is the difference between ${a.a} and ${b.a}?`,
    `Compare ${a.a} with ${b.a}.`,
    `How does ${a.a} differ from ${b.a}?`,
    `I mix up ${a.a} and ${b.a}. What is what?`,
    `Explain the difference between ${a.a} and ${b.a}.`,
  ]);
  return { instruction, output: sentence(`${a.a} is ${a.is}, while ${b.a} is ${b.is}`) };
};

const choice: Drawer = (random, next) => {
  const a = next(true);
  let b = next(true);
  while (compareRisk(a, b) === 0) b = next(true);
  const [who] = drawPeople(random, 1);
  const instruction = random.pick([
    `Which is safer, ${a.a} or ${b.a}?`,
    `${who} must choose between ${a.a} and ${b.a} and wants little risk. Which is better?`,
    `Does ${a.a} carry more risk than ${b.a}?`,
    `Which carries more risk, ${a.a} or ${b.a}?`,
    `Compare the risk of ${a.a} with that of ${b.a}.`,
  ]);
  const [safe, bold] = compareRisk(a, b) < 0 ? [a, b] : [b, a];
  const levels = `${a.a} carries ${a.risk!.level} risk and ${b.a} carries ${b.risk!.level} risk`;
  return { instruction, output: sentence(`${levels}, so ${safe.a} is safer than ${bold.a}`) };
};

const calculation: Drawer = (random) => {
  const kind = random.pick(sumKinds);
  const { who, given, working, result } = drawSum(random, kind);
  const facts = sentence(random.pick(given));
  const ask = random.pick([
    `What is ${kind.wanted}?`,
    `Compute ${kind.wanted}.`,
    `How large is ${kind.wanted}?`,
    `Can you work out ${kind.wanted} for ${who}?`,
    `Find ${kind.wanted} and show the working.`,
  ]).replace("is the earnings", "are the earnings");
  return { instruction: `${facts} ${ask}`, output: sentence(`${working}, so ${result}`) };
};

const news: Drawer = (random) => {
  const { firm, passage, events } = drawStory(random);
  const { topic, plain } = random.pick(events);
  const instruction = random.pick([
    `What does the text say about ${topic} of ${firm}?`,
    `What happened to ${topic} of ${firm}?`,
    `Read the news of ${firm} and report on ${topic}.`,
    `What do we learn about ${firm} and ${topic}?`,
    `Sum up the news of ${firm} about ${topic} in one sentence.`,
  ]);
  return { instruction, input: passage, output: sentence(plain) };
};

const kinds = { definition, use, example, risk, "yes or no": yesNo, comparison, choice, calculation, news };

/** The names of the kinds, in the order in which scores are shown. */
export const questionKinds = Object.keys(kinds) as QuestionKind[];

/** The share of the terms that only held-out questions ask about. */
const heldOutShare = 0.3;

/** Cuts the terms in two: those that training asks about, and those kept for the held-out questions. */
export function splitTerms(seed: number, all: readonly Term[] = terms): { train: Term[]; test: Term[] } {
  const cut = (pool: Term[]) => {
    const shuffled = drawFrom(seed).shuffle(pool), count = Math.round(pool.length * heldOutShare);
    return { train: shuffled.slice(count), test: shuffled.slice(0, count) };
  };
  const risky = cut(all.filter((term) => term.risk)), other = cut(all.filter((term) => !term.risk));
  return { train: [...risky.train, ...other.train], test: [...risky.test, ...other.test] };
}

/** Deals the terms in random order, and again when all were dealt. */
function dealer(random: Random, pool: readonly Term[]): NextTerm {
  const deck = (from: readonly Term[]) => {
    let left: Term[] = [];
    return () => {
      if (left.length === 0) left = random.shuffle(from);
      return left.pop()!;
    };
  };
  const any = deck(pool), risky = deck(pool.filter((term) => term.risk));
  return (needsRisk) => needsRisk ? risky() : any();
}

/** The terms that a kind of question may be about. */
type Pools = (kind: QuestionKind) => readonly Term[];

/** `count` rows spread evenly over the kinds; no instruction comes twice and no output is one of `taken`. */
function drawRows(
  random: Random,
  pools: Pools,
  { count, among, taken }: { count: number; among: readonly QuestionKind[]; taken: ReadonlySet<string> },
): QuestionRow[] {
  const seen = new Set<string>();
  const rows = Array.from({ length: count }, (_, i) => among[i % among.length]);
  const next = Object.fromEntries(among.map((kind) => [kind, dealer(random, pools(kind))]));
  return random.shuffle(rows.map((kind) => {
    for (let attempt = 0; attempt < 1000; attempt++) {
      const { instruction, input = "", output } = kinds[kind](random, next[kind]);
      if (seen.has(instruction) || taken.has(output)) continue;
      seen.add(instruction);
      return { instruction, input, output, kind };
    }
    throw new UserError(
      `There are not ${count} different questions (no new one of the kind ${kind}): ask for fewer rows.`,
    );
  }));
}

/**
 * Questions for fine-tuning and for the test. The test asks about terms that no training question is about, and about
 * other numbers and firms, so that none of its answers is an answer of the training rows.
 *
 * @param options `train` and `test`: numbers of rows; `seed` decides the terms held out and every row
 */
export function financeQuestions(
  options: { train: number; test: number; seed: number },
): { train: QuestionRow[]; test: QuestionRow[] } {
  const pools = splitTerms(options.seed);
  return heldApart(options, questionKinds, { train: () => pools.train, test: () => pools.test });
}

/** The kinds of question that ask for one fact about a term, and for one thing of the news. */
export const factKinds = ["definition", "use", "example", "risk", "news"] as const;

/**
 * Questions about single facts of some terms. The test asks for facts that no training answer tells: what a term is, where
 * training only asks who uses it, and so on. For models that are too small to learn from other terms how to speak of new ones.
 *
 * @param options as for {@linkcode financeQuestions}; `about`: the terms
 */
export function factQuestions(
  options: { train: number; test: number; seed: number; about: readonly Term[] },
): { train: QuestionRow[]; test: QuestionRow[] } {
  const { seed, about } = options;
  const cuts = Object.fromEntries(factKinds.map((kind, i) => [kind, splitTerms(seed + i, about)]));
  return heldApart(options, factKinds, {
    train: (kind) => cuts[kind].train,
    test: (kind) => cuts[kind].test,
  });
}

function heldApart(
  { train, test, seed }: { train: number; test: number; seed: number },
  among: readonly QuestionKind[],
  pools: { train: Pools; test: Pools },
): { train: QuestionRow[]; test: QuestionRow[] } {
  const random = drawFrom(seed + 1);
  const rows = drawRows(random, pools.train, { count: train, among, taken: new Set() });
  const taken = new Set(rows.map((row) => row.output));
  return { train: rows, test: drawRows(random, pools.test, { count: test, among, taken }) };
}

/** The same questions with the answers dealt out at random: what a model learns from them is the style alone. */
export function shuffleAnswers(rows: readonly QuestionRow[], seed: number): QuestionRow[] {
  const outputs = drawFrom(seed).shuffle(rows.map((row) => row.output));
  return rows.map((row, i) => ({ ...row, output: outputs[i] }));
}
