// The words that headlines are made of: figures of a firm with what is good about them, and the verbs that move them.

import type { Random } from "../tiny/random.ts";

export type Sentiment = "negative" | "neutral" | "positive";

/** FinGPT's labels, in the order of its question. */
export const sentiments: readonly Sentiment[] = ["negative", "neutral", "positive"];

export const opposite: Record<Sentiment, Sentiment> = {
  negative: "positive",
  neutral: "neutral",
  positive: "negative",
};

/** A figure of a firm's report; `good`: more of it is better. */
export interface Figure {
  name: string;
  plural: boolean;
  good: boolean;
  unit: string;
}

const figure = (names: string, unit: string, good: boolean): Figure[] =>
  names.split(", ").map((name) => ({ name: name.replace("*", ""), plural: name.endsWith("*"), good, unit }));

export const figures: readonly Figure[] = [
  ...figure(
    "profit, operating profit, net income, revenue, turnover, cash flow, output, sales*, earnings*, orders*, exports*, bookings*, new contracts*, subscription fees*",
    "million dollars",
    true,
  ),
  ...figure(
    "debt, net loss, costs*, losses*, write-downs*, unpaid bills*, legal costs*, interest costs*",
    "million dollars",
    false,
  ),
  ...figure("dividend, earnings per share*", "cents a share", true),
  ...figure("margin, market share, return on capital, capacity use", "percent", true),
  ...figure("default rate, vacancy rate, scrap rate, sick leave", "percent", false),
  ...figure("visitors*, customers*, passengers*, subscribers*", "thousand", true),
  ...figure("complaints*, cancelled orders*, accidents*, returned goods*", "thousand", false),
];

/** A verb in its three forms, and whether it says how much at once ("doubled"), so that no amount follows. */
export interface Verb {
  past: string;
  present: string;
  base: string;
  whole: boolean;
}

const verbs = (forms: string): Verb[] =>
  forms.split(", ").map((form) => {
    const [past, present, base] = form.replace("!", "").split("/");
    return { past, present, base, whole: form.endsWith("!") };
  });

export const upward = verbs(
  "rose/rises/rise, climbed/climbs/climb, grew/grows/grow, increased/increases/increase, jumped/jumps/jump, " +
    "surged/surges/surge, went up/goes up/go up, soared/soars/soar, picked up/picks up/pick up, edged up/edges up/edge up, " +
    "advanced/advances/advance, shot up/shoots up/shoot up, doubled/doubles/double!, tripled/triples/triple!, " +
    "swelled/swells/swell, moved higher/moves higher/move higher",
);

export const downward = verbs(
  "fell/falls/fall, dropped/drops/drop, declined/declines/decline, decreased/decreases/decrease, slid/slides/slide, " +
    "shrank/shrinks/shrink, went down/goes down/go down, plunged/plunges/plunge, slipped/slips/slip, " +
    "edged down/edges down/edge down, sank/sinks/sink, tumbled/tumbles/tumble, halved/halves/halve!, " +
    "collapsed/collapses/collapse!, dwindled/dwindles/dwindle, moved lower/moves lower/move lower",
);

/** Which verbs a headline may use: all, or the common ones, which fine-tuning knows. */
export type Words = "all" | "common";

/** Every fourth verb of each list is kept away from fine-tuning. */
export function verbsOf(list: readonly Verb[], words: Words): readonly Verb[] {
  return words === "all" ? list : list.filter((_, i) => i % 4 !== 3);
}

/** A movement of a figure: where to, and what that says about the firm. */
export interface Move {
  figure: Figure;
  up: boolean;
  verb: Verb;
  sentiment: Sentiment;
}

export function drawMove(random: Random, words: Words): Move {
  const figure = random.pick(figures), up = random.chance(0.5);
  const verb = random.pick(verbsOf(up ? upward : downward, words));
  return { figure, up, verb, sentiment: up === figure.good ? "positive" : "negative" };
}

/** The present of a verb after a plural: "sales rise", "profit rises". */
export function presentOf({ plural }: Figure, { present, base }: Verb): string {
  return plural ? base : present;
}

/** " by 12 percent", " to 45 million dollars", " from 30 to 45 million dollars" or nothing, as fits the direction. */
export function amount(random: Random, { figure, up, verb }: Move): string {
  if (verb.whole || random.chance(0.2)) return "";
  const low = random.int(2, 60), high = low + random.int(1, 39), [from, to] = up ? [low, high] : [high, low];
  return random.pick([
    ` by ${random.int(2, 48)} percent`,
    ` ${random.int(2, 48)}.${random.int(1, 9)} %`,
    ` to ${to} ${figure.unit}`,
    ` from ${from} to ${to} ${figure.unit}`,
    ` to ${to} ${figure.unit} after ${from} a year ago`,
  ]);
}
