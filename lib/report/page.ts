// A report's page: what a run's folder holds, laid out. Each part that the run lacks is left out.
import { basename } from "@std/path";
import { isObject, type Row } from "../data/row.ts";
import { digits, type Evaluated } from "../evaluate/evaluation.ts";
import { formatBytes, formatDuration, formatNumber } from "./format.ts";
import { type Html, markup, trusted } from "./html.ts";
import { pictures } from "./page_pictures.ts";
import { samplesPart, scoresPart } from "./page_scores.ts";
import { pageStyle } from "./page_style.ts";
import { plotRun } from "./run_chart.ts";
import type { LogEntry } from "./run_log.ts";

/** What a run's folder holds. */
export interface RunFolder {
  name: string;
  settings?: Row;
  data?: Row;
  log: LogEntry[];
  evaluated?: Evaluated;
}

/** The whole page. */
export async function pageOf(run: RunFolder, title: string = titleOf(run)): Promise<string> {
  const { settings, data, log, evaluated } = run;
  const drawable = log.some(({ kind }) => kind === "step" || kind === "evaluation");
  const parts: [string, Html | undefined][] = [
    ["Scores", evaluated && await scoresPart(evaluated)],
    ["Curves", drawable ? await curvesPart(log) : undefined],
    ["Samples", evaluated && samplesPart(evaluated)],
    ["Data", data && fieldsPart(data)],
    ["Settings", settings && fieldsPart(settings)],
  ];
  const shown = parts.filter(([, part]) => part !== undefined);
  const under = [settings?.data, lastTime(log)].filter((text) => typeof text === "string").join(" · ");
  // The policy forbids once more what escaping has ruled out: scripts, and anything from elsewhere.
  const { html } = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${trusted(pageStyle)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p class="under">${under}</p>
<nav>${shown.map(([name]) => markup`<a href="#${name.toLowerCase()}">${name}</a> `)}</nav>
</header>
<dl class="facts">
${factsOf(run).map(factBox)}</dl>
${
    shown.map(([name, part]) =>
      markup`<h2 id="${name.toLowerCase()}">${name}</h2>
${part}
`
    )
  }</body>
</html>
`;
  return html;
}

function titleOf({ settings, name }: RunFolder): string {
  return typeof settings?.model === "string" && settings.model !== ""
    ? `${basename(settings.model)}, fine-tuned`
    : name;
}

function lastTime(log: readonly LogEntry[]): string | undefined {
  const last = log.at(-1), date = new Date(1000 * (last?.time ?? NaN));
  return isNaN(date.getTime()) ? undefined : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function curvesPart(log: readonly LogEntry[]): Promise<Html> {
  const draw = (width: number) =>
    plotRun(log, { width, title: "", ...(width < 400 ? { columns: 1, height: 200 } : {}) });
  return pictures("Loss and what explains it, by step", draw);
}

type Fact = [name: string, value: string, more?: string];

const factBox = ([name, value, more]: Fact): Html =>
  markup`<div><dt>${name}</dt><dd>${value}${more ? markup`<small>${more}</small>` : ""}</dd></div>
`;

/** The few numbers that people ask for first. */
function factsOf({ log, evaluated }: RunFolder): Fact[] {
  const steps = log.filter(({ kind }) => kind === "step"), last = steps.at(-1);
  const numbers = (entries: readonly LogEntry[], field: string) =>
    entries.map(({ [field]: value }) => value).filter((value): value is number => Number.isFinite(value));
  const facts: Fact[] = [];
  if (last) {
    const end = log.findLast(({ kind }) => kind === "end" || kind === "step" || kind === "resume");
    facts.push([
      "Steps",
      formatNumber(last.step),
      end?.kind === "end" ? String(end.stopped ?? "") : "not at its end",
    ]);
  }
  const losses = numbers(log.filter(({ kind }) => kind === "evaluation"), "loss");
  if (losses.length > 0) {
    facts.push(["Held-out loss", losses.at(-1)!.toFixed(4), `lowest ${Math.min(...losses).toFixed(4)}`]);
  }
  if (evaluated) facts.push(...scoreFacts(evaluated));
  const [rate] = numbers(last ? [last] : [], "tokensPerSecond");
  if (rate !== undefined) facts.push(["Tokens a second", formatNumber(Math.round(rate))]);
  if (log.length > 1) facts.push(["Time", formatDuration(log.at(-1)!.time - log[0].time), "pauses included"]);
  const memory = numbers(steps, "memory").reduce((most, bytes) => Math.max(most, bytes), 0);
  if (memory > 0) facts.push(["Memory", formatBytes(memory), "most after a step"]);
  return facts;
}

/** The first score and the losses. */
function scoreFacts({ models, measures }: Evaluated): Fact[] {
  const chosen = measures.filter(({ lowerIsBetter }, i) => i === 0 || lowerIsBetter);
  const [first] = models, last = models.at(-1)!;
  return chosen.map(({ name, max, values }) => [
    name,
    digits(values[last].value, max),
    models.length > 1 ? `${first}: ${digits(values[first].value, max)}` : undefined,
  ]);
}

const isTable = (value: unknown): value is Row[] =>
  Array.isArray(value) && value.length > 0 && value.every(isObject);

/** Fields of an object: plain ones beside their names, lists of objects as tables. */
function fieldsPart(fields: Row): Html {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  const plain = entries.filter(([, value]) => !isTable(value));
  const tables = entries.filter((entry): entry is [string, Row[]] => isTable(entry[1]));
  return markup`<dl class="settings">
${
    plain.map(([name, value]) =>
      markup`<div><dt>${name}</dt><dd dir="auto">${shownValue(value)}</dd></div>
`
    )
  }</dl>
${
    tables.map(([name, rows]) =>
      markup`<h3>${name}</h3>
${tableOf(rows)}`
    )
  }`;
}

function tableOf(rows: readonly Row[]): Html {
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const kind = (column: string) => rows.every((row) => typeof row[column] === "number") ? "number" : "";
  const cells = (row: Row) =>
    columns.map((column) => markup`<td class="${kind(column)}">${shownValue(row[column])}</td>`);
  return markup`<div class="scroll"><table>
<thead><tr>${columns.map((column) => markup`<th class="${kind(column)}">${column}</th>`)}</tr></thead>
<tbody>
${
    rows.map((row) =>
      markup`<tr>${cells(row)}</tr>
`
    )
  }</tbody>
</table></div>
`;
}

function shownValue(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "number") return formatNumber(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value) && value.every((part) => typeof part === "string")) return value.join(", ");
  return typeof value === "string" ? value : JSON.stringify(value);
}
