// What a run that goes on was begun with: its batches stay, other flags than then are said.
import { join } from "@std/path";
import { type BatchChoice, Dataset, loadDataset, readRunLog, UserError } from "@fintune/fintune";

/** Whether a file or folder is there. */
export const exists = (path: string): Promise<boolean> => Deno.stat(path).then(() => true, () => false);

type Settings = Record<string, unknown> & BatchChoice;

const settingsOf = (out: string) => join(out, "settings.json");

/** Flags that may differ without a word: they change nothing in what is trained, or are checked on their own. */
const UNSAID = ["out", "batch-size", "resume", "dry-run", "quiet"];

/** Writes down what a run begins with; of one that has begun already, that stays. */
export async function saveSettings(out: string, flags: object, batches: BatchChoice): Promise<void> {
  await Deno.mkdir(out, { recursive: true });
  if (await exists(settingsOf(out)) && await exists(join(out, "log.jsonl"))) return;
  await new Dataset([{ ...flags, ...batches }]).save(settingsOf(out), { overwrite: true });
}

/**
 * The batches of the run in `out`, which it keeps however much memory is free by now, and the steps that it need not repeat;
 * undefined where none has begun. Prints which flags are others now.
 *
 * @throws UserError for other batches than the run's
 */
export async function begunRun(
  out: string,
  flags: Record<string, unknown>,
): Promise<{ batches: BatchChoice; stepsDone: number } | undefined> {
  if (!await exists(settingsOf(out)) || !await exists(join(out, "log.jsonl"))) return undefined;
  const begun = (await loadDataset(settingsOf(out))).at(0) as Settings;
  const { batchSize, gradientAccumulationSteps, "effective-batch-size": effective } = begun;
  if (effective !== flags["effective-batch-size"] || (flags["batch-size"] ?? batchSize) !== batchSize) {
    throw new UserError(
      `The run in ${out} began with --batch-size ${batchSize} --effective-batch-size ${effective}: give the same, or begin ` +
        "a new one in another folder.",
    );
  }
  for (const [flag, value] of Object.entries(flags)) {
    if (`${value}` === `${begun[flag]}` || UNSAID.includes(flag)) continue;
    console.log(`--${flag}: ${begun[flag] ?? "not given"} when the run began, ${value ?? "not given"} now`);
  }
  const log = await readRunLog(join(out, "log.jsonl"));
  const stepsDone = log.findLast(({ kind }) => kind === "checkpoint")?.step ?? 0;
  return { batches: { batchSize, gradientAccumulationSteps }, stepsDone };
}
