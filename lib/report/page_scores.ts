// The parts of a report that compare models: the table of scores, its chart, and rows side by side.
import type { Interval } from "../evaluate/bootstrap.ts";
import { evaluationChart } from "../evaluate/chart.ts";
import {
  changeName,
  digits,
  type Evaluated,
  type EvaluatedRow,
  type MeasuredScore,
} from "../evaluate/evaluation.ts";
import { bestAndWorst, type Samples } from "../evaluate/samples.ts";
import { type Html, markup } from "./html.ts";
import { pictures } from "./page_pictures.ts";

/** Table and chart. */
export async function scoresPart(evaluated: Evaluated): Promise<Html> {
  const { models, measures, rows, confidence, resamples } = evaluated;
  const heading = (name: string) => markup`<th class="number">${name}</th>`;
  const draw = (width: number) =>
    Promise.resolve(evaluationChart(evaluated, { width, title: "", subtitle: "" }));
  const drawn = measures.some(({ lowerIsBetter }) => !lowerIsBetter);
  return markup`<table class="scores">
<thead><tr><th>score</th>${models.map(heading)}${
    models.slice(1).map((model) => heading(changeName(models, model)))
  }</tr></thead>
<tbody>
${measures.map((measure) => scoreLine(measure, models))}</tbody>
</table>
<p class="note">${rows.toLocaleString("en-US")} rows. Below each number stands its ${
    Math.round(1000 * confidence) / 10
  } % interval, from ${
    resamples.toLocaleString("en-US")
  } draws of rows (bootstrap; the same draws for all models). A change is coloured where its interval leaves out 0. ↓: less is better.</p>
${drawn ? await pictures("Scores of each model as bars", draw) : undefined}`;
}

function scoreLine(measure: MeasuredScore, models: readonly string[]): Html {
  const { name, max, lowerIsBetter, values, changes } = measure;
  const value = (model: string) => markup`<td class="number">${numberOf(values[model], max)}</td>`;
  const change = (model: string) =>
    markup`<td class="number ${verdict(changes[model], lowerIsBetter)}">${
      numberOf(changes[model], max, true)
    }</td>`;
  return markup`<tr><td>${name}${lowerIsBetter ? " ↓" : ""}</td>${models.map(value)}${
    models.slice(1).map(change)
  }</tr>
`;
}

function numberOf({ value, low, high }: Interval, max: number, signed: boolean = false): Html {
  const [middle, from, to] = [value, low, high].map((number) => digits(number, max, signed));
  return markup`${middle}<small>${from} to ${to}</small>`;
}

/** Only what the interval leaves no doubt about is called good or bad. */
function verdict({ low, high }: Interval, lowerIsBetter: boolean): "good" | "bad" | "" {
  if (low <= 0 && high >= 0) return "";
  return (low > 0) === lowerIsBetter ? "bad" : "good";
}

/** Best and worst rows; undefined where no score has numbers of rows. */
export function samplesPart(evaluated: Evaluated): Html | undefined {
  const samples = bestAndWorst(evaluated);
  if (!samples) return undefined;
  const { models } = evaluated, { measure, best, worst } = samples;
  const by = models.length > 1 ? `${measure.name}, ${models.at(-1)} against ${models[0]}` : measure.name;
  const list = (heading: string, rows: EvaluatedRow[]) =>
    rows.length === 0 ? undefined : markup`<h3>${heading} by ${by}</h3>
${rows.map((row) => sample(row, samples, models))}`;
  return markup`${list("Best", best)}${list("Worst", worst)}`;
}

function sample(row: EvaluatedRow, { measure, ofRow }: Samples, models: readonly string[]): Html {
  const { name, max } = measure;
  const number = (model: string) => `${model} ${digits(row.values[name][model], max)}`;
  const change = models.length > 1 ? ` (${digits(ofRow(row), max, true)})` : "";
  const answers = models.map((model) => text(model, row.predictions[model] ?? ""));
  return markup`<article class="row"><h4>Row ${row.index} <small>${
    models.map(number).join(", ")
  }${change}</small></h4>
<div class="texts">${text("question", row.question, "wide-text")}${answers}${
    text("expected", row.reference)
  }</div></article>
`;
}

/** A text to the letter; in which direction it is written is its own matter. */
function text(heading: string, content: string, kind: string = ""): Html {
  const shown = content.trim();
  return markup`<section class="${kind}"><h5>${heading}</h5>${
    shown === ""
      ? markup`<div class="empty">nothing</div>`
      : markup`<div class="text" dir="auto" tabindex="0">${shown}</div>`
  }</section>
`;
}
