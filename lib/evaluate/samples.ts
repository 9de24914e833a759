// The rows on which models differ most: best and worst, side by side.
import { markdownTable } from "../report/table.ts";
import { digits, type Evaluated, type EvaluatedRow, type MeasuredScore } from "./evaluation.ts";

/** Rows with what they are there for. */
export interface Samples {
  /** The measure that orders the rows. */
  measure: MeasuredScore;
  /** What is compared: the last model's change against the first, or a single model's own number. */
  ofRow(row: EvaluatedRow): number;
  /** Best first. */
  best: EvaluatedRow[];
  /** Worst first. */
  worst: EvaluatedRow[];
}

/**
 * The best and the worst rows by the first measure that rows have a number of; undefined where none has. No row is in both.
 *
 * @param evaluated what {@linkcode evaluate} gave
 * @param count rows of each
 *
 * @example
 * ```ts
 * import { attachLoRA, bestAndWorst, byRouge, evaluate, financeQA, loadModel } from "@fintune/fintune";
 * const model = attachLoRA(await loadModel("examples/tiny/model"), { r: 2, quiet: true }); // and train it
 * const rows = [{ instruction: "What is a bond?", output: "A loan." }, { instruction: "What is cash?", output: "Money." }];
 * const evaluated = await evaluate(model, rows, [byRouge()], { prompt: financeQA, maxNewTokens: 4, quiet: true });
 * console.log(bestAndWorst(evaluated, 1)?.best[0].question);
 * ```
 */
export function bestAndWorst(
  { models, measures, answers }: Evaluated,
  count: number = 3,
): Samples | undefined {
  const has = ({ name }: MeasuredScore) => answers.some(({ values }) => name in values);
  const measure = measures.find(has);
  if (!measure) return undefined;
  const rows = answers.filter(({ values }) =>
    models.every((model) => values[measure.name]?.[model] !== undefined)
  );
  const first = models[0], last = models.at(-1)!;
  const ofRow = ({ values: { [measure.name]: values } }: EvaluatedRow) =>
    models.length > 1 ? values[last] - values[first] : values[first];
  const sign = measure.lowerIsBetter ? -1 : 1;
  const sorted = rows.toSorted((a, b) => sign * (ofRow(b) - ofRow(a)) || a.index - b.index);
  const shown = Math.min(count, Math.floor(sorted.length / 2));
  return {
    measure,
    ofRow,
    best: sorted.slice(0, Math.max(shown, Math.min(1, sorted.length))),
    worst: shown > 0 ? sorted.slice(-shown).reverse() : [],
  };
}

/** Best and worst rows as Markdown: question, expected answer and the models' answers beside one another. */
export function sideBySide(evaluated: Evaluated, count: number = 3): string {
  const samples = bestAndWorst(evaluated, count);
  if (!samples) return "";
  const { models } = evaluated, { measure: { name, max }, best, worst } = samples;
  const section = (heading: string, rows: EvaluatedRow[]) =>
    rows.length === 0 ? [] : [
      `## ${heading} by ${name}${models.length > 1 ? `, ${models.at(-1)} against ${models[0]}` : ""}`,
      ...rows.map((row) => {
        const numbers = models.map((model) => `${model} ${digits(row.values[name][model], max)}`);
        const texts = { question: row.question, expected: row.reference, ...row.predictions };
        const cells = Object.entries(texts).map(([column, text]) => [column, plain(text)]);
        return `Row ${row.index}: ${numbers.join(", ")}\n\n${markdownTable([Object.fromEntries(cells)])}`;
      }),
    ];
  return [...section("Best rows", best), ...section("Worst rows", worst)].join("\n\n");
}

/** Models write anything: what a Markdown viewer would take for HTML is shown as it is. */
const plain = (text: string) => text.trim().replaceAll("&", "&amp;").replaceAll("<", "&lt;");
