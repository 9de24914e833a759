// Where a run stands, beside weights and moments: what a checkpoint's training_state.json holds, checked when it is read.
import { UserError } from "../errors.ts";
import { isObject, type JsonObject } from "../text/files.ts";

/** One evaluation on the held-out rows. */
export interface Evaluation {
  /** Optimizer steps done. */
  step: number;
  /** Epochs done, with the share of the one under way. */
  epoch: number;
  /** Mean over all trained positions of the held-out batches. */
  loss: number;
}

/**
 * Where a run stands. Dropout's bits and the order of the rows follow from `seed`, `epoch` and `step` alone, so that no state
 * of a random generator is needed.
 */
export interface TrainingState {
  /** Optimizer steps done; the schedule's position. */
  step: number;
  /** Epoch under way, from 0. */
  epoch: number;
  /** Batches of it that are done. */
  batch: number;
  /** Of the run. */
  seed: number;
  /** Loss summed over trained positions, those positions, and real tokens, from the first step on. */
  totals: { lossSum: number; targets: number; tokens: number };
  /** All evaluations so far, in order. */
  evaluations: Evaluation[];
  /** The evaluation with the lowest loss. */
  best?: Evaluation;
  /** Evaluations since the last improvement, for early stopping. */
  withoutImprovement: number;
  /** Whether the run recomputes activations: decided once, as the two ways differ in the last bits. */
  checkpointing?: boolean;
  /** The next step's rate: a schedule that was changed meanwhile is told. */
  learningRate?: number;
  /** What has to be the same for the run to go on, by name. */
  same: Record<string, string | number>;
}

/** A run that has not begun. */
export function newState(seed: number): TrainingState {
  return {
    step: 0,
    epoch: 0,
    batch: 0,
    seed,
    totals: { lossSum: 0, targets: 0, tokens: 0 },
    evaluations: [],
    withoutImprovement: 0,
    same: {},
  };
}

/** Of training_state.json; a later layout gets the next number. */
const VERSION = 1;

/** The fields in a fixed order: a run that went on writes the same bytes. */
export function stateText(state: TrainingState): string {
  const { step, epoch, batch, seed, learningRate, checkpointing, totals, best, withoutImprovement } = state;
  const place = { version: VERSION, step, epoch, batch, seed, learningRate, checkpointing, totals };
  const { evaluations, same } = state;
  return JSON.stringify({ ...place, best, withoutImprovement, evaluations, same }, null, 2) + "\n";
}

/**
 * Reads training_state.json.
 *
 * @param json the parsed file
 * @param where what errors call it
 * @throws UserError naming the first field that is missing or impossible
 */
export function parseState(json: JsonObject, where: string): TrainingState {
  if (json.version !== VERSION) {
    throw new UserError(
      `${where}: its version is ${JSON.stringify(json.version)}, this library reads ${VERSION}.`,
    );
  }
  const field = fieldsOf(json, where);
  const totals = fieldsOf(field.object("totals"), `${where}, totals`);
  const { best, checkpointing } = json;
  if (checkpointing !== undefined && typeof checkpointing !== "boolean") {
    throw impossible(where, "checkpointing", checkpointing);
  }
  const state: TrainingState = {
    step: field.count("step"),
    epoch: field.count("epoch"),
    batch: field.count("batch"),
    seed: field.finite("seed"),
    totals: {
      lossSum: totals.finite("lossSum"),
      targets: totals.count("targets"),
      tokens: totals.count("tokens"),
    },
    evaluations: parseEvaluations(json, where),
    withoutImprovement: field.count("withoutImprovement"),
    same: parseSame(field.object("same"), where),
    ...(best === undefined ? {} : { best: parseEvaluation(best, `${where}, best`) }),
    ...(checkpointing === undefined ? {} : { checkpointing }),
    ...(json.learningRate === undefined ? {} : { learningRate: field.finite("learningRate") }),
  };
  if (state.evaluations.concat(state.best ?? []).some(({ step }) => step > state.step)) {
    throw new UserError(`${where}: it tells of evaluations after step ${state.step}, where it stands.`);
  }
  return state;
}

function parseEvaluations({ evaluations }: JsonObject, where: string): Evaluation[] {
  if (!Array.isArray(evaluations)) throw impossible(where, "evaluations", evaluations);
  return evaluations.map((entry, i) => parseEvaluation(entry, `${where}, evaluations[${i}]`));
}

function parseEvaluation(entry: unknown, where: string): Evaluation {
  if (!isObject(entry)) throw new UserError(`${where} is ${shown(entry)}, no object.`);
  const field = fieldsOf(entry, where);
  return { step: field.count("step"), epoch: field.finite("epoch"), loss: field.finite("loss") };
}

function parseSame(same: JsonObject, where: string): Record<string, string | number> {
  for (const [name, value] of Object.entries(same)) {
    if (typeof value !== "string" && !Number.isFinite(value)) throw impossible(`${where}, same`, name, value);
  }
  return same as Record<string, string | number>;
}

function fieldsOf(json: JsonObject, where: string) {
  return {
    count(name: string): number {
      const value = json[name];
      if (Number.isSafeInteger(value) && value as number >= 0) return value as number;
      throw impossible(where, name, value);
    },
    finite(name: string): number {
      const value = json[name];
      if (Number.isFinite(value)) return value as number;
      throw impossible(where, name, value);
    },
    object(name: string): JsonObject {
      const value = json[name];
      if (isObject(value)) return value;
      throw impossible(where, name, value);
    },
  };
}

function impossible(where: string, name: string, value: unknown): UserError {
  return new UserError(
    `${where}: ${name} is ${
      shown(value)
    }, which no run leaves behind: the file is damaged, take another checkpoint.`,
  );
}

const shown = (value: unknown): string => (JSON.stringify(value) ?? "missing").slice(0, 60);
