// Several datasets as one: each is split by itself, so that every kind is held out in the same share.

import { UserError } from "../../errors.ts";
import { Dataset, type SplitOptions } from "../dataset.ts";

/**
 * Splits each dataset into a training and a test part, puts the parts together and shuffles them, as FinSight does with its five
 * categories (a quarter of each held out, seed 42).
 *
 * @param datasets at least one; each must have two rows or more
 * @param options the test share of each dataset (default 0.25) and the seed (default 42) of all splits and shuffles
 * @throws UserError when a part of a dataset would be empty
 *
 * @example
 * ```ts
 * import { Dataset, introductionConversations, splitEach } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const [one, two] = [introductionConversations(40), introductionConversations(20, { seed: 1 })];
 * const { train, test } = splitEach([one, two]);
 * assert.deepEqual([train.length, test.length], [45, 15]);
 * ```
 */
export function splitEach<T>(
  datasets: readonly Dataset<T>[],
  options: Partial<SplitOptions> = {},
): { train: Dataset<T>; test: Dataset<T> } {
  const { test = 0.25, seed = 42 } = options;
  if (datasets.length === 0) throw new UserError("splitEach needs at least one dataset, and got none.");
  const parts = datasets.map((dataset) => dataset.split({ test, seed }));
  const together = (part: "train" | "test") =>
    new Dataset(parts.flatMap((each) => each[part].toArray()), part).shuffle(seed);
  return { train: together("train"), test: together("test") };
}
