// Models side by side on the same rows: every question is answered once, and all scores look at the same answers.
import { join } from "@std/path";
import { checkRows } from "../arguments.ts";
import { detectPrompt } from "../data/detect.ts";
import type { Prompt } from "../data/prompt.ts";
import { atRow, checkRow, type Row } from "../data/row.ts";
import { UserError } from "../errors.ts";
import type { GenerateOptions } from "../generate/generate.ts";
import type { Model } from "../models/model.ts";
import { progressLine } from "../report/progress.ts";
import { show } from "../report/show.ts";
import { answerAll } from "./answers.ts";
import { type BootstrapOptions, checkDraws } from "./bootstrap.ts";
import { measuredScore, modelsOf } from "./compare.ts";
import { type Evaluated, type EvaluatedRow, evaluationTable, type MeasuredScore } from "./evaluation.ts";
import { answersFingerprint } from "./fingerprint.ts";
import { makeFolder, writeEvaluation } from "./folder.ts";
import { checkedTexts, lossOnTexts } from "./forgetting.ts";
import { openPredictions } from "./predictions.ts";
import { type Answer, checkMeasure, type Measure, type Score } from "./score.ts";

/** Options of {@linkcode evaluate}: how is generated, besides. */
export interface EvaluateOptions extends Omit<GenerateOptions, "streamIds">, Omit<BootstrapOptions, "seed"> {
  /** How a row is asked. Default: what {@linkcode detectPrompt} chooses. */
  prompt?: Prompt;
  /** What a row's answer should be. Default: the prompt's answer, up to the token that ends a turn. */
  reference?: (row: Row) => string;
  /** Texts on which forgetting is measured ({@linkcode forgetting}); default: it is not. */
  general?: Iterable<string>;
  /**
   * A folder (made where missing). Answers are saved there as they come, in a file for each model, and not generated again
   * by an evaluation that goes on; at its end come scores.md, scores.csv, scores.svg, scores.json and answers.jsonl.
   */
  out?: string;
  /** No progress line, and the table is not printed. */
  quiet?: boolean;
}

/** What {@linkcode evaluate} gives. */
export interface EvaluationReport extends Evaluated {
  /** The table. */
  toString(): string;
}

/**
 * Compares models on rows: generates once for all scores, in batches of similar length, and measures each score with its
 * bootstrap interval, and the change against the first model with its own (pairs of rows stay together). A model with an
 * adapter is compared with its base ("base" and "tuned", over the same weights); several are given by their names.
 * The same seed gives the same answers whatever the batch, and the same intervals.
 *
 * @param model a model, or several by the names that tables show; the first is what others are held against
 * @param rows rows that the prompt fits
 * @param scores such as {@linkcode byRouge}, {@linkcode byLabels}, or your own ({@linkcode rowScore})
 * @param options see {@linkcode EvaluateOptions}
 * @throws UserError for no rows or scores, a row without a question, a score that gives no number, or a folder with the
 *   answers of another model, of other rows or settings, or with a damaged file; the reason of `signal` where it ends the work
 *
 * @example
 * ```ts
 * import { attachLoRA, byRouge, evaluate, financeQA, loadModel } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const model = attachLoRA(await loadModel("examples/tiny/model"), { r: 2, quiet: true }); // and train it
 * const rows = [{ instruction: "What is a bond?", output: "A loan." }];
 * const report = await evaluate(model, rows, [byRouge()], { prompt: financeQA, maxNewTokens: 4, quiet: true });
 * assert.deepEqual(report.models, ["base", "tuned"]);
 * console.log(String(report));
 * ```
 */
export async function evaluate(
  model: Model | Readonly<Record<string, Model>>,
  rows: Iterable<Row>,
  scores: readonly Score[],
  options: EvaluateOptions = {},
): Promise<EvaluationReport> {
  checkRows("evaluate", rows);
  const models = modelsOf("evaluate", model), list = [...rows];
  checkAsked(models, list, scores);
  checkDraws(options);
  const general = options.general === undefined ? undefined : checkedTexts(options.general);
  const asked = askedOf(list, [...models.values()][0], options);
  for (const score of scores) await score.check?.(asked);
  if (options.out !== undefined) await makeFolder(options.out);
  const answers = new Map<string, Answer[]>(), measures = new Map<string, Measure[]>();
  for (const [name, one] of models) {
    answers.set(name, await answersOf(name, one, asked, options));
    measures.set(name, await measuresOf(one, answers.get(name)!, scores, options.signal));
  }
  const { resamples = 1000, confidence = 0.95, seed } = options, intervals = { resamples, confidence, seed };
  const evaluated: Evaluated = {
    models: [...models.keys()],
    rows: list.length,
    resamples,
    confidence,
    measures: [
      ...sideBySide(measures, intervals),
      ...general === undefined ? [] : [await lossOnTexts(models, general, { ...options, ...intervals })],
    ],
    answers: rowsOf(asked, answers, measures),
  };
  if (options.out !== undefined) await writeEvaluation(options.out, evaluated);
  if (!options.quiet) await show(evaluationTable(evaluated));
  return Object.defineProperty(evaluated, "toString", {
    value: () => evaluationTable(evaluated),
    enumerable: false,
  });
}

function checkAsked(models: Map<string, Model>, rows: readonly Row[], scores: readonly Score[]): void {
  for (const name of models.keys()) {
    if (
      /^[\p{L}\p{N}][\p{L}\p{N} _.+=-]*$/u.test(name) && !["answers", "scores"].includes(name) &&
      !(name in {})
    ) {
      continue; // what every object has is no name for the charts' library
    }
    throw new UserError(
      `evaluate: ${
        JSON.stringify(name)
      } cannot name a model, as files are named by it: use letters, numbers, spaces and _.+=-`,
    );
  }
  if (rows.length === 0) {
    throw new UserError("evaluate: the dataset has no rows, there is nothing to answer.");
  }
  rows.forEach((row, i) => checkRow(row, `evaluate: row ${i}`));
  if (!Array.isArray(scores) || scores.length === 0) {
    throw new UserError("evaluate needs at least one score, such as byRouge().");
  }
  const odd = scores.findIndex((score) => typeof score?.measure !== "function");
  if (odd >= 0) {
    throw new UserError(`evaluate: scores[${odd}] is no score: call what makes it, as in byRouge().`);
  }
}

/** Questions and expected answers; the prediction is still to come. */
function askedOf(rows: readonly Row[], { tokenizer }: Model, options: EvaluateOptions): Answer[] {
  const prompt = options.prompt ?? detectPrompt(rows, tokenizer);
  const expected = options.reference ?? ((row) => prompt.answer(row).split(prompt.turnEnd || "\0")[0]);
  return rows.map((row, index) =>
    atRow("evaluate", index, () => {
      const question = prompt.question(row);
      if (question === "") throw new UserError(`the prompt ${prompt.name} has no question for it.`);
      return { row, index, question, prediction: "", reference: expected(row).trim() };
    })
  );
}

async function answersOf(
  name: string,
  model: Model,
  asked: readonly Answer[],
  options: EvaluateOptions,
): Promise<Answer[]> {
  const questions = asked.map(({ question }) => question);
  const path = options.out === undefined ? undefined : join(options.out, `${name}.jsonl`);
  using kept = await openPredictions(path, await answersFingerprint(model, questions, options), asked.length);
  const progress = progressLine({ total: asked.length, label: `answers of ${name}`, quiet: options.quiet });
  try {
    const texts = await answerAll(model, { questions, options, kept, progress });
    return asked.map((answer, i) => ({ ...answer, prediction: texts[i].trim() }));
  } finally {
    progress.finish();
  }
}

async function measuresOf(
  model: Model,
  answers: readonly Answer[],
  scores: readonly Score[],
  signal?: AbortSignal,
): Promise<Measure[]> {
  const all: Measure[] = [];
  for (const score of scores) {
    signal?.throwIfAborted();
    for (const measure of await score.measure(answers, { model, signal })) {
      checkMeasure(score, measure, answers.length);
      if (all.some(({ name }) => name === measure.name)) {
        throw new UserError(`Two scores give a "${measure.name}": name them apart, or leave one away.`);
      }
      all.push(measure);
    }
  }
  return all;
}

/** Each measure of all models, with intervals. */
function sideBySide(measures: Map<string, Measure[]>, options: BootstrapOptions): MeasuredScore[] {
  const models = [...measures.keys()];
  return measures.get(models[0])!.map((first) => {
    const ofAll = models.map((model) => measures.get(model)!.find(({ name }) => name === first.name));
    const missing = models.find((_, m) => ofAll[m] === undefined);
    if (missing) throw new UserError(`There is a "${first.name}" of ${models[0]}, but none of ${missing}.`);
    return measuredScore(models, ofAll as Measure[], options);
  });
}

function rowsOf(
  asked: readonly Answer[],
  answers: Map<string, Answer[]>,
  measures: Map<string, Measure[]>,
): EvaluatedRow[] {
  const models = [...answers.keys()];
  const names = measures.get(models[0])!.filter(({ rows }) => rows).map(({ name }) => name);
  return asked.map(({ index, question, reference }, i) => ({
    index,
    question,
    reference,
    predictions: Object.fromEntries(models.map((model) => [model, answers.get(model)![i].prediction])),
    values: Object.fromEntries(names.flatMap((name) => {
      const values = models.flatMap((model) => {
        const value = measures.get(model)!.find((measure) => measure.name === name)?.rows?.[i];
        return value === undefined ? [] : [[model, value] as const];
      });
      return values.length > 0 ? [[name, Object.fromEntries(values)] as const] : [];
    })),
  }));
}
