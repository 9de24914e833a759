// Intervals by the bootstrap: rows are drawn again and again, with repetition, and everything is measured on each draw.
import { percentile } from "../data/lengths.ts";
import { seededRandom } from "../data/random.ts";
import { UserError } from "../errors.ts";
import { type Measure, sumsOf } from "./score.ts";

/** Options of {@linkcode bootstrap}. */
export interface BootstrapOptions {
  /** Draws of rows. Default 1,000. */
  resamples?: number;
  /** Decides the draws. Default 0. */
  seed?: number;
  /** Share of the draws that the interval holds. Default 0.95. */
  confidence?: number;
}

/** A number with its percentile interval. */
export interface Interval {
  /** Over the rows as they are. */
  value: number;
  /** Lower end. */
  low: number;
  /** Upper end. */
  high: number;
}

/**
 * Percentile intervals (Efron 1979; percentiles as numpy's) of measures over the same rows, and of their changes against the
 * first. Pairs stay together: a draw takes the same rows for all, so a change's interval leaves out what the difficulty of
 * the rows does to both. Draws on which a number does not exist (no row that counts among them) are left out.
 *
 * @param measures the same measure of several models
 * @param options see {@linkcode BootstrapOptions}
 * @returns `values` of each measure; `changes` of each from the second on, against the first
 * @throws {UserError} for no rows, measures over different numbers of rows, or an option out of range
 *
 * @example
 * ```ts
 * import { bootstrap, meanMeasure } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const base = meanMeasure("exact match", [0, 0, 1, 0]), tuned = meanMeasure("exact match", [1, 1, 1, 0]);
 * const { values, changes } = bootstrap([base, tuned]);
 * assert.equal(values[1].value, 0.75);
 * assert.deepEqual(changes, [{ value: 0.5, low: 0, high: 1 }]);
 * ```
 */
export function bootstrap(
  measures: readonly Measure[],
  options: BootstrapOptions = {},
): { values: Interval[]; changes: Interval[] } {
  const { resamples = 1000, seed = 0, confidence = 0.95 } = options;
  checkMeasures(measures);
  checkDraws(options);
  const drawn = resampledTotals(measures, resamples, seed);
  const totals = measures.map((measure) => measure.total(sumsOf(measure)));
  const interval = (value: number, draws: Float64Array): Interval => {
    const sorted = draws.filter(Number.isFinite).sort();
    if (sorted.length === 0) return { value, low: value, high: value };
    const tail = 100 * (1 - confidence) / 2;
    return { value, low: percentile(sorted, tail), high: percentile(sorted, 100 - tail) };
  };
  const others = measures.map((_, i) => i).slice(1);
  return {
    values: measures.map((_, i) => interval(totals[i], drawn[i])),
    changes: others.map((i) =>
      interval(totals[i] - totals[0], drawn[i].map((total, d) => total - drawn[0][d]))
    ),
  };
}

function checkMeasures(measures: readonly Measure[]): void {
  const rows = measures[0]?.counts.length ?? 0;
  if (rows === 0) throw new UserError("bootstrap needs at least one row, and got none.");
  const other = measures.find(({ counts }) => counts.length !== rows);
  if (other) {
    throw new UserError(
      `bootstrap compares measures over the same rows, but ${
        measures[0].name
      } has ${rows} and ${other.name} ` +
        `${other.counts.length}.`,
    );
  }
}

/** The options, before anything long is done for them. */
export function checkDraws({ resamples = 1000, confidence = 0.95 }: BootstrapOptions): void {
  if (!(Number.isInteger(resamples) && resamples >= 1)) {
    throw new UserError(`resamples is ${resamples}; it must be a whole number from 1 on.`);
  }
  if (!(confidence > 0 && confidence < 1)) {
    throw new UserError(`confidence is ${confidence}; it must be above 0 and below 1.`);
  }
}

/** The totals of each measure on each draw. */
function resampledTotals(measures: readonly Measure[], resamples: number, seed: number): Float64Array[] {
  const rows = measures[0].counts.length, random = seededRandom(seed);
  const totals = measures.map(() => new Float64Array(resamples));
  const times = new Int32Array(rows);
  for (let draw = 0; draw < resamples; draw++) {
    times.fill(0);
    for (let i = 0; i < rows; i++) times[Math.floor(random() * rows)]++;
    measures.forEach((measure, m) => totals[m][draw] = measure.total(weightedSums(measure, times)));
  }
  return totals;
}

/** The sums of the counts when each row occurs so many times. */
function weightedSums({ counts }: Measure, times: Int32Array): Float64Array {
  const sums = new Float64Array(counts[0].length);
  for (let row = 0; row < times.length; row++) {
    const weight = times[row];
    if (weight === 0) continue;
    const adds = counts[row];
    for (let i = 0; i < adds.length; i++) sums[i] += weight * adds[i];
  }
  return sums;
}
