// A trained and merged model of each family, the prompts that it is asked, and what a format has to do with them.
import { join } from "@std/path";
import {
  adamW,
  attachLoRA,
  cosineSchedule,
  Dataset,
  generate,
  mergeAdapter,
  type Model,
  packBatches,
  type Row,
  saveAdapter,
  saveModel,
  trainEpoch,
} from "../../mod.ts";
import type { Family } from "./families.ts";

/** So many greedy tokens of every family are compared. */
export const TOKENS = 64;

/** What every format is given. */
export interface Subject {
  family: Family;
  /** Merged. */
  model: Model;
  /** Of the base and of the adapter before they were merged, for PEFT. */
  base: string;
  adapter: string;
  /** Its answer's first `count` tokens are compared (an end ends it); all counts make TOKENS. */
  prompts: { ids: number[]; count: number }[];
  /** Files go here. */
  folder: string;
}

/** A model in a format, and what it answered. */
export interface Line {
  family: string;
  format: string;
  /** Whether every token has to be the same, or the weights have fewer bits than that needs. */
  exact: boolean;
  answers: number[][];
}

export async function makeSubject(family: Family, folder: string): Promise<Subject> {
  const plain = await family.base(), prompt = family.prompt(plain), { train, test } = family.rows();
  const layout = { tokenizer: plain.tokenizer, prompt, maxLength: 256, batchSize: 8, completionOnly: true };
  const batches = packBatches(new Dataset(train as Row[], `rows for ${family.name}`), layout);
  const tune = async (model: Model, rate: number, maxSteps: number) => {
    const optimizer = adamW(model, { learningRate: cosineSchedule(rate, { warmup: 4, total: maxSteps }) });
    for (let seed = 0; optimizer.steps < maxSteps; seed++) {
      await trainEpoch(model, batches, {
        optimizer,
        seed,
        maxSteps: maxSteps - optimizer.steps,
        quiet: true,
      });
    }
    optimizer.free();
  };
  if (family.pretrainSteps) await tune(plain, 2e-3, family.pretrainSteps);
  const [base, adapter] = ["base", "adapter"].map((name) => join(folder, name));
  await saveModel(plain, base);
  const tuned = attachLoRA(plain, { r: 8, alpha: 16, targetModules: "all-linear", quiet: true });
  await tune(tuned, 3e-3, 32);
  await saveAdapter(tuned, adapter);
  const { model } = await mergeAdapter(tuned);
  const questions = (test as Row[]).map((row) => model.tokenizer!.encode(prompt.question(row)));
  return { family, model, base, adapter, prompts: await enough(model, questions), folder };
}

/** As many prompts as it takes until their answers have so many tokens. */
async function enough(model: Model, questions: number[][]): Promise<Subject["prompts"]> {
  const prompts: Subject["prompts"] = [];
  let missing = TOKENS;
  for (const ids of questions) {
    if (missing === 0) break;
    const count = (await generate(model, ids, { maxNewTokens: missing, doSample: false })).length;
    prompts.push({ ids, count });
    missing -= count;
  }
  if (missing > 0) throw new Error(`Too few rows: ${missing} tokens are missing.`);
  return prompts;
}
