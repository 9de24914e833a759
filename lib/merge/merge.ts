// An adapter made part of the weights: a model like any other, for files and programs that know no LoRA.
import { checkModel } from "../arguments.ts";
import { UserError } from "../errors.ts";
import { freeModel } from "../models/free.ts";
import { activeAdapter, type Adapter, type Model, type Weight } from "../models/model.ts";
import { chooseBase, forget } from "./base.ts";
import { checkedRows, compareLogits, type LogitDifference, logitsOf } from "./difference.ts";
import { mergedWeights } from "./weights.ts";

/** Options of {@linkcode mergeAdapter}. */
export interface MergeOptions {
  /**
   * What the adapter is added to. "dequantized": the weights that it was trained over, NF4 ones as the numbers that they stand
   * for, so that the merged model answers as the unmerged one. "original": the weights before they were quantised, which are
   * nearer to the model that the base was, but which the adapter has never seen. Default: "dequantized" over a quantised base
   * (unless `original` is given); over a dense base both are the same.
   */
  into?: "original" | "dequantized";
  /** The base before it was quantised; default for "original": it is loaded again from where the model came from. */
  original?: Model;
  /**
   * Texts, or token ids, on which the merged model's logits are compared with the unmerged one's; an encoder-decoder answers
   * them first. Their tokens times the vocabulary times 4 bytes are held meanwhile.
   */
  rows?: Iterable<string> | Iterable<readonly number[]>;
  /** Leave the model that is passed in as it is (it stays in memory); default false: it is freed, and can't be used any more. */
  keep?: boolean;
}

/** What {@linkcode mergeAdapter} gives. */
export interface MergedModel {
  /** Dense, without adapters. */
  model: Model;
  /** With `rows`: how far the merged model's logits are from the unmerged one's. */
  difference?: LogitDifference;
}

/**
 * Merges the adapter in use into the base, as PEFT's `merge_and_unload` does: LoRA and rsLoRA as W + scale B A, DoRA with its
 * magnitudes, trained biases in place of the base's, PiSSA and LoftQ over the base that they left. Computed in float64. A tied
 * head stays tied.
 *
 * A QLoRA adapter can be merged into two bases, and neither is always better: `rows` says what each changes, `evaluate` which
 * answers are. (PEFT merges into 4 bits again, which loses part of what was learnt; here nothing is quantised anew.)
 * Weights are merged one at a time; unless `keep` is set, the old ones are given back one by one, so that a dense model is never
 * held twice. What the merged model takes is `estimateMemory(config, { tokens: 1 }).weights`: four bytes a weight on the CPU.
 *
 * @throws UserError when no adapter is in use or it is broken; for a LoftQ adapter and "original" (it begins with what quantising lost, which the
 *   original still has); when the original is quantised, of other sizes, or cannot be loaded
 *
 * @example
 * ```ts
 * import { attachLoRA, loadModel, mergeAdapter, quantizeNF4, saveModel } from "@fintune/fintune";
 * const folder = "tests/reference/llama_tied/model";
 * const tuned = attachLoRA(await quantizeNF4(await loadModel(folder)), { r: 4, quiet: true }); // ... and train it
 *
 * const rows = [[1, 15, 72, 91], [1, 33, 8]];
 * const exact = await mergeAdapter(tuned, { rows, keep: true });
 * const clean = await mergeAdapter(tuned, { into: "original", rows });
 * console.log(exact.difference, clean.difference); // rounding; what NF4 had changed
 * await saveModel(clean.model, `${await Deno.makeTempDir()}/merged`);
 * ```
 */
export async function mergeAdapter(model: Model, options: MergeOptions = {}): Promise<MergedModel> {
  checkModel("mergeAdapter", model);
  const adapter = activeAdapter(model), { keep = false } = options;
  if (!adapter) {
    throw new UserError(
      "The model has no adapter in use to merge: load one (loadAdapter) or choose one (useAdapter).",
    );
  }
  await checkSound(model, adapter);
  const rows = options.rows === undefined ? undefined : checkedRows(model, options.rows);
  const base = await chooseBase(model, adapter, { ...options, keep });
  const before = rows && await logitsOf(model, rows);
  const weights = await mergedWeights(model, adapter, base);
  if (!keep) freeRest(model, weights);
  const { adapters: _, active: __, ...rest } = model;
  const merged: Model = { ...rest, name: `${model.name} (merged)`, weights, adapters: new Map() };
  if (!before) return { model: merged };
  return { model: merged, difference: compareLogits(before, await logitsOf(merged, before), model.config) };
}

/** A broken adapter is told before the weights that it would be added to are given back. */
async function checkSound({ device }: Model, { name, parameters }: Adapter): Promise<void> {
  for (const [parameter, tensor] of parameters) {
    const [values] = await device.read(tensor) as Float32Array[];
    if (values.every(Number.isFinite)) continue;
    throw new UserError(
      `mergeAdapter: ${parameter} of the adapter "${name}" holds numbers that are not finite: its training has failed.`,
    );
  }
}

/** Frees the unmerged model, but for what the merged one goes on with. */
function freeRest(model: Model, merged: ReadonlyMap<string, Weight>): void {
  for (const [name, weight] of merged) forget(model, name, weight);
  freeModel(model);
}
