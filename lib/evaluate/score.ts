// What a score is: something that looks at answers and gives numbers which add up over rows, so that any choice of rows can be
// scored again without reading a text again. The ready-made ones lie in scores/, a file for each.
import { UserError } from "../errors.ts";
import type { Row } from "../data/row.ts";
import type { Model } from "../models/model.ts";

/** A model's answer to a row, with what it should have been. */
export interface Answer {
  /** The row of the dataset. */
  readonly row: Row;
  /** Its index in the dataset, from 0. */
  readonly index: number;
  /** What the model was asked, to the letter. */
  readonly question: string;
  /** What the model wrote, without spaces around it. */
  readonly prediction: string;
  /** What it should have written, without spaces around it. */
  readonly reference: string;
}

/** For scores that ask the model itself, such as for the likelihood of labels. */
export interface ScoreContext {
  /** The model that gave the answers, with its adapter in use or none. */
  readonly model: Model;
  /** Ends the work. */
  readonly signal?: AbortSignal;
}

/** One number over all rows. Each row adds its counts; the number is a function of their sums. */
export interface Measure {
  /** As tables and charts name it. */
  readonly name: string;
  /** What each row adds, in the order of the answers; equally many numbers for each. */
  readonly counts: readonly (readonly number[])[];
  /** The number, from the sums of the counts of some rows. */
  total(sums: ArrayLike<number>): number;
  /** Each row's own number, where it has one: finds the best and the worst rows. */
  readonly rows?: readonly (number | undefined)[];
  /** The largest possible value; charts are drawn as shares of it. Default 1. */
  readonly max?: number;
  /** True for losses and the like. Default false. */
  readonly lowerIsBetter?: boolean;
}

/**
 * A score: a name and what it measures. {@linkcode byRouge}, {@linkcode byBleu}, {@linkcode byChrf}, {@linkcode byLabels},
 * {@linkcode byJSON} and {@linkcode byExactMatch} are ready-made; {@linkcode rowScore} makes one of a function.
 */
export interface Score {
  /** For messages. */
  readonly name: string;
  /** Complains about expected answers that cannot be scored, before anything is generated; predictions are still empty. */
  check?(answers: readonly Answer[]): void | Promise<void>;
  /** Looks at all answers of a model; gives one or several measures, the same ones for every model. */
  measure(
    answers: readonly Answer[],
    context: ScoreContext,
  ): readonly Measure[] | Promise<readonly Measure[]>;
}

/** Further fields of a measure. */
export type MeasureOptions = Pick<Measure, "max" | "lowerIsBetter">;

/**
 * A measure that is the mean of the rows' own numbers.
 *
 * @param values of each row; a row of which nothing can be said has none (undefined), and is left out of the mean
 *
 * @example
 * ```ts
 * import { meanMeasure } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const { counts, total } = meanMeasure("half right", [1, undefined, 0.5]);
 * assert.deepEqual(counts, [[1, 1], [0, 0], [0.5, 1]]);
 * assert.equal(total([1.5, 2]), 0.75);
 * ```
 */
export function meanMeasure(
  name: string,
  values: readonly (number | undefined)[],
  options: MeasureOptions = {},
): Measure {
  return {
    name,
    counts: values.map((value) => value === undefined ? [0, 0] : [value, 1]),
    total: (sums) => sums[0] / sums[1],
    rows: values,
    ...options,
  };
}

/**
 * A score of your own: a number for each row, and their mean.
 *
 * @param name as tables show it
 * @param value of an answer; undefined where nothing can be said
 * @param options see {@linkcode MeasureOptions}
 *
 * @example
 * ```ts
 * import { rowScore } from "@fintune/fintune";
 * const cites = rowScore("names a source", ({ prediction }) => /10-[KQ]/.test(prediction) ? 1 : 0);
 * console.log(cites.name);
 * ```
 */
export function rowScore(
  name: string,
  value: (answer: Answer) => number | boolean | undefined,
  options: MeasureOptions = {},
): Score {
  const numberOf = (answer: Answer) => {
    const given = value(answer);
    return typeof given === "boolean" ? Number(given) : given;
  };
  return { name, measure: (answers) => [meanMeasure(name, answers.map(numberOf), options)] };
}

/** The sums of the counts of all rows. */
export function sumsOf({ counts }: Measure): Float64Array {
  const sums = new Float64Array(counts[0]?.length ?? 0);
  for (const row of counts) row.forEach((count, i) => sums[i] += count);
  return sums;
}

/**
 * What a score gave, checked: as many rows as answers, every number a number.
 *
 * @throws UserError naming score, measure and row
 */
export function checkMeasure(score: Score, measure: Measure, rows: number): void {
  const { name, counts } = measure;
  const named = score.name === name ? `The score "${name}"` : `The score "${score.name}" (${name})`;
  if (counts.length !== rows || (measure.rows && measure.rows.length !== rows)) {
    throw new UserError(
      `${named} gave numbers for ${counts.length} rows of ${rows}: it must give one for each.`,
    );
  }
  const bad = counts.findIndex((row) => row.length !== counts[0].length || !row.every(Number.isFinite));
  if (bad >= 0) {
    throw new UserError(
      `${named} is ${
        measure.rows?.[bad] ?? `[${counts[bad]}]`
      } for row ${bad}: every row needs a finite number, or undefined ` +
        "where nothing can be said.",
    );
  }
  const total = measure.total(sumsOf(measure));
  if (Number.isFinite(total)) return;
  throw new UserError(`${named} is ${total} over all ${rows} rows: no row has a number that counts.`);
}
