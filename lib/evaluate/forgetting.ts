// What tuning costs elsewhere: the loss on texts that have nothing to do with what was trained.
import { checkTexts } from "../arguments.ts";
import type { Prompt } from "../data/prompt.ts";
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import { progressLine } from "../report/progress.ts";
import type { BootstrapOptions } from "./bootstrap.ts";
import { measuredScore, modelsOf } from "./compare.ts";
import { evaluationTable, type MeasuredScore } from "./evaluation.ts";
import { writeEvaluation } from "./folder.ts";
import { generalText } from "./general_text.ts";
import { lossMeasure, rowLosses } from "./losses.ts";
import type { Measure } from "./score.ts";

/** Options of {@linkcode forgetting}. */
export interface ForgettingOptions extends BootstrapOptions {
  /** Tokens of a text beyond this are cut off. Default 512. */
  maxLength?: number;
  /** A folder (made where missing) for the table and the numbers, as {@linkcode evaluate} writes them for a report. */
  out?: string;
  /** No progress line. */
  quiet?: boolean;
  /** Ends the work. */
  signal?: AbortSignal;
}

/** What {@linkcode forgetting} gives; losses are in nats a token, each model's by its name. */
export interface ForgettingReport extends MeasuredScore {
  /** How many texts. */
  texts: number;
  /** The table. */
  toString(): string;
}

/**
 * How much a model forgets while it is tuned: its mean loss on general texts (each text whole, all tokens counted alike; an
 * encoder-decoder reads the first half of a text and is asked for the second), beside that of its base, with bootstrap
 * intervals over the texts. A rise says that the adapter costs something outside of what it was trained on.
 *
 * @param model a model with an adapter ("base" and "tuned" are compared), or several by name
 * @param texts default {@linkcode generalText}; give texts of what the model must stay good at
 * @param options see {@linkcode ForgettingOptions}
 * @throws UserError for no texts, an empty one, or a model without a tokenizer
 *
 * @example
 * ```ts
 * import { attachLoRA, forgetting, loadModel } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const model = attachLoRA(await loadModel("examples/tiny/model"), { r: 2, quiet: true }); // and train it
 * const { values, changes } = await forgetting(model, ["The bridge was built in the summer."], { quiet: true });
 * assert.equal(values.tuned.value - values.base.value, changes.tuned.value);
 * ```
 */
export async function forgetting(
  model: Model | Readonly<Record<string, Model>>,
  texts: Iterable<string> = generalText,
  options: ForgettingOptions = {},
): Promise<ForgettingReport> {
  const models = modelsOf("forgetting", model), names = [...models.keys()], list = checkedTexts(texts);
  const measured = { ...await lossOnTexts(models, list, options), texts: list.length };
  if (options.out !== undefined) {
    const { resamples = 1000, confidence = 0.95, out } = options;
    await writeEvaluation(out, {
      models: names,
      rows: list.length,
      resamples,
      confidence,
      measures: [measured],
      answers: [],
    });
  }
  const toString = () => evaluationTable({ models: names, measures: [measured] });
  return Object.defineProperty(measured, "toString", { value: toString });
}

/** The loss of each model on texts, as a measure. */
export async function lossOnTexts(
  models: ReadonlyMap<string, Model>,
  texts: Iterable<string>,
  options: ForgettingOptions,
): Promise<MeasuredScore> {
  const list = checkedTexts(texts);
  const progress = progressLine({
    total: models.size * list.length,
    label: "general text",
    quiet: options.quiet,
  });
  const measures: Measure[] = [];
  let step = 0;
  try {
    for (const [name, model] of models) {
      const { maxLength = 512, signal } = options;
      const counts = await rowLosses(model, list.map((text) => ({ text })), {
        prompt: model.config.encoderDecoder ? secondHalf : wholeText,
        maxLength,
        signal,
        onRow: () => progress.update({ step: ++step, model: name }),
      });
      measures.push(lossMeasure("loss on general text", counts));
    }
  } finally {
    progress.finish();
  }
  return measuredScore([...models.keys()], measures, options);
}

/** The texts as a list, none of them empty. */
export function checkedTexts(texts: Iterable<string>): string[] {
  checkTexts("forgetting", "general texts", texts);
  const list = [...texts];
  const bad = list.findIndex((text) => typeof text !== "string" || text.trim() === "");
  if (bad >= 0) throw new UserError(`General text ${bad} is empty or no text: leave it away.`);
  if (list.length === 0) throw new UserError("forgetting needs at least one text, and got none.");
  return list;
}

const wholeText: Prompt = { name: "text", question: () => "", answer: ({ text }) => text };

/** For an encoder-decoder: it reads the first half of the words, and the loss is that of the others. */
const secondHalf: Prompt = {
  name: "text continued",
  question: ({ text }) => halves(text)[0],
  answer: ({ text }) => halves(text)[1],
};

/** Cut at the space that is nearest before the middle; a text without one is its own continuation. */
function halves(text: string): [string, string] {
  const middle = text.lastIndexOf(" ", text.length / 2);
  return middle < 0 ? [text, text] : [text.slice(0, middle), text.slice(middle + 1)];
}
