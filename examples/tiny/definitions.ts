// Prose about one term: each fact of the glossary in many wordings, and paragraphs that string several together.

import { drawPeople } from "./names.ts";
import type { Random } from "./random.ts";
import { capital, list, pluralOf, type Term, terms, withArticle } from "./terms.ts";

export type Fact = "is" | "kind" | "use" | "example" | "note" | "risk";

/** Wordings of one fact; `s` names the term at the start of a clause: "a bond" or "it". */
type Wordings = (t: Term, s: string) => string[];

const definition: Wordings = (t, s) => [
  `${s} is ${t.is}`,
  `${s} is ${t.is}`,
  `in finance, ${s} is ${t.is}`,
  `put simply, ${s} is ${t.is}`,
  `to most ${t.users}, ${s} is simply ${t.is}`,
  `one can describe ${t.a} as ${t.is}`,
  `the term ${t.name} stands for ${t.is}`,
  `by ${t.a} people mean ${t.is}`,
  `when people speak of ${t.a}, they mean ${t.is}`,
  `what is known as ${t.a} is ${t.is}`,
  `think of ${t.a} as ${t.is}`,
  `${t.is}: that is ${t.a}`,
  `${t.is} is called ${t.a}`,
  `the textbooks say that ${s} is ${t.is}`,
];

const kind: Wordings = (t, s) => [
  `${s} is a kind of ${t.kind}`,
  `${s} is a kind of ${t.kind}`,
  `${s} is ${withArticle(t.kind)} by nature`,
  `${s} belongs to the ${pluralOf(t.kind)}`,
  `${s} counts as ${withArticle(t.kind)}`,
  `${s} is listed among the ${pluralOf(t.kind)}`,
  `books put ${t.a} among the ${pluralOf(t.kind)}`,
  `of all ${pluralOf(t.kind)}, ${t.a} is one that many people know`,
  `as ${withArticle(t.kind)}, ${s} is part of daily finance`,
];

const use: Wordings = (t, s) => [
  `${t.users} ${t.verb} ${t.a} to ${t.to}`,
  `${t.users} ${t.verb} ${t.plural} to ${t.to}`,
  `${t.users} often ${t.verb} ${t.a} to ${t.to}`,
  `${s} is ${t.participle} by ${t.users} to ${t.to}`,
  `${s} is mostly ${t.participle} by ${t.users} to ${t.to}`,
  `${t.users} that want to ${t.to} ${t.verb} ${t.a}`,
  `in order to ${t.to}, ${t.users} ${t.verb} ${t.a}`,
  `to ${t.to}, ${t.users} ${t.verb} ${t.plural}`,
  `${t.users} know why they ${t.verb} ${t.a}: to ${t.to}`,
  `it is ${t.users} who ${t.verb} ${t.a} to ${t.to}`,
];

const example: Wordings = (t, s) => [
  `an example of ${t.a} is ${t.example}`,
  `an example of ${t.a} is ${t.example}`,
  `one example of ${t.a}: ${t.example}`,
  `${t.example} is an example of ${t.a}`,
  `to give an example of ${t.a}, think of ${t.example}`,
  `a typical case of ${t.a} is ${t.example}`,
  `take ${t.example}; this shows what ${s} is`,
  `a simple case of ${t.a} would be ${t.example}`,
  `people who study ${t.a} begin with a case such as ${t.example}`,
];

const note: Wordings = (t, s) => [
  `${s} ${t.note}`,
  `${s} ${t.note}`,
  `as a rule, ${s} ${t.note}`,
  `note that ${s} ${t.note}`,
  `it is worth knowing that ${s} ${t.note}`,
  `${t.users} know that ${s} ${t.note}`,
  `one more thing about ${t.a}: it ${t.note}`,
  `many people forget that ${s} ${t.note}`,
  `experience shows that ${s} ${t.note}`,
];

const risk: Wordings = (t, s) => {
  const { level, why } = t.risk!;
  return [
    `${s} carries ${level} risk because ${why}`,
    `${s} carries ${level} risk because ${why}`,
    `the risk of ${t.a} is ${level} because ${why}`,
    `the risk of ${t.a} is ${level}, since ${why}`,
    `because ${why}, ${t.a} carries ${level} risk`,
    `experts call the risk of ${t.a} ${level} because ${why}`,
    `${s} is seen as a case of ${level} risk, since ${why}`,
    `those who deal with ${t.a} accept ${level} risk because ${why}`,
    `how great is the danger? it is ${level} for ${t.a}, because ${why}`,
  ];
};

const wordings: Record<Fact, Wordings> = { is: definition, kind, use, example, note, risk };

/** The facts that the glossary holds about a term. */
export function factsOf(term: Term): Fact[] {
  return ["is", "kind", "use", "example", "note", ...(term.risk ? ["risk" as const] : [])];
}

/** A clause without capital or full stop that states one fact; `subject` may be a pronoun. */
export function factClause(random: Random, term: Term, fact: Fact, subject = term.a): string {
  return random.pick(wordings[fact](term, subject));
}

/** A clause as a sentence: capitals after the start and after question marks, and a full stop. */
export function sentence(clause: string): string {
  return `${capital(clause).replace(/\? ([a-z])/g, (_, letter) => `? ${letter.toUpperCase()}`)}.`;
}

const leads = [
  "in fact",
  "of course",
  "indeed",
  "today",
  "in general",
  "as is well known",
  "in other words",
  "by its nature",
  "seen from outside",
  "on the whole",
  "strictly speaking",
  "to put it briefly",
];

/** One fact as a sentence, at times with a few leading words. */
export function factSentence(random: Random, term: Term, fact: Fact, subject = term.a): string {
  const clause = factClause(random, term, fact, subject);
  const plain = clause.startsWith(`${subject} `) || clause.startsWith(`${term.users} `);
  return sentence(plain && random.chance(0.35) ? `${random.pick(leads)}, ${clause}` : clause);
}

/** The pronoun for a term in the following sentences. A profession is named again: it may be a person or a firm. */
function pronoun(random: Random, term: Term): string {
  return term.kind !== "profession" && random.chance(0.5) ? "it" : term.a;
}

const rounds = [
  (t: Term) => `Here is a short note on ${t.a}.`,
  (t: Term) => `A few words on ${t.a} follow.`,
  (t: Term) => `Today's lesson is about ${t.a}.`,
  (t: Term) => `This page is about ${t.a}.`,
  (t: Term) => `Let us look at ${t.a}.`,
];

function tellFacts(random: Random, term: Term): string[] {
  const facts = random.shuffle(factsOf(term)).slice(0, random.int(2, 5));
  if (random.chance(0.5) && facts.includes("is")) {
    facts.sort((x, y) => Number(y === "is") - Number(x === "is"));
  }
  return facts.map((fact, i) => {
    const subject = i === 0 ? term.a : pronoun(random, term);
    return factSentence(random, term, fact, subject);
  });
}

/** A paragraph of two to six sentences about one term of the pool. */
export function definitionText(random: Random, pool: readonly Term[] = terms): string {
  const term = random.pick(pool);
  const opening = random.chance(0.15) ? [random.pick(rounds)(term)] : [];
  return [...opening, ...tellFacts(random, term)].join(" ");
}

/** A paragraph in which a person learns, writes or explains facts about a term of the pool. */
export function lessonText(random: Random, pool: readonly Term[] = terms): string {
  const term = random.pick(pool);
  const [name, other] = drawPeople(random, 2);
  const [first, second, third] = random.shuffle(factsOf(term)).map((fact) => factClause(random, term, fact))
    .map((clause) => clause.replace(/^how great is the danger\? it is/, "the danger is"));
  return random.pick([
    () => `${name} wrote in a notebook that ${first}. ${sentence(second)}`,
    () => `${name} has learned that ${first}. ${other} added that ${second}.`,
    () => `At school ${name} heard that ${first}. Later a teacher said that ${second}, and that ${third}.`,
    () => `${name} works with ${term.plural} every day and knows that ${first}. ${sentence(second)}`,
    () => `"${capital(first)}," said ${name}. "And ${second}," said ${other}.`,
    () => `${other} asked about ${term.a}. ${name} explained that ${first}. ${sentence(second)}`,
    () => `For ${name}, two things about ${term.a} matter. First, ${first}. Second, ${second}.`,
    () => `A letter from ${name} says that ${first}. It also says that ${second}.`,
  ])();
}

/** A paragraph about several terms of one kind, or several with the same risk. */
export function groupText(random: Random): string {
  const one = random.pick(terms);
  const byRisk = one.risk !== undefined && random.chance(0.5);
  const same = terms.filter((t) => (byRisk ? t.risk?.level === one.risk!.level : t.kind === one.kind));
  const chosen = random.shuffle(same).slice(0, random.int(2, 4));
  const names = list(chosen.map((t) => t.a));
  const kinds = pluralOf(one.kind);
  const first = byRisk
    ? random.pick([
      `among the things of ${one.risk!.level} risk are ${names}`,
      `${names} all carry ${one.risk!.level} risk`,
      `those who accept ${one.risk!.level} risk may think of ${names}`,
    ])
    : random.pick([
      `among the ${kinds} are ${names}`,
      `${names} are all ${kinds}`,
      `the ${kinds} include ${names}`,
      `examples of ${kinds} are ${names}`,
    ]);
  const more = chosen.slice(0, 2).map((t) =>
    factSentence(random, t, byRisk ? "risk" : random.pick(factsOf(t)))
  );
  return [sentence(chosen.length > 1 ? first : factClause(random, one, "kind")), ...more].join(" ");
}
