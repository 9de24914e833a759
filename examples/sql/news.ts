// Company news in a few short sentences: what happened is told in varied words, and a question about it is answered with one
// plain sentence.

import type { Random } from "../tiny/random.ts";
import { amounts, words } from "./schemas.ts";

/** One thing that happened to a firm. */
interface NewsEvent {
  topic: string;
  /** Wordings for the passage. */
  told: string[];
  /** Wordings of the question. */
  asked: string[];
  /** The answer. */
  plain: string;
}

/** A passage about a firm, and what it tells. */
export interface Story {
  passage: string;
  events: NewsEvent[];
}

/** All of one word, and invented. */
const firms = (
  "Alder Amber Arrow Aspen Beacon Birch Canyon Cedar Cobalt Copper Coral Crown Delta Eagle Ember Falcon Garnet Granite Harbor " +
  "Hazel Ivory Juniper Laurel Maple"
).split(" ");

function moved(random: Random, firm: string, figure: string): NewsEvent {
  const to = random.pick(amounts), past = random.pick(["rose", "fell"]);
  return {
    topic: figure,
    told: [`The ${figure} of ${firm} ${past} to ${to} million.`, `Its ${figure} ${past} to ${to} million.`],
    asked: [`What happened to the ${figure} of ${firm}?`, `What do we learn about the ${figure} of ${firm}?`],
    plain: `The ${figure} of ${firm} ${past} to ${to} million.`,
  };
}

const makers: readonly ((random: Random, firm: string) => NewsEvent)[] = [
  ...["profit", "revenue", "debt"].map((figure) => (random: Random, firm: string) =>
    moved(random, firm, figure)
  ),
  (random, firm) => {
    const head = random.pick(words.manager), month = random.pick(words.month);
    return {
      topic: "manager",
      told: [`From ${month} ${head} will lead ${firm}.`, `${head} will lead the firm from ${month} on.`],
      asked: [`Who is the new manager of ${firm}?`, `Who will lead ${firm}?`],
      plain: `The new manager of ${firm} is ${head} from ${month} on.`,
    };
  },
  (random, firm) => {
    const city = random.pick(words.city), cost = random.pick(amounts);
    return {
      topic: "office",
      told: [
        `${firm} pays ${cost} million for an office in ${city}.`,
        `An office in ${city} will cost ${cost} million.`,
      ],
      asked: [`Where will ${firm} have an office?`, `What do we learn about the office of ${firm}?`],
      plain: `The office of ${firm} is in ${city} and will cost ${cost} million.`,
    };
  },
  (random, firm) => {
    const dividend = random.pick(amounts), month = random.pick(words.month);
    return {
      topic: "dividend",
      told: [
        `${firm} pays a dividend of ${dividend} in ${month}.`,
        `In ${month} it pays a dividend of ${dividend}.`,
      ],
      asked: [`What is the dividend of ${firm}?`, `What do we learn about the dividend of ${firm}?`],
      plain: `The dividend of ${firm} is ${dividend} in ${month}.`,
    };
  },
];

/** Three events of a firm. */
export function drawStory(random: Random): Story {
  const firm = random.pick(firms);
  const events = random.shuffle(makers).slice(0, 3).map((make) => make(random, firm));
  return { passage: events.map(({ told }) => random.pick(told)).join(" "), events };
}
