// The likely mistakes of calls that no type checker saw (notebooks, JavaScript): a forgotten await, an argument that is not
// there, rows where batches are wanted. Each is one sentence; other misuse stays JavaScript's own TypeError.
import { UserError } from "./errors.ts";

/** What a value is, for a sentence. */
function kind(value: unknown): string {
  if (value instanceof Promise) return 'a promise (put "await" in front of what makes it)';
  if (value === undefined || value === null) return String(value);
  if (Array.isArray(value)) return "a list";
  if (value.constructor?.name === "Dataset") return "a Dataset";
  return typeof value === "object" ? "another object" : `${JSON.stringify(value) ?? typeof value}`;
}

/** The first argument is a model. */
export function checkModel(caller: string, model: unknown): void {
  const { weights, config } = (model ?? {}) as { weights?: unknown; config?: unknown };
  if (weights instanceof Map && config) return;
  throw new UserError(`${caller} needs a model, as loadModel gives it, not ${kind(model)}.`);
}

/** A path or name is given, as text. */
export function checkName(caller: string, what: string, name: unknown): void {
  if (typeof name === "string" && name !== "") return;
  throw new UserError(`${caller} needs ${what} as text, not ${name === "" ? "an empty one" : kind(name)}.`);
}

/** Batches, not rows. */
export function checkBatches(caller: string, batches: unknown): void {
  const { inputIds } = (batches ?? {}) as { inputIds?: unknown };
  const sound = typeof batches === "object" && batches !== null &&
    (Symbol.iterator in batches || Symbol.asyncIterator in batches) &&
    batches.constructor?.name !== "Dataset";
  if (sound) return;
  const found = inputIds === undefined ? kind(batches) : "a single one (put it in a list)";
  throw new UserError(`${caller} needs batches, as packBatches and padBatches give them, not ${found}.`);
}

/** The options are there. */
export function checkGiven(caller: string, options: unknown, needed: string): void {
  if (typeof options === "object" && options !== null && needed in options) return;
  throw new UserError(`${caller} needs options with ${needed}, as in { ${needed} }.`);
}

/** What both ways of training are given. */
export function checkTraining(caller: string, model: unknown, batches: unknown, options: unknown): void {
  checkModel(caller, model);
  checkBatches(caller, batches);
  checkGiven(caller, options, "optimizer");
}

/** Rows in a list or Dataset, not a promise of them: that has nothing to go through, which would pass for no rows. */
export function checkRows(caller: string, rows: unknown, streamed: boolean = false): void {
  const sound = typeof rows === "object" && rows !== null &&
    (Symbol.iterator in rows || (streamed && Symbol.asyncIterator in rows));
  if (!sound) throw new UserError(`${caller} needs rows, as a Dataset or a list, not ${kind(rows)}.`);
}

/** Texts in a list, not one text: its characters would be taken one by one. */
export function checkTexts(caller: string, what: string, texts: unknown): void {
  if (typeof texts === "object" && texts !== null && Symbol.iterator in texts) return;
  throw new UserError(`${caller} needs ${what} as a list of texts, not ${kind(texts)}.`);
}
