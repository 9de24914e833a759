// The worked calculations: what is given, the working with right numbers, the result, and the rule behind it.
// Numbers stay small, so that a tiny model can learn the tables they need.

import type { Random } from "./random.ts";

/** One calculation with its numbers drawn. Sentences are clauses without capital and full stop. */
export interface Sum {
  /** Wordings of what is given; they name `who`. */
  given: string[];
  /** The steps, as equations: "80 - 60 = 20, and 20 / 80 = 25 percent". */
  working: string;
  /** "the gross margin is 25 percent" */
  result: string;
}

/** A kind of calculation. */
export interface SumKind {
  name: string;
  /** "firm" or "person": who the numbers belong to. */
  about: "firm" | "person";
  rule: string;
  /** What a question asks for: "the gross margin". */
  wanted: string;
  draw(random: Random, who: string): Sum;
}

const tens = (random: Random, low: number, high: number) => 10 * random.int(low, high);
const percentOf = (percent: number, sum: number) =>
  `${percent} percent of ${sum} is ${(percent * sum) / 100}`;
const shareCounts = [10, 20, 50, 100];

const ratios: SumKind[] = [
  {
    name: "price-earnings ratio",
    about: "firm",
    rule: "the price-earnings ratio is the price of a share divided by the earnings per share",
    wanted: "the price-earnings ratio",
    draw(random, who) {
      const earnings = random.int(2, 6), ratio = random.int(4, 12), price = earnings * ratio;
      return {
        given: [
          `a share of ${who} costs ${price} dollars and earns ${earnings} dollars`,
          `${who} earns ${earnings} dollars a share, and its share trades at ${price} dollars`,
          `the share of ${who} stands at ${price} dollars with earnings per share of ${earnings} dollars`,
        ],
        working: `${price} / ${earnings} = ${ratio}`,
        result: `the price-earnings ratio is ${ratio}`,
      };
    },
  },
  {
    name: "dividend yield",
    about: "firm",
    rule: "the dividend yield is the yearly dividend divided by the price of the share",
    wanted: "the dividend yield",
    draw(random, who) {
      const price = random.pick([20, 25, 40, 50, 80, 100, 200]);
      const choices = [1, 2, 3, 4, 5, 6, 8, 10, 12].filter((y) => (y * price) % 100 === 0);
      const percent = random.pick(choices), dividend = (percent * price) / 100;
      return {
        given: [
          `a share of ${who} costs ${price} dollars and pays a dividend of ${dividend} dollars a year`,
          `${who} pays ${dividend} dollars a year on a share that trades at ${price} dollars`,
          `the yearly dividend of ${who} is ${dividend} dollars, and the share stands at ${price} dollars`,
        ],
        working: `${dividend} / ${price} = ${percent} percent`,
        result: `the dividend yield is ${percent} percent`,
      };
    },
  },
  {
    name: "current ratio",
    about: "firm",
    rule: "the current ratio is current assets divided by current debts",
    wanted: "the current ratio",
    draw(random, who) {
      const debts = tens(random, 1, 9), ratio = random.int(1, 5), assets = debts * ratio;
      return {
        given: [
          `${who} has current assets of ${assets} and current debts of ${debts} million dollars`,
          `the current debts of ${who} are ${debts} million dollars against current assets of ${assets} million`,
          `${who} holds current assets worth ${assets} million dollars and owes ${debts} million within a year`,
        ],
        working: `${assets} / ${debts} = ${ratio}`,
        result: `the current ratio is ${ratio}`,
      };
    },
  },
  {
    name: "debt-to-equity ratio",
    about: "firm",
    rule: "the debt-to-equity ratio is total debt divided by equity",
    wanted: "the debt-to-equity ratio",
    draw(random, who) {
      const equity = tens(random, 1, 9), ratio = random.int(1, 5), debt = equity * ratio;
      return {
        given: [
          `${who} has debts of ${debt} and equity of ${equity} million dollars`,
          `the owners of ${who} hold equity of ${equity} million dollars beside debts of ${debt} million`,
          `${who} owes ${debt} million dollars in all, with equity of ${equity} million`,
        ],
        working: `${debt} / ${equity} = ${ratio}`,
        result: `the debt-to-equity ratio is ${ratio}`,
      };
    },
  },
  {
    name: "earnings per share",
    about: "firm",
    rule: "earnings per share are the profit divided by the number of shares",
    wanted: "the earnings per share",
    draw(random, who) {
      const shares = random.pick(shareCounts), earnings = random.int(1, 12), profit = shares * earnings;
      return {
        given: [
          `${who} earned ${profit} million dollars and has ${shares} million shares`,
          `the profit of ${who} was ${profit} million dollars, split among ${shares} million shares`,
          `${who} has ${shares} million shares and made a profit of ${profit} million dollars`,
        ],
        working: `${profit} / ${shares} = ${earnings}`,
        result: `the earnings per share are ${earnings} dollars`,
      };
    },
  },
  {
    name: "gross margin",
    about: "firm",
    rule: "the gross margin is sales less the cost of goods, divided by sales",
    wanted: "the gross margin",
    draw(random, who) {
      const sales = random.pick([20, 40, 50, 80, 100, 200]);
      const percent = random.pick([10, 20, 25, 30, 40, 50, 60, 75].filter((p) => (p * sales) % 100 === 0));
      const left = (percent * sales) / 100, cost = sales - left;
      return {
        given: [
          `${who} sold goods for ${sales} million dollars that cost ${cost} million to make`,
          `the sales of ${who} were ${sales} million dollars, and its goods cost ${cost} million`,
          `making goods cost ${who} ${cost} million dollars, and it sold them for ${sales} million`,
        ],
        working: `${sales} - ${cost} = ${left}, and ${left} / ${sales} = ${percent} percent`,
        result: `the gross margin is ${percent} percent`,
      };
    },
  },
];

const business: SumKind[] = [
  {
    name: "profit",
    about: "firm",
    rule: "the profit is what remains of sales after all costs",
    wanted: "the profit",
    draw(random, who) {
      const profit = 5 * random.int(1, 8), costs = tens(random, 2, 12), sales = costs + profit;
      return {
        given: [
          `${who} had sales of ${sales} and costs of ${costs} million dollars`,
          `the costs of ${who} came to ${costs} million dollars on sales of ${sales} million`,
          `${who} sold for ${sales} million dollars and spent ${costs} million`,
        ],
        working: `${sales} - ${costs} = ${profit}`,
        result: `the profit is ${profit} million dollars`,
      };
    },
  },
  {
    name: "market capitalisation",
    about: "firm",
    rule: "the market capitalisation is the price of one share times the number of shares",
    wanted: "the market capitalisation",
    draw(random, who) {
      const shares = random.pick(shareCounts), price = random.int(2, 12);
      return {
        given: [
          `${who} has ${shares} million shares that trade at ${price} dollars each`,
          `a share of ${who} costs ${price} dollars, and there are ${shares} million of them`,
          `at ${price} dollars a share, ${who} has ${shares} million shares`,
        ],
        working: `${price} x ${shares} = ${price * shares}`,
        result: `the market capitalisation is ${price * shares} million dollars`,
      };
    },
  },
  {
    name: "break-even point",
    about: "firm",
    rule: "the break-even point is the fixed cost divided by what each piece brings above its own cost",
    wanted: "the break-even point",
    draw(random, who) {
      const left = random.pick([2, 4, 5, 10]), cost = random.int(1, 9), price = cost + left;
      const pieces = tens(random, 1, 12), fixed = left * pieces;
      return {
        given: [
          `${who} has fixed costs of ${fixed} dollars and sells at ${price} dollars a piece that costs ${cost}`,
          `each piece costs ${who} ${cost} dollars, sells for ${price}, and must cover fixed costs of ${fixed} dollars`,
          `${who} pays rent of ${fixed} dollars and sells pieces for ${price} dollars that cost ${cost} each`,
        ],
        working: `${price} - ${cost} = ${left}, and ${fixed} / ${left} = ${pieces}`,
        result: `the break-even point is ${pieces} pieces`,
      };
    },
  },
  {
    name: "percent change",
    about: "firm",
    rule: "the percent change is the difference divided by the old value",
    wanted: "the percent change",
    draw(random, who) {
      const old = random.pick([20, 40, 50, 60, 80, 100, 200]);
      const percent = random.pick([5, 10, 15, 20, 25, 30, 40, 50].filter((p) => (p * old) % 100 === 0));
      const change = (percent * old) / 100, up = random.chance(0.5), now = up ? old + change : old - change;
      const moved = up ? "rose" : "fell";
      return {
        given: [
          `the share of ${who} ${moved} from ${old} to ${now} dollars`,
          `sales of ${who} ${moved} from ${old} million to ${now} million dollars`,
          `the price of a share of ${who} was ${old} dollars and is now ${now} dollars`,
        ],
        working: `${
          up ? `${now} - ${old}` : `${old} - ${now}`
        } = ${change}, and ${change} / ${old} = ${percent} percent`,
        result: `the percent change is ${percent} percent ${up ? "up" : "down"}`,
      };
    },
  },
];

export const businessSums: readonly SumKind[] = [...ratios, ...business];

export { percentOf, tens };
