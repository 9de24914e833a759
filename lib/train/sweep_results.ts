// The results of a sweep as a file: one JSON object a line, on the disk as soon as a run has ended.
import { UserError } from "../errors.ts";
import { exists } from "../formats/exists.ts";
import { fileError } from "../formats/file_error.ts";
import { writeFileAtomic } from "../formats/atomic.ts";

/** What sets a run apart: numbers and words by name. */
export type SweepSettings = Readonly<Record<string, string | number | boolean>>;

/** A run that has ended. */
export interface SweepResult {
  /** Name of the model it was for. */
  model: string;
  /** Its own, and those common to all runs. */
  settings: SweepSettings;
  /** What it came to. */
  scores: Readonly<Record<string, number>>;
  /** Wall time. */
  seconds: number;
}

/** The same for the same model and settings, in whatever order they are named. */
export const runKey = ({ model, settings }: Pick<SweepResult, "model" | "settings">): string =>
  JSON.stringify([model, Object.entries(settings).sort(([a], [b]) => a < b ? -1 : 1)]);

const plain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isResult = (value: unknown): value is SweepResult =>
  plain(value) && typeof value.model === "string" && typeof value.seconds === "number" &&
  plain(value.settings) &&
  Object.values(value.settings).every((v) => ["string", "number", "boolean"].includes(typeof v)) &&
  plain(value.scores) && Object.values(value.scores).every((v) => typeof v === "number");

/**
 * The results so far. A last line without an end, which a killed process leaves, is taken off the file.
 *
 * @throws UserError for any other line that is no result, with its number
 */
export async function readResults(path: string): Promise<SweepResult[]> {
  if (!await exists(path)) return [];
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw fileError(error, path, "read");
  }
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const results = whole.split("\n").slice(0, -1).map((line, i) => {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch { /* told below */ }
    if (isResult(value)) return value;
    throw new UserError(`${path}, line ${i + 1}: this is no result of a sweep; take the line out.`);
  });
  if (whole.length < text.length) await writeFileAtomic(path, whole);
  return results;
}

/** Puts one more line at the end, and waits for the disk. */
export async function appendResult(path: string, result: SweepResult): Promise<void> {
  try {
    using file = await Deno.open(path, { append: true, create: true });
    const bytes = new TextEncoder().encode(JSON.stringify(result) + "\n");
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
  } catch (error) {
    throw fileError(error, path, "write");
  }
}
