// Experiments that differ in settings and models: each done once, its scores kept, all of them in a table and a chart.
import { createHash } from "node:crypto";
import { join } from "@std/path";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { freeModel } from "../models/free.ts";
import type { Model } from "../models/model.ts";
import type { ChartSpec } from "../report/look.ts";
import { saveChart } from "../report/render.ts";
import { sweepChart } from "../report/sweep_chart.ts";
import { markdownTable } from "../report/table.ts";
import { openRunFolder } from "./run_folder.ts";
import { onFirstSignal, turnOfEventLoop } from "./signals.ts";
import { appendResult, readResults, runKey, type SweepResult, type SweepSettings } from "./sweep_results.ts";

export type { SweepResult, SweepSettings };

/** What a run is given besides its model and settings. */
export interface SweepPlace {
  /** The run's name: its settings in words, the same in table and chart. */
  name: string;
  /** A folder of its own, for the `out` of `train`: with `resume: "auto"` a run that was cut off goes on inside it. */
  folder: string;
  /** Aborted when the sweep is to end; `train` takes it. A run that it ended is not counted. */
  signal: AbortSignal;
}

/** Options of {@linkcode sweep}. */
export interface SweepOptions<S extends SweepSettings & { readonly model?: string }> {
  /** How each model is loaded, by name. It is loaded once, when its first run begins, and freed after its last. */
  models: Readonly<Record<string, () => Promise<Model>>>;
  /** The settings of each run; `model` names the one model that it is for, without it the run is done for all. */
  runs: readonly S[];
  /** One experiment: trains on the base and returns scores by name. What it attaches or uploads it frees again. */
  run: (
    base: Model,
    settings: Omit<S, "model">,
    place: SweepPlace,
  ) => Promise<Readonly<Record<string, number>>>;
  /** Folder for results.jsonl, table.md, chart.svg, chart.png and chart.json; made if it is not there. */
  out: string;
  /** What else decides the scores (rows, steps): kept with every result. Where it differs, runs are done anew. */
  common?: SweepSettings;
  /** Large first line of the chart. */
  title?: string;
  /** Ends the sweep after what the run in hand makes of it. */
  signal?: AbortSignal;
  /** Say nothing. */
  quiet?: boolean;
}

/** What {@linkcode sweep} gives. */
export interface SweepReport {
  /** One a run, in their order. */
  results: SweepResult[];
  /** Runs whose experiment threw a UserError (such as a loss that is not finite), with its message; they are tried again. */
  failed: { model: string; settings: SweepSettings; message: string }[];
  /** Whether all runs have ended; false after a signal. */
  complete: boolean;
  /** Markdown. */
  table: string;
  /** Vega-Lite; absent where there is no result. */
  chart?: ChartSpec;
}

type AnySettings = SweepSettings & { readonly model?: string };

interface Run<S> {
  readonly model: string;
  readonly settings: Omit<S, "model"> & SweepSettings;
  readonly name: string;
}

/**
 * Does experiments that differ in settings and models, each once: equal ones are done together, and those whose result is in
 * `out` already are skipped, so that the same call goes on after Ctrl-C, a crash or `kill -9`. Every result is on the disk as
 * a whole line before the next run begins.
 *
 * @throws UserError for a run of a model that is not there, scores that are no numbers, no runs, or a results.jsonl that is
 *   none
 *
 * @example
 * ```ts
 * import { adamW, attachLoRA, evaluateLoss, loadModel, padBatches, removeAdapter, sweep, trainEpoch } from "@fintune/fintune";
 * const batches = padBatches([{ inputIds: [1, 5, 6, 2] }, { inputIds: [1, 9, 7, 2] }]);
 * const out = await Deno.makeTempDir();
 * const { table } = await sweep({
 *   models: { tied: () => loadModel("tests/reference/llama_tied/model") },
 *   runs: [{ r: 4, learningRate: 1e-3 }, { r: 4, learningRate: 1e-2 }, { r: 8, learningRate: 1e-3 }],
 *   out,
 *   quiet: true,
 *   async run(base, { r, learningRate }) {
 *     const model = attachLoRA(base, { r, alpha: 2 * r, quiet: true });
 *     const optimizer = adamW(model, { learningRate });
 *     await trainEpoch(model, batches, { optimizer, quiet: true });
 *     const loss = await evaluateLoss(model, batches);
 *     optimizer.free();
 *     removeAdapter(model, "default");
 *     return { loss };
 *   },
 * });
 * console.log(table);
 * await Deno.remove(out, { recursive: true });
 * ```
 */
export async function sweep<S extends SweepSettings & { readonly model?: string }>(
  options: SweepOptions<S>,
): Promise<SweepReport> {
  const { models, out, common = {}, quiet, signal, title = "Sweep" } = options;
  const runs = planned(options), path = join(out, "results.jsonl");
  const folder = await openRunFolder(out), stop = new AbortController();
  const stopListening = onFirstSignal(() => stop.abort());
  const stopping = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const failed: SweepReport["failed"] = [];
  try {
    const known = new Map((await readResults(path)).map((result) => [runKey(result), result]));
    const keyOf = (run: Run<S>) => runKey({ ...run, settings: { ...run.settings, ...common } });
    for (const model of Object.keys(models)) {
      const open = runs.filter((run) => run.model === model && !known.has(keyOf(run)));
      if (open.length === 0 || stopping.aborted) continue;
      const base = await models[model]();
      try {
        for (const run of open) {
          if (stopping.aborted) break;
          if (!quiet) console.log(`${run.name} (${runs.indexOf(run) + 1} of ${runs.length})`);
          const result = await once(base, run, options, stopping).catch((error) => {
            if (!(error instanceof UserError)) throw error;
            failed.push({ model, settings: run.settings, message: error.message });
            if (!quiet) console.error(`${run.name} failed: ${error.message}`);
          });
          if (!result) continue;
          await appendResult(path, result);
          known.set(keyOf(run), result);
          if (!quiet) console.log(`${run.name}: ${inWords(result.scores)}`);
        }
      } finally {
        freeModel(base);
      }
    }
    const ended = runs.flatMap((run) => {
      const result = known.get(keyOf(run));
      return result ? [{ run, result }] : [];
    });
    const { table, chart } = await shown(ended, { out, title });
    const results = ended.map(({ result }) => result);
    return { results, failed, complete: results.length === runs.length, table, chart };
  } finally {
    stopListening();
    folder.close();
  }
}

/** The runs by model, equal ones once, with their names. */
function planned<S extends AnySettings>({ models, runs, common }: SweepOptions<S>): Run<S>[] {
  const known = Object.keys(models), found = new Map<string, Run<S>>();
  if (runs.length === 0 || known.length === 0) {
    throw new UserError("A sweep needs at least one model and one run.");
  }
  for (const [i, { model: only, ...rest }] of runs.entries()) {
    if (only !== undefined && !known.includes(only)) {
      throw new UserError(
        `Run ${i + 1} of the sweep is for the model "${only}"; there are ${known.join(", ")}.`,
      );
    }
    const settings = rest as Omit<S, "model"> & SweepSettings,
      twice = Object.keys(rest).find((name) => name in (common ?? {}));
    if (twice) {
      throw new UserError(`Run ${i + 1} of the sweep has a ${twice} of its own, which is common to all.`);
    }
    for (const model of only === undefined ? known : [only]) {
      const named = known.length > 1 ? { model, ...rest } : rest;
      const run = { model, settings, name: inWords(named as SweepSettings) };
      found.set(runKey(run), found.get(runKey(run)) ?? run);
    }
  }
  return [...found.values()];
}

const inWords = (fields: Readonly<Record<string, unknown>>): string =>
  Object.entries(fields).map(([name, value]) => name === "model" ? `${value}` : `${name} ${inShort(value)}`)
    .join(", ");

/** 0.1 + 0.2 is 0.3 to a reader. */
const inShort = (value: unknown): string =>
  typeof value === "number" && !Number.isInteger(value) ? `${Number(value.toPrecision(4))}` : `${value}`;

/** Undefined where the signal ended it. */
async function once<S extends AnySettings>(
  base: Model,
  { model, settings, name }: Run<S>,
  { run, out, common }: SweepOptions<S>,
  signal: AbortSignal,
): Promise<SweepResult | undefined> {
  const started = performance.now();
  const complete = { ...settings, ...common };
  // Other rows or steps are another run, whose checkpoints this one cannot go on from.
  const mark = createHash("sha256").update(runKey({ model, settings: complete })).digest("hex").slice(0, 6);
  const folder = join(out, `${name.replace(/[^\w.-]+/g, "_").slice(0, 100)}_${mark}`);
  const scores = await run(base, settings, { name, folder, signal });
  await turnOfEventLoop();
  if (signal.aborted) return undefined;
  for (const [score, value] of Object.entries(scores)) {
    if (Number.isFinite(value)) continue;
    throw new UserError(`The score ${score} of ${name} is ${value}; every score must be a number.`);
  }
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  return { model, settings: complete, scores, seconds };
}

/** The table and the chart, on the disk too. */
async function shown<S extends AnySettings>(
  ended: readonly { run: Run<S>; result: SweepResult }[],
  { out, title }: { out: string; title: string },
): Promise<{ table: string; chart?: ChartSpec }> {
  const several = new Set(ended.map(({ run }) => run.model)).size > 1;
  const table = markdownTable(ended.map(({ run: { model, settings }, result: { scores, seconds } }) => ({
    ...(several ? { model } : {}),
    // Words, since a column of 0.00005 and 16 has no number of digits.
    ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, inShort(value)])),
    ...scores,
    seconds: Math.round(seconds),
  })));
  await writeFileAtomic(join(out, "table.md"), `${table}\n`);
  if (ended.length === 0) return { table };
  const chart = sweepChart(ended.map(({ run, result }) => ({ name: run.name, scores: result.scores })), {
    title,
  });
  await writeFileAtomic(join(out, "chart.json"), `${JSON.stringify(chart, null, 2)}\n`);
  for (const type of ["svg", "png"]) await saveChart(chart, join(out, `chart.${type}`));
  return { table, chart };
}
