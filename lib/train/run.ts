// A run over epochs that evaluates, saves, stops early, and goes on after whatever ended it, to the same bits.
import { checkTraining } from "../arguments.ts";
import type { Batch } from "../data/batch.ts";
import type { Batches } from "../data/pack.ts";
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import { processMemory } from "../report/memory.ts";
import { type ProgressLine, progressLine } from "../report/progress.ts";
import type { RunLog } from "../report/run_log.ts";
import { checkFinite, putWeightsBack, saveCheckpoint } from "./checkpoint.ts";
import { batchLosses } from "./epoch.ts";
import { lossNotFinite } from "./not_finite.ts";
import { createMeter, groups, inOrder, type Meter, optimizerStep } from "./optimizer_step.ts";
import { checkpointPath, checkpointSteps, openRunFolder, prune } from "./run_folder.ts";
import { type Plan, planRun, type RunOptions, type RunReport } from "./run_options.ts";
import { begin, epochSeed, now, openLog } from "./run_start.ts";
import { onFirstSignal, turnOfEventLoop } from "./signals.ts";
import type { TrainingState } from "./state.ts";

/** A run under way. */
interface Run {
  readonly model: Model;
  readonly batches: Batches | readonly Batch[];
  readonly options: RunOptions;
  readonly plan: Plan;
  readonly state: TrainingState;
  readonly meter: Meter;
  readonly line: ProgressLine;
  readonly log?: RunLog;
  /** Set by the first signal, or by `signal`. */
  readonly stopping: AbortSignal;
  /** Where it went on from, then where it was last saved. */
  checkpoint?: string;
}

/**
 * Trains over epochs. With `out` it saves checkpoints from which `resume` goes on after any end, a killed process or a power
 * cut included; on the CPU to the same bits as if it had never stopped. With `heldOut` it evaluates, keeps the best and
 * stops early.
 *
 * Ctrl-C (SIGTERM, on Windows Ctrl-Break) ends it after the step in hand, with a checkpoint; a second one at once.
 *
 * @param model with an adapter in use, or a dense one to train wholly
 * @param batches from `packBatches` or `padBatches`, shuffled anew every epoch; an array of batches keeps its order
 * @param options see {@linkcode RunOptions}; `optimizer` must be new
 * @throws UserError for options that cannot be, a checkpoint of another run, a disk that is full, a loss that is not finite:
 *   the last good weights are in `out` then, and on the CPU in the model
 *
 * @example
 * ```ts
 * import { adamW, attachLoRA, loadModel, padBatches, train } from "@fintune/fintune";
 * const model = attachLoRA(await loadModel("tests/reference/llama_tied/model"), { r: 2, quiet: true });
 * const rows = Array.from({ length: 6 }, (_, i) => ({ inputIds: [1, 5 + i, 7, 2] }));
 * const out = await Deno.makeTempDir();
 * const { steps, evaluations, checkpoint } = await train(model, padBatches(rows, { batchSize: 2 }), {
 *   optimizer: adamW(model, { learningRate: 1e-3 }),
 *   epochs: 2,
 *   heldOut: padBatches([{ inputIds: [1, 9, 7, 2] }]),
 *   out,
 *   resume: "auto",
 *   quiet: true,
 * });
 * console.log(steps, evaluations.length, checkpoint); // 6 2 .../checkpoint-6
 * await Deno.remove(out, { recursive: true });
 * ```
 */
export async function train(
  model: Model,
  batches: Batches | readonly Batch[],
  options: RunOptions,
): Promise<RunReport> {
  checkTraining("train", model, batches, options);
  const plan = planRun(model, batches, options);
  const { out, quiet, signal, onStep } = options;
  const folder = out === undefined ? undefined : await openRunFolder(out);
  const stop = new AbortController();
  const stopListening = onFirstSignal(() => {
    stop.abort();
    if (!quiet) console.error("\nStopping after this step; once more leaves at once.");
  });
  let run: Run | undefined;
  try {
    const { state, checkpoint } = await begin(model, batches, options);
    const line = progressLine({ total: plan.total, label: "training", quiet });
    const log = await openLog(options, plan, state, checkpoint);
    const meter: Meter = createMeter(model, {
      line,
      totals: state.totals,
      onStep(report) {
        const tokensPerSecond = meter.tokensPerSecond(), memory = processMemory().rss;
        log?.write({ kind: "step", time: now(), ...report, tokensPerSecond, memory });
        onStep?.(report);
      },
    });
    const stopping = signal ? AbortSignal.any([stop.signal, signal]) : stop.signal;
    run = { model, batches, options, plan, state, meter, line, log, stopping, checkpoint };
    return await untilTheEnd(run);
  } finally {
    run?.line.finish();
    run?.log?.close();
    stopListening();
    folder?.close();
  }
}

async function untilTheEnd(run: Run): Promise<RunReport> {
  const { model, state, meter, options: { out, loadBestModelAtEnd }, plan } = run;
  let stopped: RunReport["stopped"] | undefined;
  try {
    if (out && run.checkpoint) await prune(out, plan.saveTotalLimit, state.best?.step);
    stopped = await settle(run); // what was due where the checkpoint stands
    if (!stopped) {
      for await (const _ of optimizerSteps(run)) if ((stopped = await settle(run))) break;
    }
    await meter.settle();
  } catch (error) {
    throw await keepTheGood(run, error);
  }
  if (loadBestModelAtEnd && stopped !== "signal" && state.best && state.best.step !== state.step) {
    await putWeightsBack(checkpointPath(out!, state.best.step), model);
  }
  run.log?.write({ kind: "end", step: state.step, time: now(), stopped: stopped! });
  run.line.finish();
  if (stopped === "signal") sayHowToGoOn(run);
  const { lossSum, targets, tokens } = state.totals;
  return {
    steps: state.step,
    loss: lossSum / targets,
    tokens,
    tokensPerSecond: meter.tokensPerSecond(),
    seconds: meter.seconds(),
    evaluations: state.evaluations,
    best: state.best,
    stopped: stopped!,
    checkpoint: run.checkpoint,
  };
}

async function* optimizerSteps({ model, batches, options, plan, state, meter }: Run): AsyncGenerator<void> {
  const { gradientAccumulationSteps = 1 } = options;
  while (state.step < plan.total) {
    const seed = epochSeed(state);
    for (const group of groups(inOrder(batches, seed), gradientAccumulationSteps, state.batch)) {
      const done = await optimizerStep(model, group, {
        ...options,
        seed,
        checkpointing: state.checkpointing,
      });
      state.step++;
      state.batch += group.length;
      await meter.add(done);
      yield;
    }
    state.epoch++;
    state.batch = 0;
  }
}

/** Evaluates and saves where that is due; returns why the run ends here, if it does. */
async function settle(run: Run): Promise<RunReport["stopped"] | undefined> {
  const { state, plan, stopping, options: { out, heldOut, earlyStoppingPatience = Infinity } } = run;
  await turnOfEventLoop();
  const last = state.step >= plan.total;
  let owed = heldOut !== undefined && state.step > 0 && (last || state.step % plan.evalSteps === 0) &&
    state.evaluations.at(-1)?.step !== state.step;
  const evaluated = owed && await run.meter.aside(() => evaluate(run));
  if (evaluated) owed = false; // else a signal came: the resumed run does it
  const ends = owed
    ? "signal"
    : last
    ? "done"
    : state.withoutImprovement >= earlyStoppingPatience
    ? "early stopping"
    : stopping.aborted
    ? "signal"
    : undefined;
  const isBest = evaluated && state.best?.step === state.step;
  if (out !== undefined && (ends || isBest || state.step % plan.saveSteps === 0)) {
    await run.meter.aside(() => save(run, out));
  }
  return ends;
}

/** False where a stop was asked for meanwhile: nothing is noted then. */
async function evaluate(run: Run): Promise<boolean> {
  const { model, state, batches, options, stopping } = run;
  let sum = 0, targets = 0;
  for await (const { batch, loss, targets: count } of batchLosses(model, options.heldOut!)) {
    if (!Number.isFinite(loss)) {
      const what = `held-out loss after step ${state.step}`;
      throw await lossNotFinite(model, [batch], { what, loss, searchable: true });
    }
    sum += loss;
    targets += count;
    await turnOfEventLoop();
    if (stopping.aborted) return false;
  }
  note(run, { step: state.step, epoch: state.epoch + state.batch / batches.length, loss: sum / targets });
  return true;
}

/** As Transformers: the best is the lowest, an improvement is one by more than the threshold. */
function note({ state, log, line, options }: Run, evaluation: TrainingState["evaluations"][number]): void {
  const { step, epoch, loss } = evaluation, before = state.best?.loss ?? Infinity;
  const best = loss < before, improved = loss < before - (options.earlyStoppingThreshold ?? 0);
  state.evaluations.push(evaluation);
  state.withoutImprovement = improved ? 0 : state.withoutImprovement + 1;
  if (best) state.best = evaluation;
  log?.write({ kind: "evaluation", step, time: now(), epoch, loss, best });
  line.update({ step, "held-out loss": loss.toFixed(4) });
  options.onEvaluate?.({ ...evaluation, best });
}

/** Saves where the run stands, unless that is on disk already, and removes what is no longer kept. */
async function save(run: Run, out: string): Promise<void> {
  const { model, state, plan, log, options: { optimizer } } = run;
  const path = checkpointPath(out, state.step);
  if (state.step === 0 || run.checkpoint && (await checkpointSteps(out)).includes(state.step)) return;
  await saveCheckpoint(path, { model, optimizer, state });
  run.checkpoint = path;
  log?.write({ kind: "checkpoint", step: state.step, time: now(), path });
  await prune(out, plan.saveTotalLimit, state.best?.step);
}

/**
 * After an error the weights of the last whole step are saved. Where they are broken (a GPU has gone on by the time it tells; a
 * huge rate breaks them on the CPU too) the model gets the last checkpoint's back. The error then says which.
 */
async function keepTheGood(run: Run, error: unknown): Promise<unknown> {
  const { options: { out } } = run;
  if (!out) return error;
  const sound = await isSound(run);
  if (sound) await save(run, out).catch(() => {}); // the first error is the one to tell
  if (!(error instanceof UserError) || !run.checkpoint) return error;
  if (sound) return new UserError(`${error.message} The last good state is kept in ${run.checkpoint}.`);
  await putWeightsBack(run.checkpoint, run.model);
  return new UserError(`${error.message} The model has the weights of ${run.checkpoint} again.`);
}

/** Whether weights and state are those of one and the same whole step, all of whose numbers are finite. */
async function isSound({ model, state, meter, options: { optimizer } }: Run): Promise<boolean> {
  try {
    await meter.settle();
    await checkFinite(model, state.step);
    return optimizer.steps === state.step;
  } catch {
    return false;
  }
}

function sayHowToGoOn({ state, options: { out, quiet }, checkpoint }: Run): void {
  if (quiet) return;
  const what = `Stopped after step ${state.step}`;
  if (!out) console.error(`${what}; nothing was saved, as no folder (out) was given.`);
  else if (!checkpoint) console.error(`${what}: there was nothing to save yet.`);
  else console.error(`${what}, saved in ${checkpoint}: the same call with resume: true goes on from there.`);
}
