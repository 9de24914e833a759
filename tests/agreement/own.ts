// This library's own greedy answers from the merged model.
import { generate } from "../../mod.ts";
import type { Line, Subject } from "./subject.ts";

export async function own(subjects: readonly Subject[]): Promise<Line[]> {
  const lines: Line[] = [];
  for (const { family, model, prompts } of subjects) {
    const answers: number[][] = [];
    for (const { ids, count } of prompts) {
      answers.push(await generate(model, ids, { maxNewTokens: count, doSample: false }));
    }
    lines.push({ family: family.name, format: "fintune", exact: true, answers });
  }
  return lines;
}
