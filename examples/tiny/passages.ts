// Company news: a story is a list of events with consistent numbers; its passage tells them in varied words, and
// each event also has the one plain sentence that a question about it is answered with.

import { sentence } from "./definitions.ts";
import { cities, drawFirm, drawPeople, months } from "./names.ts";
import type { Random } from "./random.ts";

/** One thing that happened to a firm. */
export interface NewsEvent {
  /** What it is about: "the profit", "the dividend"... */
  topic: string;
  /** Wordings for the passage, as clauses. */
  told: string[];
  /** The plain statement, with the firm's name. */
  plain: string;
}

export interface Story {
  firm: string;
  passage: string;
  events: NewsEvent[];
}

type EventMaker = (random: Random, firm: string, sells: string) => NewsEvent;

/** A number that rose or fell, in the wordings that figures of the accounts share. */
function moved(
  random: Random,
  firm: string,
  topic: string,
  unit: string,
  low: number,
  step: number,
): NewsEvent {
  const old = low + step * random.int(0, 12), change = step * random.int(1, 8);
  const up = random.chance(0.6) || old <= change;
  const now = up ? old + change : old - change;
  const verb = up
    ? random.pick(["rose", "climbed", "went up"])
    : random.pick(["fell", "dropped", "went down"]);
  return {
    topic: `the ${topic}`,
    told: [
      `the ${topic} of ${firm} ${verb} from ${old} to ${now} ${unit}`,
      `the ${topic} ${verb} to ${now} ${unit} after ${old} a year ago`,
      `${firm} reported that the ${topic} ${verb} from ${old} to ${now} ${unit}`,
      `after ${old} ${unit} a year ago, the ${topic} ${verb} to ${now}`,
      `the ${topic} was ${old} ${unit} a year ago and ${verb} to ${now}`,
    ],
    plain: `the ${topic} of ${firm} ${up ? "rose" : "fell"} from ${old} to ${now} ${unit}`,
  };
}

const makers: EventMaker[] = [
  (random, firm) => moved(random, firm, "profit", "million dollars", 10, 5),
  (random, firm, sells) => moved(random, firm, `revenue from ${sells}`, "million dollars", 20, 10),
  (random, firm) => moved(random, firm, "dividend", "dollars a share", 2, 1),
  (random, firm) => moved(random, firm, "share price", "dollars", 10, 5),
  (random, firm) => moved(random, firm, "debt", "million dollars", 20, 10),
  (random, firm) => moved(random, firm, "number of workers", "thousand", 2, 1),
  (random, firm) => {
    const city = random.pick(cities), cost = 10 * random.int(1, 20);
    return {
      topic: "the new plant",
      told: [
        `${firm} will build a plant in ${city} for ${cost} million dollars`,
        `a new plant in ${city} will cost ${cost} million dollars`,
        `the board agreed to spend ${cost} million dollars on a plant in ${city}`,
      ],
      plain: `${firm} will build a plant in ${city} for ${cost} million dollars`,
    };
  },
  (random, firm) => {
    const [head, before] = drawPeople(random, 2), month = random.pick(months);
    return {
      topic: "the head of the firm",
      told: [
        `${head} will lead ${firm} from ${month} in place of ${before}`,
        `${before} leaves in ${month}, and ${head} becomes the head of ${firm}`,
        `from ${month} the firm will be led by ${head}, who follows ${before}`,
      ],
      plain: `${head} will lead ${firm} from ${month}`,
    };
  },
  (random, firm) => {
    const other = drawFirm(random).name, price = 10 * random.int(2, 40);
    return {
      topic: "the takeover",
      told: [
        `${firm} will buy ${other} for ${price} million dollars`,
        `the firm agreed to pay ${price} million dollars for ${other}`,
        `a takeover of ${other} will cost ${firm} ${price} million dollars`,
      ],
      plain: `${firm} will buy ${other} for ${price} million dollars`,
    };
  },
  (random, firm) => {
    const sum = 10 * random.int(1, 30), rate = random.int(2, 9), years = random.int(2, 12);
    return {
      topic: "the new bond",
      told: [
        `${firm} sold a bond of ${sum} million dollars at ${rate} percent for ${years} years`,
        `the firm borrowed ${sum} million dollars for ${years} years through a bond at ${rate} percent`,
        `investors bought a new bond of ${sum} million dollars that pays ${rate} percent for ${years} years`,
      ],
      plain: `${firm} sold a bond of ${sum} million dollars at ${rate} percent for ${years} years`,
    };
  },
];

const openings = (firm: string, sells: string, city: string, month: string): string[] => [
  `${firm}, a seller of ${sells} from ${city}, published its results in ${month}`,
  `news came from ${firm} in ${city} this ${month}`,
  `in ${month} the firm ${firm} from ${city} spoke to its owners`,
  `${firm} sells ${sells} and has its seat in ${city}`,
  `owners of ${firm} met in ${city} in ${month}`,
];

const closings = [
  "in short",
  "to sum up",
  "in brief",
  "the main news",
  "what counts",
  "the point to remember",
];

/** A firm's news as a document; often its end puts one of the events plainly. */
export function newsText(random: Random): string {
  const { passage, events } = drawStory(random);
  const ends = random.shuffle(events).slice(0, random.int(0, 2));
  return [passage, ...ends.map(({ plain }) => sentence(`${random.pick(closings)}: ${plain}`))].join(" ");
}

/** A firm's news of two or three events. */
export function drawStory(random: Random): Story {
  const { name: firm, sells } = drawFirm(random);
  const events = random.shuffle(makers).slice(0, random.int(2, 3)).map((make) => make(random, firm, sells));
  const opening = random.chance(0.7)
    ? [random.pick(openings(firm, sells, random.pick(cities), random.pick(months)))]
    : [];
  // Without an opening the first event must name the firm: its plain sentence does.
  const told = events.map((event, i) => i === 0 && !opening.length ? event.plain : random.pick(event.told));
  return { firm, passage: [...opening, ...told].map(sentence).join(" "), events };
}

// What moves what, in both directions; each is true with all else equal.
const effects: [cause: string, effect: string][] = [
  ["interest rates rise", "the prices of bonds fall"],
  ["interest rates fall", "the prices of bonds rise"],
  ["a central bank raises its rate", "loans become dearer"],
  ["a central bank cuts its rate", "loans become cheaper"],
  ["prices rise faster than wages", "people can buy less"],
  ["a firm cuts its dividend", "its share often falls"],
  ["profits beat what people expected", "the share often rises"],
  ["a currency grows weaker", "imports become dearer and exports become cheaper abroad"],
  ["a currency grows stronger", "imports become cheaper and exports become dearer abroad"],
  ["a harvest fails", "the price of wheat rises"],
  ["oil becomes cheaper", "the costs of airlines fall"],
  ["a borrower misses payments", "the credit score falls"],
  ["debts are repaid on time", "the credit score rises"],
  ["a rating is cut", "new loans of the borrower cost more"],
  ["more people lose their jobs", "shops sell less"],
  ["a state spends more than its taxes bring", "its debt grows"],
  ["a buyer pays more at once", "the loan is smaller"],
  ["a loan runs for more years", "the monthly payment is lower but more interest is paid in all"],
  ["a deductible is higher", "the premium of the cover is lower"],
  ["a fund charges high fees", "less is left for its owners"],
  ["savings stay invested for longer", "compound interest has more time to work"],
  ["the price of a share falls and the dividend stays", "the dividend yield rises"],
  ["the price of a share rises and the earnings stay", "the price-earnings ratio rises"],
  ["customers pay late", "a firm needs more working capital"],
];

/** One or two statements of cause and effect. */
export function effectText(random: Random): string {
  return random.shuffle(effects).slice(0, random.int(1, 2)).map(([cause, effect]) =>
    sentence(random.pick([
      `when ${cause}, ${effect}`,
      `if ${cause}, ${effect}`,
      `${effect} when ${cause}`,
      `it is a rule of thumb that when ${cause}, ${effect}`,
      `whenever ${cause}, one can expect that ${effect}`,
      `suppose that ${cause}: then, all else equal, ${effect}`,
    ]))
  ).join(" ");
}
