// Learning rates by step, equal to Transformers' get_*_schedule functions: with a warm-up the first step's rate is 0.
import { UserError } from "../errors.ts";

/** The learning rate of optimizer step `step`, counted from 0. */
export type Schedule = (step: number) => number;

/** Options of the schedules. */
export interface ScheduleOptions {
  /** Steps over which the rate rises from 0 to its peak; default 0. */
  warmup?: number;
  /** Steps of the whole run. */
  total: number;
}

function checked(peak: number, { warmup = 0, total }: ScheduleOptions): { warmup: number; total: number } {
  if (!(peak >= 0 && Number.isFinite(peak))) {
    throw new UserError(`The learning rate is ${peak}; it must be a number of at least 0.`);
  }
  if (!(warmup >= 0) || !(total > 0)) {
    throw new UserError(
      `A schedule of ${total} steps with a warm-up of ${warmup} is impossible: both must be positive numbers.`,
    );
  }
  return { warmup, total };
}

/** The shared shape: a linear rise, then `fall` of the share of the remaining steps that is done. */
function afterWarmup(peak: number, options: ScheduleOptions, fall: (done: number) => number): Schedule {
  const { warmup, total } = checked(peak, options);
  return (step) =>
    peak * (step < warmup ? step / Math.max(1, warmup) : fall((step - warmup) / Math.max(1, total - warmup)));
}

/**
 * Rises linearly over `warmup` steps, then falls linearly to 0 at `total` (Transformers'
 * get_linear_schedule_with_warmup).
 *
 * @example
 * ```ts
 * import { linearSchedule } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const rate = linearSchedule(1e-3, { warmup: 2, total: 6 });
 * assert.deepEqual([0, 1, 2, 4, 6].map(rate), [0, 5e-4, 1e-3, 5e-4, 0]);
 * ```
 */
export function linearSchedule(peak: number, options: ScheduleOptions): Schedule {
  return afterWarmup(peak, options, (done) => Math.max(0, 1 - done));
}

/**
 * Rises linearly over `warmup` steps, then follows half a cosine to 0 at `total` (Transformers'
 * get_cosine_schedule_with_warmup).
 *
 * @example
 * ```ts
 * import { cosineSchedule } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.equal(cosineSchedule(2e-4, { total: 10 })(0), 2e-4);
 * assert.ok(Math.abs(cosineSchedule(2e-4, { total: 10 })(5) - 1e-4) < 1e-12);
 * ```
 */
export function cosineSchedule(peak: number, options: ScheduleOptions): Schedule {
  return afterWarmup(peak, options, (done) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * done))));
}

/**
 * Like `cosineSchedule`, but starts anew at the peak `cycles` times (Transformers'
 * get_cosine_with_hard_restarts_schedule_with_warmup).
 *
 * @example
 * ```ts
 * import { cosineWithRestartsSchedule } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const rate = cosineWithRestartsSchedule(1, { total: 30, cycles: 3 });
 * assert.deepEqual([rate(0), rate(10), rate(20), rate(30)], [1, 1, 1, 0]);
 * ```
 */
export function cosineWithRestartsSchedule(
  peak: number,
  { cycles = 1, ...options }: ScheduleOptions & {
    /** How often the cosine is run through; default 1. */ cycles?: number;
  },
): Schedule {
  return afterWarmup(
    peak,
    options,
    (done) => done >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((cycles * done) % 1)))),
  );
}

/**
 * Rises linearly over `warmup` steps, then stays (Transformers' get_constant_schedule_with_warmup).
 *
 * @example
 * ```ts
 * import { constantSchedule } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.deepEqual([0, 1, 2, 99].map(constantSchedule(4, { warmup: 2 })), [0, 2, 4, 4]);
 * ```
 */
export function constantSchedule(
  peak: number,
  { warmup = 0 }: { /** Default 0. */ warmup?: number } = {},
): Schedule {
  return afterWarmup(peak, { warmup, total: Infinity }, () => 1);
}
