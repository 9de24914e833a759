// A run as one page to look at, to send and to keep: what its folder holds, in one HTML file without scripts.
import { basename, join, resolve } from "@std/path";
import { isObject, type Row } from "../data/row.ts";
import { UserError } from "../errors.ts";
import { readEvaluation } from "../evaluate/folder.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { exists } from "../formats/exists.ts";
import { fileError } from "../formats/file_error.ts";
import { pageOf, type RunFolder } from "./page.ts";
import { readRunLog } from "./run_log.ts";

/** Options of {@linkcode report}. */
export interface ReportOptions {
  /** Large first line. Default: the model's name in settings.json, or the folder's name. */
  title?: string;
  /** Where the page goes. Default: report.html in the run's folder; a file that is there is replaced. */
  path?: string;
}

/**
 * Writes a run's report: one HTML page with settings, data statistics, curves, tables of scores and samples. It needs no
 * network and no script, shows on telephones and in the dark, and holds whatever models wrote as text only. Parts of the
 * folder that are missing are left out:
 *
 * | file | part |
 * |---|---|
 * | log.jsonl, which {@linkcode train} writes | curves, steps, losses, time, memory |
 * | evaluation/, the `out` of {@linkcode evaluate} | scores with intervals, samples |
 * | settings.json: an object | settings |
 * | data.json: an object; fields that are lists of objects become tables | data |
 *
 * @param run the folder
 * @param options see {@linkcode ReportOptions}
 * @returns the path of the page
 * @throws UserError where the folder holds neither a log nor an evaluation, or one of the files is damaged
 *
 * @example
 * ```ts
 * import { openRunLog, report } from "@fintune/fintune";
 * const run = await Deno.makeTempDir();
 * const log = await openRunLog(`${run}/log.jsonl`);
 * for (let step = 1; step <= 3; step++) log.write({ kind: "step", step, time: step, loss: 3 / step });
 * log.close();
 * console.log(await report(run)); // .../report.html
 * ```
 */
export async function report(run: string, options: ReportOptions = {}): Promise<string> {
  const folder = await readRun(run), path = options.path ?? join(run, "report.html");
  await writeFileAtomic(path, await pageOf(folder, options.title));
  return path;
}

/** What a run has left in its folder. */
export async function readRun(run: string): Promise<RunFolder> {
  const pathOf = async (...names: string[]) => {
    const path = join(run, ...names);
    return await exists(path) ? path : undefined;
  };
  const log = await pathOf("log.jsonl"), scores = await pathOf("evaluation", "scores.json");
  if (!log && !scores) {
    throw new UserError(
      `${run} holds no run: there is neither log.jsonl (written by train) nor evaluation/ (the out of evaluate).`,
    );
  }
  const settings = await pathOf("settings.json"), data = await pathOf("data.json");
  return {
    name: basename(resolve(run)),
    settings: settings ? await readObject(settings) : undefined,
    data: data ? await readObject(data) : undefined,
    log: log ? await readRunLog(log) : [],
    evaluated: scores ? await readEvaluation(join(run, "evaluation")) : undefined,
  };
}

/** An object, or a list that holds one alone. */
async function readObject(path: string): Promise<Row> {
  const text = await Deno.readTextFile(path).catch((error) => {
    throw fileError(error, path, "read");
  });
  try {
    const value = [JSON.parse(text)].flat();
    if (value.length === 1 && isObject(value[0])) return value[0];
  } catch { /* told below */ }
  throw new UserError(`${path} holds no object with fields: mend it, or remove it.`);
}
