// An evaluation's folder: what people and other programs read of it, and what a report is made of.
import { join } from "@std/path";
import { isObject, type Row } from "../data/row.ts";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { fileError } from "../formats/file_error.ts";
import { saveChart } from "../report/render.ts";
import { evaluationChart } from "./chart.ts";
import { type Evaluated, type EvaluatedRow, evaluationCSV, evaluationTable } from "./evaluation.ts";
import { sideBySide } from "./samples.ts";

/** Writes scores.md, scores.csv, scores.svg, answers.jsonl and scores.json; what is there is replaced. */
export async function writeEvaluation(folder: string, evaluated: Evaluated): Promise<void> {
  const { answers, ...scores } = evaluated;
  await makeFolder(folder);
  const text = `${evaluationTable(evaluated)}\n\n${sideBySide(evaluated)}`.trimEnd() + "\n";
  await writeFileAtomic(join(folder, "scores.md"), text);
  await writeFileAtomic(join(folder, "scores.csv"), evaluationCSV(evaluated));
  if (scores.measures.some(({ lowerIsBetter }) => !lowerIsBetter)) {
    await saveChart(evaluationChart(evaluated), join(folder, "scores.svg"));
  }
  await writeFileAtomic(
    join(folder, "answers.jsonl"),
    answers.map((row) => JSON.stringify(row) + "\n").join(""),
  );
  await writeFileAtomic(join(folder, "scores.json"), JSON.stringify(scores, null, 2) + "\n");
}

/** Makes a folder where there is none yet. */
export async function makeFolder(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true }).catch((error) => {
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new UserError(`${path} is a file where a folder is expected.`);
    }
    throw fileError(error, path, "write");
  });
}

/**
 * Reads what {@linkcode evaluate} wrote into its folder.
 *
 * @param folder the `out` of evaluate
 * @throws UserError where a file is missing or damaged
 *
 * @example
 * ```ts
 * import { byExactMatch, evaluate, financeQA, loadModel, readEvaluation } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const model = await loadModel("examples/tiny/model"), out = await Deno.makeTempDir();
 * const rows = [{ instruction: "What is a bond?", output: "A loan." }];
 * await evaluate(model, rows, [byExactMatch()], { prompt: financeQA, maxNewTokens: 2, out, quiet: true });
 * assert.equal((await readEvaluation(out)).answers[0].reference, "A loan.");
 * ```
 */
export async function readEvaluation(folder: string): Promise<Evaluated> {
  const [scores, answers] = ["scores.json", "answers.jsonl"].map((name) => join(folder, name));
  const read = (path: string) =>
    Deno.readTextFile(path).catch((error) => {
      throw fileError(error, path, "read");
    });
  const lines = (await read(answers)).split("\n").filter((line) => line !== "");
  const rows = lines.map((line, i) => checked(line, `${answers}, line ${i + 1}`, isAnswer) as EvaluatedRow);
  return { ...checked(await read(scores), scores, isScores) as Omit<Evaluated, "answers">, answers: rows };
}

function checked(text: string, where: string, fits: (value: Row) => boolean): unknown {
  try {
    const value = JSON.parse(text);
    if (isObject(value) && fits(value)) return value;
  } catch { /* told below */ }
  throw new UserError(`${where} is not what evaluate writes: evaluate again.`);
}

const areNumbers = (value: unknown) => isObject(value) && Object.values(value).every(Number.isFinite);

const isInterval = (value: unknown) =>
  areNumbers(value) && ["value", "low", "high"].every((end) => end in (value as Row));

const isText = (value: unknown) => typeof value === "string";

function isScores({ models, rows, resamples, confidence, measures }: Row): boolean {
  const isMeasure = (measure: unknown) =>
    isObject(measure) && isText(measure.name) && measure.max > 0 && Number.isFinite(measure.max) &&
    isObject(measure.values) && models.every((model: string) => isInterval(measure.values[model])) &&
    isObject(measure.changes) && models.slice(1).every((model: string) => isInterval(measure.changes[model]));
  return Array.isArray(models) && models.length > 0 && models.every(isText) &&
    [rows, resamples, confidence].every(Number.isFinite) && Array.isArray(measures) &&
    measures.every(isMeasure);
}

function isAnswer({ index, question, reference, predictions, values }: Row): boolean {
  return Number.isInteger(index) && isText(question) && isText(reference) &&
    isObject(predictions) && Object.values(predictions).every(isText) &&
    isObject(values) && Object.values(values).every(areNumbers);
}
