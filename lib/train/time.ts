// How long a run will take here, from a trial of each of its parts.
import { type Batch, positionsIn } from "../data/batch.ts";
import type { Batches } from "../data/pack.ts";
import { generate } from "../generate/generate.ts";
import { chooseCheckpointing } from "../models/memory.ts";
import type { Model } from "../models/model.ts";
import { evaluateLoss } from "./epoch.ts";
import { lossAndGradients } from "./step.ts";

/** What a run is going to do. */
export interface PlannedWork {
  /** What is trained on. */
  batches: Batches;
  /** Optimizer steps of the run. */
  steps: number;
  /** Batches that make one step; default 1. */
  gradientAccumulationSteps?: number;
  /** What is evaluated on; default: nothing. */
  heldOut?: Batches;
  /** How often; default 1. */
  evaluations?: number;
  /** What is asked; default: nothing. */
  questions?: readonly string[];
  /** Longest answer in tokens; default 256. */
  maxNewTokens?: number;
  /** How often everything is asked; default 2, before and after. */
  rounds?: number;
}

/** Seconds. */
export interface TimeEstimate {
  /** Of one optimizer step. */
  step: number;
  /** All steps. */
  training: number;
  /** All evaluations. */
  evaluation: number;
  /** All answers, if each is as long as allowed: an upper bound. */
  answers: number;
  /** Together. */
  total: number;
}

/** Answers that are tried at once, and how long. */
const TRIED_QUESTIONS = 8, SHORT_ANSWER = 2, LONG_ANSWER = 10;

/**
 * Estimates how long a run takes on this machine: it goes forward and backward through one batch, evaluates one and begins a few
 * answers, each twice (the first time also compiles), and scales by tokens. Nothing of the model is changed. Takes as long as
 * two steps, and some seconds for the answers.
 *
 * @throws UserError where a batch does not fit into memory, as `train` would
 *
 * @example
 * ```ts
 * import { attachLoRA, estimateTime, formatDuration, loadModel, packBatches } from "@fintune/fintune";
 * const model = attachLoRA(await loadModel("tests/reference/llama_tied/model"), { r: 2, quiet: true });
 * const batches = packBatches([{ inputIds: [1, 5, 6, 2] }, { inputIds: [1, 7, 2] }], { batchSize: 2 });
 * const { total } = await estimateTime(model, { batches, steps: 100 });
 * console.log(`about ${formatDuration(total)}`);
 * ```
 */
export async function estimateTime(model: Model, work: PlannedWork): Promise<TimeEstimate> {
  const { batches, steps, gradientAccumulationSteps = 1, heldOut, evaluations = 1 } = work;
  const forStep = await secondsOfBatch(batches, (batch) => trainingPass(model, batch)) *
    gradientAccumulationSteps;
  const training = steps * forStep;
  const evaluation = heldOut
    ? evaluations * heldOut.length * await secondsOfBatch(heldOut, (batch) => evaluateLoss(model, [batch]))
    : 0;
  const answers = await secondsOfAnswers(model, work);
  return { step: forStep, training, evaluation, answers, total: training + evaluation + answers };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

/** Seconds of a batch of mean size; the work is done on the first one. */
async function secondsOfBatch(batches: Batches, work: (batch: Batch) => Promise<unknown>): Promise<number> {
  const [first] = batches;
  await work(first);
  return await timed(() => work(first)) * (batches.tokens / batches.length) / first.tokens;
}

async function trainingPass(model: Model, batch: Batch): Promise<void> {
  const checkpointing = chooseCheckpointing(model, positionsIn(batch));
  const { loss, gradients } = await lossAndGradients(model, batch, {
    lossScale: 1 / batch.targetIds.length,
    checkpointing,
    dropout: { seed: 0, step: 0 },
  });
  await model.device.read(loss); // a GPU is done only then
  model.device.free(loss, ...gradients.values());
}

async function secondsOfAnswers(model: Model, work: PlannedWork): Promise<number> {
  const { questions = [], maxNewTokens = 256, rounds = 2 } = work;
  if (questions.length === 0 || rounds === 0) return 0;
  const tried = questions.slice(0, TRIED_QUESTIONS);
  const answer = (tokens: number) => generate(model, tried, { maxNewTokens: tokens, eosTokenIds: [] });
  await answer(SHORT_ANSWER);
  const short = await timed(() => answer(SHORT_ANSWER)), long = await timed(() => answer(LONG_ANSWER));
  const perToken = Math.max(0, long - short) / (LONG_ANSWER - SHORT_ANSWER);
  const batches = Math.ceil(questions.length / TRIED_QUESTIONS);
  return rounds * batches * (short + perToken * Math.max(0, maxNewTokens - SHORT_ANSWER));
}
