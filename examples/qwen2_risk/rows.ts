// The fine-tuning task: a note, and the JSON with its thinking that the document's teacher writes. The test asks about
// subjects, firms and notes that no training row has.

import { UserError } from "@fintune/fintune";
import { drawFrom, type Random } from "../tiny/random.ts";
import { type Case, drawCase, happening, noteOf } from "./cases.ts";
import { splitEvents } from "./events.ts";

/** The repository's instruction. */
export const instruction = "分析金融文本风险，输出JSON。";

/** What an answer has to be. */
export const riskSchema = {
  type: "object",
  required: ["entity", "sentiment", "risk", "reasoning"],
  additionalProperties: false,
  properties: {
    entity: { type: "string", minLength: 1 },
    sentiment: { enum: ["Positive", "Negative", "Neutral"] },
    risk: { enum: ["High", "Medium", "Low", "None"] }, // the repository has None beside the document's three
    reasoning: { type: "string", minLength: 1 },
  },
};

/** A row in Alpaca's shape. */
export interface RiskRow {
  instruction: string;
  input: string;
  output: string;
}

const levels = { High: "高", Medium: "中", Low: "低" } as const;
const tones = { Positive: "利好", Negative: "利空", Neutral: "中性" } as const;

/** The thinking names who, what, why, and what decides the risk; the JSON says what comes of it. */
export function answerOf(one: Case): string {
  const { firm, event: { subject, verb, link, result, sentiment }, degree, state, risk } = one;
  const weights = [degree && `变动是${degree}`, state].filter(Boolean).map((part) => `${part}，`).join("");
  const thinking = `说的是${firm}。${happening(one)}，使${link}，${result}，属于${
    tones[sentiment]
  }。${weights}风险${levels[risk]}。`;
  const value = { entity: firm, sentiment, risk, reasoning: `${subject}${verb}使${link}，${result}。` };
  return `<thinking>\n${thinking}\n</thinking>\n${JSON.stringify(value)}`;
}

function drawRows(random: Random, count: number, draw: () => Case, taken: Set<string>): RiskRow[] {
  const rows: RiskRow[] = [];
  for (let attempt = 0; rows.length < count; attempt++) {
    if (attempt > 100 * count) throw new UserError(`There are not ${count} different notes: ask for fewer.`);
    const one = draw();
    if (taken.has(one.firm)) continue; // each firm once
    taken.add(one.firm);
    rows.push({ instruction, input: noteOf(random, one), output: answerOf(one) });
  }
  return rows;
}

/** Rows for training and for the test; `seed` decides all. */
export function riskRows(
  options: { train: number; test: number; seed: number },
): { train: RiskRow[]; test: RiskRow[] } {
  const random = drawFrom(options.seed), events = splitEvents(), firms = new Set<string>();
  const train = drawRows(random, options.train, () => drawCase(random, events.train), firms);
  return { train, test: drawRows(random, options.test, () => drawCase(random, events.test), firms) };
}

/** The same notes with the answers dealt out at random: what can be learnt from them is the form alone. */
export function shuffleAnswers<T extends { output: string }>(rows: readonly T[], seed: number): T[] {
  const outputs = drawFrom(seed).shuffle(rows.map((row) => row.output));
  return rows.map((row, i) => ({ ...row, output: outputs[i] }));
}
