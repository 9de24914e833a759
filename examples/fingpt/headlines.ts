// Labelled headlines in the styles of FinGPT's three sets: news sentences (FPB), headlines (FiQA), tweets (TFNS). The
// label follows from what the words say: from the figure and where it moves, from negations and concessions, from who
// expects what. A text that only wonders, or that tells a plain fact, is neutral.

import { cities, drawFirm, drawPeople, months } from "../tiny/names.ts";
import type { Random } from "../tiny/random.ts";
import { capital } from "../tiny/terms.ts";
import {
  amount,
  drawMove,
  figures,
  type Move,
  opposite,
  presentOf,
  type Sentiment,
  type Words,
} from "./figures.ts";

export type Source = "FPB" | "FiQA" | "TFNS";
export const sources: readonly Source[] = ["FPB", "FiQA", "TFNS"];

/** A headline with its label, in which style it is, and how it says what it says. */
export interface Headline {
  text: string;
  sentiment: Sentiment;
  source: Source;
  kind: HeadlineKind;
}

type Saying = [text: string, sentiment: Sentiment];
type Drawer = (random: Random, firm: string, words: Words) => Saying;

const past = (random: Random, move: Move) => `${move.figure.name} ${move.verb.past}${amount(random, move)}`;
const reasons = (random: Random, sentiment: Sentiment): string =>
  random.chance(0.7) ? "" : random.pick(
    sentiment === "positive"
      ? [
        " on strong demand",
        " thanks to a good season",
        " after a fine quarter",
        " with help from new markets",
      ]
      : [" on weak demand", " because of a poor season", " after a hard quarter", " as old markets dried up"],
  );

const figure: Drawer = (random, firm, words) => {
  const move = drawMove(random, words), why = reasons(random, move.sentiment);
  const { name } = move.figure;
  return [
    random.pick([
      `${firm} said its ${past(random, move)}${why}`,
      `${name} of ${firm} ${move.verb.past}${amount(random, move)}${why}`,
      `${firm}: ${name} ${presentOf(move.figure, move.verb)}${amount(random, move)}${why}`,
      `${firm} ${name} ${presentOf(move.figure, move.verb)}${amount(random, move)}${why}`,
      `in ${random.pick(months)} the ${past(random, move)} at ${firm}${why}`,
    ]),
    move.sentiment,
  ];
};

const numbers: Drawer = (random, firm) => {
  const { name, plural, good, unit } = random.pick(figures);
  const before = random.int(2, 9) * 10, change = random.pick([-1, 0, 1]) * random.int(1, 5) * 10;
  const now = Math.max(10, before + change), were = plural ? "were" : "was";
  const text = random.pick([
    `${name} of ${firm} ${were} ${now} ${unit}, against ${before} a year ago`,
    `${firm} reports ${name} of ${now} ${unit}; a year ago ${plural ? "they were" : "it was"} ${before}`,
    `${firm}: ${name} ${now} ${unit} (${before})`,
    `after ${before} ${unit} last year, ${name} of ${firm} now ${plural ? "stand" : "stands"} at ${now}`,
  ]);
  return [text, now === before ? "neutral" : (now > before) === good ? "positive" : "negative"];
};

const flat: Drawer = (random, firm) => {
  const { name, plural, unit } = random.pick(figures), value = random.int(2, 90);
  return [
    random.pick([
      `${name} of ${firm} ${plural ? "were" : "was"} unchanged at ${value} ${unit}`,
      `${firm} said its ${name} stayed at ${value} ${unit}`,
      `${firm} ${name} ${plural ? "remain" : "remains"} level with last year`,
      `${firm} expects ${name} at the level of last year`,
      `${firm} left its forecast for ${name} as it was`,
    ]),
    "neutral",
  ];
};

const forecast: Drawer = (random, firm) => {
  const { name, good } = random.pick(figures);
  const [wording, up] = random.pick<[string[], boolean | undefined]>([
    [["came in above forecasts", "topped what analysts had expected", "exceeded estimates"], true],
    [
      ["came in below forecasts", "stayed under what analysts had expected", "ended short of estimates"],
      false,
    ],
    [["came in as forecast", "matched what analysts had expected", "met estimates"], undefined],
  ]);
  const sentiment = up === undefined ? "neutral" : up === good ? "positive" : "negative";
  return [`${random.pick([`${name} of ${firm}`, `${firm} ${name}`])} ${random.pick(wording)}`, sentiment];
};

const outlook: Drawer = (random, firm, words) => {
  const { figure, verb, sentiment } = drawMove(random, words), name = figure.name;
  const when = random.pick(["", " this year", " next year", ` from ${random.pick(months)} on`]);
  const believes = random.pick(["expects", "forecasts that", "is confident that", "warns that"]);
  const clause = believes === "expects" ? `${name} to ${verb.base}` : `${name} will ${verb.base}`;
  // Nobody warns of what is good.
  const fits = !(believes === "warns that" && sentiment === "positive") &&
    !(believes.startsWith("is confident") && sentiment === "negative");
  return [
    `${firm} ${fits ? believes : "forecasts that"} ${fits ? clause : `${name} will ${verb.base}`}${when}`,
    sentiment,
  ];
};

const negated: Drawer = (random, firm, words) => {
  const { figure, verb, sentiment } = drawMove(random, words), name = figure.name;
  const text = random.pick([
    `${firm} no longer expects ${name} to ${verb.base}`,
    `${firm} does not believe any more that ${name} will ${verb.base}`,
    `forecasts that ${name} of ${firm} would ${verb.base} proved wrong`,
    `analysts give up the view that ${name} of ${firm} will ${verb.base}`,
  ]);
  return [text, opposite[sentiment]];
};

const effort: Drawer = (random, firm) => {
  const { name, good } = random.pick(figures);
  const better = good ? ["raise", "lift", "improve"] : ["cut", "reduce", "bring down"];
  const worse = good ? ["a fall in", "a slump in", "a decline in"] : ["a rise in", "a jump in", "growth in"];
  return random.pick<() => Saying>([
    () => [`${firm} managed to ${random.pick(better)} its ${name}`, "positive"],
    () => [`${firm} failed to ${random.pick(better)} its ${name}`, "negative"],
    () => [`${firm} could not ${random.pick(better)} its ${name} as promised`, "negative"],
    () => [`${firm} avoided ${random.pick(worse)} ${name}`, "positive"],
    () => [`${firm} was unable to stop ${random.pick(worse)} ${name}`, "negative"],
    () => [`${firm} has stopped ${random.pick(worse)} ${name}`, "positive"],
  ])();
};

/** What comes after "despite" does not decide. */
const concession: Drawer = (random, firm, words) => {
  const main = drawMove(random, words);
  let other = drawMove(random, words);
  while (other.sentiment === main.sentiment || other.figure === main.figure) other = drawMove(random, words);
  const side = `${other.up ? "higher" : "lower"} ${other.figure.name}`;
  return [
    random.pick([
      `despite ${side}, ${past(random, main)} at ${firm}`,
      `${firm} said its ${past(random, main)} in spite of ${side}`,
      `although ${other.figure.name} ${other.verb.past}, ${past(random, main)} at ${firm}`,
    ]),
    main.sentiment,
  ];
};

const open: Drawer = (random, firm, words) => {
  const { figure: { name }, verb } = drawMove(random, words);
  return [
    random.pick([
      `${firm} says it is too early to tell whether ${name} will ${verb.base}`,
      `${firm} declined to comment on a report that ${name} ${verb.past}`,
      `will ${name} of ${firm} ${verb.base}? analysts are divided`,
      `${firm} gave no forecast of whether ${name} will ${verb.base}`,
      `it is not known whether ${name} of ${firm} ${verb.past}`,
    ]),
    "neutral",
  ];
};

const fact: Drawer = (random, firm) => {
  const city = random.pick(cities), month = random.pick(months), [who] = drawPeople(random, 1);
  return [
    random.pick([
      `${firm} will publish its report on ${random.int(1, 28)} ${month}`,
      `the yearly meeting of ${firm} takes place in ${city} in ${month}`,
      `${firm} has its seat in ${city} and ${random.int(2, 90)} hundred workers`,
      `${who} becomes head of ${drawFirm(random).name} in ${month}`,
      `${firm} moves its head office to ${city}`,
      `${firm} names ${who} to its board`,
      `the share of ${firm} is traded in ${city}`,
      `${firm} changes its name in ${month}`,
      `the value of the order of ${firm} was not disclosed`,
    ]),
    "neutral",
  ];
};

const event: Drawer = (random, firm) => {
  const other = drawFirm(random),
    city = random.pick(cities),
    sum = 10 * random.int(1, 40),
    staff = 50 * random.int(1, 30);
  return random.pick<Saying>([
    [`${firm} wins an order of ${sum} million dollars from ${other.name}`, "positive"],
    [`${firm} loses an order of ${sum} million dollars to ${other.name}`, "negative"],
    [`${other.name} cancels its contract with ${firm}`, "negative"],
    [`${other.name} extends its contract with ${firm}`, "positive"],
    [`${firm} hires ${staff} workers for its plant in ${city}`, "positive"],
    [`${firm} lays off ${staff} workers in ${city}`, "negative"],
    [`${firm} shuts its plant in ${city}`, "negative"],
    [`${firm} opens a second plant in ${city} to meet demand`, "positive"],
    [`court clears ${firm} of all charges`, "positive"],
    [`court fines ${firm} ${sum} million dollars`, "negative"],
    [`${firm} must recall ${staff} hundred ${other.sells === "cars" ? "cars" : "boxes"}`, "negative"],
    [`${firm} is granted a patent in ${random.pick(months)}`, "positive"],
    [`a strike stops work at ${firm} in ${city}`, "negative"],
    [`a strike at ${firm} in ${city} was averted`, "positive"],
    [`fire destroys a store of ${firm} in ${city}`, "negative"],
    [`${firm} repays its loan of ${sum} million dollars ahead of time`, "positive"],
    [`${firm} misses a payment on its loan of ${sum} million dollars`, "negative"],
  ]);
};

const rating: Drawer = (random, firm) => {
  const bank = `${random.pick(["Harbor", "Union", "First", "Royal", "Lake", "Trust"])} Bank`,
    to = random.int(12, 90);
  const up = random.pick([true, false, undefined]);
  const text = random.pick(
    up === undefined
      ? [
        `${bank} keeps ${firm} at hold`,
        `${firm} price target left at $${to} at ${bank}`,
        `${bank} repeats neutral on ${firm}`,
      ]
      : up
      ? [
        `${firm} upgraded to buy at ${bank}`,
        `${firm} price target raised to $${to} at ${bank}`,
        `${firm} +${random.int(2, 19)}%`,
      ]
      : [
        `${firm} downgraded to sell at ${bank}`,
        `${firm} price target cut to $${to} at ${bank}`,
        `${firm} -${random.int(2, 19)}%`,
      ],
  );
  return [text, up === undefined ? "neutral" : up ? "positive" : "negative"];
};

const kinds = {
  figure,
  numbers,
  flat,
  forecast,
  outlook,
  negated,
  effort,
  concession,
  open,
  fact,
  event,
  rating,
};
export type HeadlineKind = keyof typeof kinds;

/** The kinds of headline. */
export const headlineKinds = Object.keys(kinds) as HeadlineKind[];

/** How often a kind is drawn, where not once. */
const weight: Partial<Record<HeadlineKind, number>> = { figure: 4, open: 2, fact: 2, event: 2, flat: 2 };
const lot = headlineKinds.flatMap((kind) => new Array<HeadlineKind>(weight[kind] ?? 1).fill(kind));

/** As a source writes: a sentence, a title, or a tweet with the firm's ticker. */
function inStyle(random: Random, source: Source, firm: string, text: string): string {
  if (source === "FPB") return `${capital(text).replaceAll(",", " ,")} .`;
  if (source === "FiQA") return capital(text);
  const ticker = `$${firm.replace(/[^A-Z]/g, "")}${firm.split(" ").at(-1)!.slice(1, 3).toUpperCase()}`;
  return random.pick([
    `${ticker} ${text}`,
    `${ticker} - ${text}`,
    `${ticker}: ${text}`,
    `${capital(text)} ${ticker}`,
  ]);
}

/** One headline; `words` says which verbs it may use. */
export function drawHeadline(random: Random, words: Words = "all"): Headline {
  const kind = random.pick(lot), source = random.pick(sources), firm = drawFirm(random).name;
  const [text, sentiment] = kinds[kind](random, firm, words);
  return { text: inStyle(random, source, firm, text), sentiment, source, kind };
}
