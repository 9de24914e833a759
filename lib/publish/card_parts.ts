// The parts of a model card that are made of a run: results, training, data. Paths of this machine stay here.
import { isObject, type Row } from "../data/row.ts";
import { evaluationTable } from "../evaluate/evaluation.ts";
import { isHubName } from "../hub/names.ts";
import { formatBytes, formatDuration, formatNumber } from "../report/format.ts";
import { markdownTable } from "../report/table.ts";
import type { CardFacts } from "./card.ts";

/** The table of scores and how to read it; undefined where nothing was evaluated. */
export function resultsPart({ run }: CardFacts): string | undefined {
  if (!run?.evaluated) return undefined;
  const { rows, resamples, confidence, measures, models } = run.evaluated;
  const fewer = measures.filter(({ lowerIsBetter }) => lowerIsBetter).map(({ name }) => name);
  const compared = models.length > 1 ? ", the same rows and the same settings for both" : "";
  return `${evaluationTable(run.evaluated)}

${formatNumber(rows)} held-out rows that were not trained on${compared}. In brackets ${
    formatNumber(100 * confidence)
  } % intervals (bootstrap over the rows, ${
    formatNumber(resamples)
  } draws); a change whose interval holds 0 may be chance.${
    fewer.length > 0 ? ` Less is better for ${fewer.join(", ")}.` : ""
  }`;
}

/** What the log tells in a line. */
export function runSentence({ run }: CardFacts): string | undefined {
  const steps = run?.log.filter(({ kind }) => kind === "step") ?? [], last = steps.at(-1);
  if (!run || !last) return undefined;
  const losses = run.log.filter(({ kind }) => kind === "evaluation").map(({ loss }) => loss);
  const held = losses.filter((loss): loss is number => Number.isFinite(loss));
  const memory = Math.max(
    ...steps.map(({ memory }) => typeof memory === "number" ? memory : 0),
  );
  return [
    `${formatNumber(last.step)} optimizer steps in ${formatDuration(run.log.at(-1)!.time - run.log[0].time)}`,
    ...(held.length > 0
      ? [`held-out loss ${held[0].toFixed(4)} at first, ${held.at(-1)!.toFixed(4)} at the end`]
      : []),
    ...(memory > 0 ? [`at most ${formatBytes(memory)} of memory`] : []),
  ].join("; ") + ".";
}

/** What says nothing about the training, or names places on this machine. */
const UNSAID = [
  "model",
  "data",
  "held-out-data",
  "general",
  "out",
  "resume",
  "dry-run",
  "quiet",
  "tensorboard",
];

/** Settings as a table. */
export function settingsPart({ run, adapter }: CardFacts): string | undefined {
  const fields = run?.settings ?? (adapter && adapterFields(adapter));
  return fields && fieldsTable(fields, "setting", UNSAID);
}

const adapterFields = ({ r, lora_alpha, lora_dropout, target_modules, use_rslora, use_dora }: Row): Row => ({
  r,
  alpha: lora_alpha,
  dropout: lora_dropout,
  "target modules": target_modules,
  ...(use_rslora ? { rsLoRA: true } : {}),
  ...(use_dora ? { DoRA: true } : {}),
});

/** Numbers of the rows: counts and lengths, never the rows themselves. */
export function dataPart({ run }: CardFacts): string | undefined {
  if (!run?.data) return undefined;
  const tables = Object.entries(run.data).filter((entry): entry is [string, Row[]] => isTable(entry[1]));
  return [
    fieldsTable(run.data, "of the rows", []),
    ...tables.map(([name, rows]) => `${name}:\n\n${markdownTable(rows.map(placeless) as Row[])}`),
  ].filter((part) => part !== undefined).join("\n\n");
}

const isTable = (value: unknown): value is Row[] =>
  Array.isArray(value) && value.length > 0 && value.every(isObject);

function fieldsTable(fields: Row, heading: string, unsaid: readonly string[]): string | undefined {
  const rows = Object.entries(fields).flatMap(([name, value]) => {
    if (unsaid.includes(name) || value === null || value === undefined || isTable(value)) return [];
    return [{ [heading]: name, value: shown(value) }];
  });
  return rows.length > 0 ? markdownTable(rows) : undefined;
}

function shown(value: unknown): string {
  if (typeof value === "number") return formatNumber(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(shown).join(", ");
  return typeof value === "string" ? withoutPlace(value) : JSON.stringify(placeless(value));
}

/** A value in which every text that is a path or an address is cut to what others may see. */
export function placeless(value: unknown): unknown {
  if (typeof value === "string") {
    return /^([A-Za-z]:|~|\.{1,2})?[\\/]|^https?:/.test(value) ? withoutPlace(value) : value;
  }
  if (Array.isArray(value)) return value.map(placeless);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, placeless(one)]));
}

/** A name as others may see it: of a path on this machine its last step. */
export function withoutPlace(name: string): string {
  if (/^https?:\/\//.test(name)) return name.replace(/[?#].*$/, "").replace(/\/\/[^/@]*@/, "//");
  if (!/[/\\]/.test(name) || isHubName(name) && name.split("/").length === 2) return name;
  return name.split(/[/\\]/).filter(Boolean).at(-1) ?? "";
}
