// What a run may spend: set aside before a question, settled after its answer.

import { UserError } from "../errors.ts";
import { formatNumber } from "../report/format.ts";
import type { Message } from "../text/chat_template.ts";
import type { Completion } from "./stream.ts";

/** What may be spent. */
export interface Budget {
  /** Tokens in and out. */
  tokens?: number;
  /** Money, in the currency of the price. */
  cost?: number;
}

/** Prices as services list them: for a million tokens. */
export interface Price {
  /** Of the question. */
  input: number;
  /** Of the answer, thinking included. */
  output: number;
}

/** Keeps count. */
export interface Purse {
  /** Sets aside what a question may come to at most; false when that is not left. */
  reserve(messages: readonly Message[], maxTokens: number): boolean;
  /** Gives back what was set aside and counts what it came to: nothing where the endpoint took no question. */
  pay(messages: readonly Message[], maxTokens: number, answer: Completion): void;
  /** So far. */
  spent(): { tokens: { input: number; output: number }; cost: number };
  /** "1,234 tokens, cost 0.0123". */
  toString(): string;
}

/** Opens a purse for one run. */
export function openPurse(budget: Budget = {}, price?: Price): Purse {
  check(budget, price);
  const used = { input: 0, output: 0 }, held = { input: 0, output: 0 };
  const { tokens: mostTokens = Infinity, cost: mostCost = Infinity } = budget;
  const costOf = (input: number, output: number) =>
    price ? (input * price.input + output * price.output) / 1e6 : 0;
  const beyond = (input: number, output: number) =>
    input + output > mostTokens || costOf(input, output) > mostCost;
  const move = (messages: readonly Message[], maxTokens: number, sign: 1 | -1) => {
    held.input += sign * inputOf(messages);
    held.output += sign * maxTokens;
  };
  return {
    reserve(messages, maxTokens) {
      move(messages, maxTokens, 1);
      if (!beyond(used.input + held.input, used.output + held.output)) return true;
      move(messages, maxTokens, -1);
      return false;
    },
    pay(messages, maxTokens, answer) {
      move(messages, maxTokens, -1);
      if (!answer.begun) return;
      used.input += answer.usage?.input ?? inputOf(messages);
      used.output += answer.usage?.output ?? estimate(answer.text + answer.thinking);
    },
    spent: () => ({ tokens: { ...used }, cost: costOf(used.input, used.output) }),
    toString() {
      const cost = price ? `, cost ${costOf(used.input, used.output).toFixed(4)}` : "";
      // Only where the endpoint gives more than maxTokens, or counts more than a token for two bytes.
      const over = beyond(used.input, used.output) ? " (beyond the budget by what was on its way)" : "";
      return `${formatNumber(used.input + used.output)} tokens${cost}${over}`;
    },
  };
}

// Half the bytes: above what tokenizers make of English (a quarter) and of Chinese (about a third).
const estimate = (text: string) => Math.ceil(new TextEncoder().encode(text).length / 2);

const MARKS = 8; // tokens that a chat template puts around a message
const inputOf = (messages: readonly Message[]) =>
  messages.reduce((sum, message) => sum + estimate(JSON.stringify(message)) + MARKS, 0);

function check(budget: Budget, price?: Price): void {
  const numbers = {
    "budget.tokens": budget.tokens,
    "budget.cost": budget.cost,
    "price.input": price?.input,
    "price.output": price?.output,
  };
  for (const [name, value] of Object.entries(numbers)) {
    if (value !== undefined && !(value >= 0)) {
      throw new UserError(`${name} is ${value}: give a number, 0 or more.`);
    }
  }
  if (price && (price.input === undefined || price.output === undefined)) {
    throw new UserError("the price needs both: { input, output } for a million tokens.");
  }
  if (budget.cost !== undefined && !price) {
    throw new UserError("budget.cost needs the price: { input, output } for a million tokens.");
  }
}
