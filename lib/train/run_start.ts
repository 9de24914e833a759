// The start of a run: from its first step, or from a checkpoint that must be of this run.
import { join } from "@std/path";
import { type Batch, positionsIn, positionsOf } from "../data/batch.ts";
import type { Batches } from "../data/pack.ts";
import { lowbias32 } from "../engine/ops/dropout.ts";
import { UserError } from "../errors.ts";
import { chooseCheckpointing } from "../models/memory.ts";
import type { Model } from "../models/model.ts";
import { openRunLog, type RunLog } from "../report/run_log.ts";
import { resumeTraining } from "./checkpoint.ts";
import { batchesFingerprint, checkSame } from "./fingerprint.ts";
import { inOrder } from "./optimizer_step.ts";
import { checkpointSteps, findStart, LOG } from "./run_folder.ts";
import type { Plan, RunOptions } from "./run_options.ts";
import { newState, type TrainingState } from "./state.ts";

/** The state to begin with: a new one, or a checkpoint's, whose weights and moments are put back. */
export async function begin(
  model: Model,
  batches: Batches | readonly Batch[],
  options: RunOptions,
): Promise<{ state: TrainingState; checkpoint?: string }> {
  const { optimizer, out, seed = 0, gradientAccumulationSteps = 1, heldOut, resume = false, quiet } = options;
  if (optimizer.steps > 0) {
    throw new UserError(
      `The optimizer has done ${optimizer.steps} steps already: a run needs a new one (adamW).`,
    );
  }
  const checkpoint = await findStart(out, resume);
  const same = {
    ...batchesFingerprint(batches),
    gradientAccumulationSteps,
    seed,
    ...(heldOut ? batchesFingerprint(heldOut, "held-out ") : {}),
  };
  const state = checkpoint ? await resumeTraining(checkpoint, { model, optimizer }) : newState(seed);
  if (checkpoint) {
    checkSame(state.same, same, checkpoint);
    await checkBest(state, options);
    if (!quiet) console.error(`Going on from ${checkpoint}.`);
    tellRate(state, options);
  }
  state.same = { ...state.same, ...same };
  state.checkpointing = options.checkpointing ?? state.checkpointing ??
    chooseCheckpointing(model, largestBatch(inOrder(batches, epochSeed(state))));
  return { state, checkpoint };
}

/** Told now, not after hours of training: where a run's checkpoints went elsewhere, the best cannot be put back at the end. */
async function checkBest(
  { step, best }: TrainingState,
  { out, loadBestModelAtEnd }: RunOptions,
): Promise<void> {
  if (!loadBestModelAtEnd || !best || (await checkpointSteps(out!)).includes(best.step)) return;
  const needed = best.step === step ? `checkpoint-${step}` : `checkpoint-${best.step} and checkpoint-${step}`;
  throw new UserError(
    `${out} lacks checkpoint-${best.step}, the best so far, which loadBestModelAtEnd would take: put ${needed} there and ` +
      "resume in that folder, or leave loadBestModelAtEnd away.",
  );
}

/** A schedule may be changed on purpose; that it jumps is said. */
function tellRate({ learningRate }: TrainingState, { optimizer, quiet }: RunOptions): void {
  const rate = optimizer.learningRate();
  if (quiet || learningRate === undefined || learningRate === rate) return;
  console.error(`The learning rate goes on at ${rate}; the run before would have had ${learningRate} now.`);
}

/** Positions of the largest batch of an epoch. */
function largestBatch(batches: Batches | readonly Batch[]): number {
  if (!("examples" in batches)) {
    return batches.reduce((most, batch) => Math.max(most, positionsIn(batch)), 0);
  }
  const { examples, batchSize, layout, decoderStartTokenId } = batches;
  let most = 0;
  for (let start = 0; start < examples.length; start += batchSize) {
    const rows = examples.slice(start, start + batchSize);
    const questions = positionsOf(rows.map(({ inputIds }) => inputIds.length), layout);
    const answers = positionsOf(rows.map(({ labels }) => labels.length), layout);
    most = Math.max(most, questions + (decoderStartTokenId === undefined ? 0 : answers));
  }
  return most;
}

/** The log that the options ask for, with its first line. */
export async function openLog(
  { out, log: path = out && join(out, LOG), tensorBoard, resume, gradientAccumulationSteps = 1 }: RunOptions,
  { total }: Plan,
  { step, seed }: TrainingState,
  checkpoint: string | undefined,
): Promise<RunLog | undefined> {
  if (path === undefined) return undefined;
  // A run that was killed before its first checkpoint has left a log too.
  const log = await openRunLog(path, { tensorBoard, resumeAt: resume ? step : undefined });
  const entry = { step, time: now(), total, seed, gradientAccumulationSteps };
  log.write(checkpoint ? { kind: "resume", ...entry, from: checkpoint } : { kind: "start", ...entry });
  return log;
}

/** Seconds since 1970, as the log counts. */
export const now = (): number => Date.now() / 1000;

/** Every epoch has an order of rows and bits of dropout of its own. */
export function epochSeed({ seed, epoch }: TrainingState): number {
  return lowbias32(lowbias32(seed) + Math.imul(epoch + 1, 0x9e3779b9));
}
