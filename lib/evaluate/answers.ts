// A model's answers to all questions: in batches of similar length, each saved as soon as it is there.
import { generate, type GenerateOptions } from "../generate/generate.ts";
import type { Model } from "../models/model.ts";
import type { ProgressLine } from "../report/progress.ts";
import type { Predictions } from "./predictions.ts";

/** What is asked. */
export interface Asking {
  readonly questions: readonly string[];
  readonly options: GenerateOptions;
  /** Where answers are kept, and found. */
  readonly kept: Predictions;
  readonly progress: ProgressLine;
}

/**
 * Answers what is not answered yet; the longest questions come first, so that what does not fit into memory shows at once.
 *
 * @returns all answers, in the order of the questions
 */
export async function answerAll(
  model: Model,
  { questions, options, kept, progress }: Asking,
): Promise<string[]> {
  const { batchSize = 8, signal } = options;
  const left = questions.map((_, row) => row).filter((row) => !kept.answers.has(row));
  const tokens = new Map(left.map((row) => [row, model.tokenizer?.encode(questions[row]).length ?? 0]));
  left.sort((a, b) => tokens.get(b)! - tokens.get(a)! || a - b);
  for (let start = 0; start < left.length; start += batchSize) {
    signal?.throwIfAborted();
    const batch = left.slice(start, start + batchSize);
    const texts = await generate(model, batch.map((row) => questions[row]), { ...options, streamIds: batch });
    signal?.throwIfAborted(); // answers that it cut short are not the model's
    kept.add(batch.map((row, i) => [row, texts[i]]));
    progress.update({ step: kept.answers.size });
  }
  return questions.map((_, row) => kept.answers.get(row)!);
}
