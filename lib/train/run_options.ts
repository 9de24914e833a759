// What a run is told and what it tells.
import type { Batch } from "../data/batch.ts";
import type { Batches } from "../data/pack.ts";
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import type { TrainOptions } from "./epoch.ts";
import { checkSettings, checkWhole } from "./optimizer_step.ts";
import type { Evaluation } from "./state.ts";

/** Options of {@linkcode train}, by the names of Transformers' Trainer. */
export interface RunOptions extends Omit<TrainOptions, "skipBatches" | "maxSteps"> {
  /** Passes over the batches; default 3, or with `maxSteps` as many as it takes. */
  epochs?: number;
  /** Stop after so many steps of the whole run. */
  maxSteps?: number;
  /** Evaluated every `evalSteps` steps and at the end; made with the same `completionOnly` as the batches, or a line says so. */
  heldOut?: Batches | readonly Batch[];
  /** Default: once an epoch. */
  evalSteps?: number;
  /** Folder of the run: checkpoints (`checkpoint-<step>`) and the log. Without it nothing is saved. */
  out?: string;
  /** A checkpoint every so many steps, besides those of the best evaluation and of the end; default 500, or once an epoch if that is less. */
  saveSteps?: number;
  /** Checkpoints that are kept, the last ones; the best is kept besides. Default 2. */
  saveTotalLimit?: number;
  /** End after so many evaluations in a row without improvement; default: never. */
  earlyStoppingPatience?: number;
  /** What the loss must fall by to count as an improvement; default 0. */
  earlyStoppingThreshold?: number;
  /** At the end the model gets the weights of the best evaluation (default false: it keeps the last). */
  loadBestModelAtEnd?: boolean;
  /**
   * Go on from the newest checkpoint in `out` (true), from it or else from the start ("auto"), or from the checkpoint of this
   * path. Default false: `out` must not hold any.
   */
  resume?: boolean | string;
  /** Called after every evaluation. */
  onEvaluate?: (report: Evaluation & { best: boolean }) => void;
  /** The log, one JSON object a line; default log.jsonl in `out`. */
  log?: string;
  /** A folder for TensorBoard's event files; default: none are written. */
  tensorBoard?: string;
}

/** What a run was. */
export interface RunReport {
  /** Optimizer steps of the whole run, those before it was resumed included. */
  steps: number;
  /** Mean over all trained positions of the whole run, each at the step that trained it. */
  loss: number;
  /** Real (unpadded) tokens of the whole run. */
  tokens: number;
  /** Of this process, without the time of evaluations and saves. */
  tokensPerSecond: number;
  /** The same time. */
  seconds: number;
  /** All evaluations of the whole run. */
  evaluations: Evaluation[];
  /** The one with the lowest loss. */
  best?: Evaluation;
  /** Why it ended: all steps done, Ctrl-C (or SIGTERM, or `signal`), or no improvement. */
  stopped: "done" | "signal" | "early stopping";
  /** The newest checkpoint. */
  checkpoint?: string;
}

/** The steps of a run. */
export interface Plan {
  /** Of the whole run. */
  total: number;
  evalSteps: number;
  saveSteps: number;
  saveTotalLimit: number;
}

/** Options checked and made whole. */
export function planRun(model: Model, batches: Batches | readonly Batch[], options: RunOptions): Plan {
  checkSettings(model, options);
  const { gradientAccumulationSteps = 1, maxSteps, epochs = maxSteps === undefined ? 3 : Infinity } = options;
  if (batches.length === 0) throw new UserError("There are no batches to train on.");
  if (epochs !== Infinity) checkWhole("epochs", epochs);
  const inEpoch = Math.ceil(batches.length / gradientAccumulationSteps);
  const { evalSteps = inEpoch, saveSteps = Math.min(500, inEpoch), saveTotalLimit = 2 } = options;
  checkWhole("evalSteps", evalSteps);
  checkWhole("saveSteps", saveSteps);
  checkWhole("saveTotalLimit", saveTotalLimit);
  checkStopping(options);
  tellOtherLabels(batches, options);
  return { total: Math.min(maxSteps ?? Infinity, epochs * inEpoch), evalSteps, saveSteps, saveTotalLimit };
}

/** Loss on answers and on whole texts are two things; who wants both on purpose only reads a line. */
function tellOtherLabels(batches: Batches | readonly Batch[], { heldOut }: RunOptions): void {
  const [trained, scored] = [batches, heldOut].map((given) =>
    given && "completionOnly" in given ? given.completionOnly : undefined
  );
  if (trained === undefined || scored === undefined || trained === scored) return;
  const what = (answers: boolean) => answers ? "answers alone" : "whole texts";
  console.warn(
    `heldOut gives the loss of ${what(scored)}, but ${what(trained)} are trained: ` +
      `the two losses do not compare, give both the same completionOnly (${trained}).`,
  );
}

function checkStopping(options: RunOptions): void {
  const { heldOut, out, earlyStoppingPatience: patience, earlyStoppingThreshold: threshold = 0 } = options;
  if (patience !== undefined) checkWhole("earlyStoppingPatience", patience);
  if (!(threshold >= 0 && threshold < Infinity)) {
    throw new UserError(`earlyStoppingThreshold is ${threshold}; it must be a number of at least 0.`);
  }
  if (heldOut?.length === 0) throw new UserError("heldOut has no batches: leave it away, or give some.");
  if (heldOut === undefined && (patience !== undefined || options.loadBestModelAtEnd)) {
    throw new UserError("Early stopping and loadBestModelAtEnd need `heldOut`, the batches to evaluate on.");
  }
  if (options.loadBestModelAtEnd && out === undefined) {
    throw new UserError(
      "loadBestModelAtEnd needs `out`, the folder where the best weights are kept meanwhile.",
    );
  }
}
