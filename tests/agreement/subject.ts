// A merged model of each family that knows two long answers by heart, and what a format has to do with it. What a model knows by
// heart it says without near-ties, so that four bits must say it too.
import { join } from "@std/path";
import {
  adamW,
  attachLoRA,
  batchOf,
  cosineSchedule,
  evaluateLoss,
  mergeAdapter,
  type Model,
  type Row,
  saveAdapter,
  saveModel,
  type TokenRow,
  trainEpoch,
} from "../../mod.ts";
import type { Family } from "./families.ts";

/** So many greedy tokens of each answer are compared; the last one is the end. */
export const TOKENS = 64;

/** Two, so that the question decides. */
const ANSWERS = 2;

/** A mean loss above this is no knowing by heart. */
const MOST_LOSS = 0.01;

/** What every format is given. */
export interface Subject {
  family: Family;
  /** Merged. */
  model: Model;
  /** Of the base and of the adapter before they were merged, for PEFT. */
  base: string;
  adapter: string;
  /** Token ids of the questions. */
  questions: number[][];
  /** The mean loss of an answer's token. */
  loss: number;
  /** Files go here. */
  folder: string;
}

/** A model in a format, and what it answered. */
export interface Line {
  family: string;
  format: string;
  /** What was wrong with it on purpose: then its answers must be others. */
  damage?: string;
  answers: number[][];
}

export async function makeSubject(family: Family, folder: string): Promise<Subject> {
  const plain = await family.base(), lessons = lessonsOf(family, plain);
  const [base, adapter] = ["base", "adapter"].map((name) => join(folder, name));
  await saveModel(plain, base);
  const start = plain.config.encoderDecoder?.decoderStartTokenId;
  const rows = lessons.map(({ question, answer }): TokenRow =>
    start === undefined
      ? { inputIds: [...question, ...answer], labels: [...question.map(() => -100), ...answer] }
      : { inputIds: question, labels: answer }
  );
  const layout = start === undefined ? "packed" : "padded";
  const batch = batchOf(rows, { layout, decoderStartTokenId: start });
  const tuned = attachLoRA(plain, { r: 8, alpha: 16, targetModules: "all-linear", quiet: true });
  const learningRate = cosineSchedule(1e-2, { warmup: 5, total: family.steps });
  const optimizer = adamW(tuned, { learningRate });
  await trainEpoch(tuned, Array(family.steps).fill(batch), { optimizer, quiet: true });
  optimizer.free();
  const loss = await evaluateLoss(tuned, [batch]);
  if (!(loss < MOST_LOSS)) {
    throw new Error(`${family.name} does not know its answers by heart: a loss of ${loss}.`);
  }
  await saveAdapter(tuned, adapter);
  const { model } = await mergeAdapter(tuned);
  return { family, model, base, adapter, questions: lessons.map(({ question }) => question), loss, folder };
}

/** Questions of the family's rows; each answer goes on with those of the next rows until it is long enough. */
function lessonsOf(family: Family, model: Model): { question: number[]; answer: number[] }[] {
  const prompt = family.prompt(model), tokenizer = model.tokenizer!, rows = family.rows() as Row[];
  const special = new Set(tokenizer.specialIds);
  return Array.from({ length: ANSWERS }, () => {
    const question = tokenizer.encode(prompt.question(rows[0])), answer: number[] = [];
    while (answer.length < TOKENS - 1) {
      const text = prompt.answer(rows.shift()!).trimStart();
      answer.push(...tokenizer.encode(text, { addSpecialTokens: false }).filter((id) => !special.has(id)));
    }
    return { question, answer: [...answer.slice(0, TOKENS - 1), tokenizer.eosId!] };
  });
}
