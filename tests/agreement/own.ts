// This library's own greedy answers from the merged model.
import { generate } from "../../mod.ts";
import { type Line, type Subject, TOKENS } from "./subject.ts";

export async function own(subjects: readonly Subject[]): Promise<Line[]> {
  const lines: Line[] = [];
  for (const { family, model, questions } of subjects) {
    const answers = await generate(model, questions, { maxNewTokens: TOKENS, doSample: false });
    lines.push({ family: family.name, format: "fintune", answers });
  }
  return lines;
}
