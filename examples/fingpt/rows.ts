// Rows of sentiment sets as FinGPT has them (instruction, input, output), from the shapes that they are handed on in.

import { Dataset, findLabel, loadDataset, type Row, UserError } from "@fintune/fintune";
import { drawFrom } from "../tiny/random.ts";
import { type Sentiment, sentiments } from "./figures.ts";

/** One line of a sentiment set. */
export interface SentimentRow {
  instruction: string;
  input: string;
  output: Sentiment;
  /** The set that it belongs to. */
  source: string;
}

/** The question of FinGPT's instruction sets. */
export function instructionOf(what: "news" | "tweet"): string {
  return `What is the sentiment of this ${what}? Please choose an answer from {${sentiments.join("/")}}.`;
}

// FinGPT's files for tests hold the whole prompt in one field.
const CONTEXT = /^Instruction: (.*?)\nInput: (.*)\nAnswer: ?$/s;

/** A row of instruction/input/output, of FinGPT's context/target, or of a text with its label. */
function sentimentOf(row: Row, source: string): SentimentRow {
  const [, instruction, input] = CONTEXT.exec(row.context ?? "") ?? [];
  const text = input ?? row.input ?? row.news ?? row.text ?? row.sentence;
  const answer = row.output ?? row.target ?? row.label ?? row.sentiment;
  const output = findLabel(String(answer), sentiments);
  if (typeof text === "string" && output) {
    const asked = instruction ?? row.instruction ??
      instructionOf(source.startsWith("tfns") ? "tweet" : "news");
    return { instruction: asked, input: text, output: output as Sentiment, source };
  }
  throw new UserError(
    `${source} has a row that is no headline with one of ${sentiments.join(", ")}: ${
      JSON.stringify(row).slice(0, 200)
    }. Labels that are numbers are named with rows.map(...).`,
  );
}

/** The sets, each by its file's name; several names are joined by commas. */
export async function loadSentiments(names: string): Promise<Dataset<SentimentRow>[]> {
  return await Promise.all(
    names.split(",").map(async (name) => {
      const source = name.split(/[\\/]/).at(-1)!.replace(/(_test)?\.\w+$/, "");
      const rows = (await loadDataset(name)).toArray().map((row) => sentimentOf(row, source));
      return new Dataset(rows, source).dedupe("input");
    }),
  );
}

/** The same rows with their outputs dealt out at random. */
export function shuffleOutputs<T extends { output: string }>(rows: readonly T[], seed: number): T[] {
  const outputs = drawFrom(seed).shuffle(rows.map(({ output }) => output));
  return rows.map((row, i) => ({ ...row, output: outputs[i] }));
}
