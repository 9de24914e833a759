// Worked calculations about people's money: interest, tax, fees, savings, currencies (see sums.ts).

import { percentOf, type SumKind, tens } from "./sums.ts";

const interest: SumKind[] = [
  {
    name: "yearly interest",
    about: "person",
    rule: "the interest for one year is the rate times the sum",
    wanted: "the interest for one year",
    draw(random, who) {
      const sum = 100 * random.int(1, 10), rate = random.int(1, 10);
      return {
        given: [
          `${who} put ${sum} dollars into an account that pays ${rate} percent a year`,
          `${who} borrowed ${sum} dollars at ${rate} percent a year`,
          `${who} holds a bond of ${sum} dollars with a coupon of ${rate} percent`,
        ],
        working: percentOf(rate, sum),
        result: `the interest for one year is ${(rate * sum) / 100} dollars`,
      };
    },
  },
  {
    name: "simple interest",
    about: "person",
    rule: "simple interest is the interest of one year times the number of years",
    wanted: "the simple interest",
    draw(random, who) {
      const sum = random.pick([100, 200, 500, 1000]),
        rate = random.int(2, 6),
        years = random.pick([2, 3, 4, 5, 10]);
      const yearly = (rate * sum) / 100;
      return {
        given: [
          `${who} lends ${sum} dollars for ${years} years at ${rate} percent simple interest`,
          `for ${years} years ${who} saves ${sum} dollars at ${rate} percent simple interest`,
          `${who} owes ${sum} dollars for ${years} years at ${rate} percent simple interest`,
        ],
        working: `${percentOf(rate, sum)}, and ${yearly} x ${years} = ${yearly * years}`,
        result: `the simple interest is ${yearly * years} dollars`,
      };
    },
  },
  {
    name: "compound interest",
    about: "person",
    rule: "with compound interest, the second year also pays interest on the interest of the first",
    wanted: "the sum after two years of compound interest",
    draw(random, who) {
      const rate = random.pick([10, 20, 50]), sum = 100 * random.int(1, 9);
      const first = sum + (sum * rate) / 100, second = first + (first * rate) / 100;
      return {
        given: [
          `${who} leaves ${sum} dollars for two years at ${rate} percent compound interest`,
          `for two years ${who} keeps ${sum} dollars in an account with ${rate} percent compound interest`,
          `${who} saves ${sum} dollars at ${rate} percent compound interest for two years`,
        ],
        working:
          `${percentOf(rate, sum)}, ${sum} + ${first - sum} = ${first}, ${percentOf(rate, first)}, and ` +
          `${first} + ${second - first} = ${second}`,
        result: `the sum after two years is ${second} dollars`,
      };
    },
  },
];

const spending: SumKind[] = [
  {
    name: "income tax",
    about: "person",
    rule: "what is left of a wage is the wage less the tax on it",
    wanted: "the wage after tax",
    draw(random, who) {
      const wage = 100 * random.int(2, 12),
        rate = random.pick([10, 20, 25, 30, 40]),
        tax = (rate * wage) / 100;
      return {
        given: [
          `${who} earns ${wage} dollars a month and pays ${rate} percent income tax`,
          `an income tax of ${rate} percent is taken from the wage of ${who}, which is ${wage} dollars`,
          `the wage of ${who} is ${wage} dollars before an income tax of ${rate} percent`,
        ],
        working: `${percentOf(rate, wage)}, and ${wage} - ${tax} = ${wage - tax}`,
        result: `the wage after tax is ${wage - tax} dollars`,
      };
    },
  },
  {
    name: "sales tax",
    about: "person",
    rule: "the full price is the price plus the sales tax on it",
    wanted: "the full price",
    draw(random, who) {
      const price = tens(random, 2, 30),
        rate = random.pick([5, 10, 20].filter((r) => (r * price) % 100 === 0));
      const tax = (rate * price) / 100;
      return {
        given: [
          `${who} buys a coat for ${price} dollars plus ${rate} percent sales tax`,
          `a lamp costs ${who} ${price} dollars before a sales tax of ${rate} percent`,
          `${who} pays a sales tax of ${rate} percent on shoes that cost ${price} dollars`,
        ],
        working: `${percentOf(rate, price)}, and ${price} + ${tax} = ${price + tax}`,
        result: `the full price is ${price + tax} dollars`,
      };
    },
  },
  {
    name: "fee",
    about: "person",
    rule: "the fee is the rate of the fee times the sum",
    wanted: "the yearly fee",
    draw(random, who) {
      const sum = 100 * random.int(1, 20), rate = random.int(1, 4);
      return {
        given: [
          `${who} holds ${sum} dollars in a fund that charges ${rate} percent a year`,
          `a fund takes a fee of ${rate} percent a year from the ${sum} dollars of ${who}`,
          `${who} pays a management fee of ${rate} percent on ${sum} dollars`,
        ],
        working: percentOf(rate, sum),
        result: `the yearly fee is ${(rate * sum) / 100} dollars`,
      };
    },
  },
  {
    name: "insurance payment",
    about: "person",
    rule: "the insurer pays the damage less the deductible",
    wanted: "the payment of the insurer",
    draw(random, who) {
      const paid = 100 * random.int(1, 15), deductible = 100 * random.int(1, 5), damage = paid + deductible;
      return {
        given: [
          `${who} has a damage of ${damage} dollars and a deductible of ${deductible} dollars`,
          `the cover of ${who} has a deductible of ${deductible} dollars, and the damage is ${damage} dollars`,
          `a storm did ${damage} dollars of damage to the roof of ${who}, whose deductible is ${deductible} dollars`,
        ],
        working: `${damage} - ${deductible} = ${paid}`,
        result: `the insurer pays ${paid} dollars`,
      };
    },
  },
];

const saving: SumKind[] = [
  {
    name: "yearly saving",
    about: "person",
    rule: "the saving of a year is twelve times the saving of a month",
    wanted: "the saving of a year",
    draw(random, who) {
      const month = random.chance(0.5) ? tens(random, 1, 12) : 5 * random.int(1, 9);
      return {
        given: [
          `${who} saves ${month} dollars a month`,
          `each month ${who} puts ${month} dollars aside`,
          `every month ${who} pays ${month} dollars into a fund`,
        ],
        working: `${month} x 12 = ${month * 12}`,
        result: `the saving of a year is ${month * 12} dollars`,
      };
    },
  },
  {
    name: "savings goal",
    about: "person",
    rule: "the number of months is the goal divided by the saving of a month",
    wanted: "the number of months",
    draw(random, who) {
      const month = tens(random, 2, 12), months = random.int(3, 12), goal = month * months;
      return {
        given: [
          `${who} wants to have ${goal} dollars and saves ${month} dollars a month`,
          `by saving ${month} dollars a month, ${who} hopes to reach ${goal} dollars`,
          `${who} needs ${goal} dollars for a trip and puts ${month} dollars aside each month`,
        ],
        working: `${goal} / ${month} = ${months}`,
        result: `the goal is reached in ${months} months`,
      };
    },
  },
  {
    name: "capital gain",
    about: "person",
    rule: "the capital gain is the gain on one share times the number of shares",
    wanted: "the capital gain",
    draw(random, who) {
      const count = random.pick([5, 10, 20, 50]), bought = 5 * random.int(1, 8), gain = random.int(1, 10);
      return {
        given: [
          `${who} bought ${count} shares at ${bought} dollars and sold them at ${bought + gain} dollars`,
          `${who} sold ${count} shares at ${bought + gain} dollars each after paying ${bought} dollars each`,
          `for ${count} shares ${who} paid ${bought} dollars each, and later received ${
            bought + gain
          } dollars each`,
        ],
        working: `${bought + gain} - ${bought} = ${gain}, and ${count} x ${gain} = ${count * gain}`,
        result: `the capital gain is ${count * gain} dollars`,
      };
    },
  },
  {
    name: "currency conversion",
    about: "person",
    rule: "the sum in the other currency is the amount times the exchange rate",
    wanted: "the sum in the other currency",
    draw(random, who) {
      const amount = tens(random, 1, 12), rate = random.int(2, 9);
      const [from, to] = random.pick([["pounds", "dollars"], ["euros", "crowns"], ["dollars", "pesos"]]);
      const one = from.slice(0, -1);
      return {
        given: [
          `${who} changes ${amount} ${from} at a rate of ${rate} ${to} for one ${one}`,
          `one ${one} costs ${rate} ${to}, and ${who} changes ${amount} ${from}`,
          `at ${rate} ${to} for each ${one}, ${who} changes ${amount} ${from}`,
        ],
        working: `${amount} x ${rate} = ${amount * rate}`,
        result: `the sum is ${amount * rate} ${to}`,
      };
    },
  },
  {
    name: "net worth",
    about: "person",
    rule: "net worth is all that a person owns less all that the person owes",
    wanted: "the net worth",
    draw(random, who) {
      const debts = tens(random, 1, 12), left = tens(random, 1, 12), owned = debts + left;
      return {
        given: [
          `${who} owns ${owned} thousand dollars and owes ${debts} thousand`,
          `${who} has debts of ${debts} thousand dollars and things worth ${owned} thousand`,
          `the house and savings of ${who} are worth ${owned} thousand dollars, with a loan of ${debts} thousand`,
        ],
        working: `${owned} - ${debts} = ${left}`,
        result: `the net worth is ${left} thousand dollars`,
      };
    },
  },
];

export const householdSums: readonly SumKind[] = [...interest, ...spending, ...saving];
