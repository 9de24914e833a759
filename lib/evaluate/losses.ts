// The loss of each row alone, for what is measured row by row.
import { type BatchOptions, packBatches } from "../data/pack.ts";
import type { Row } from "../data/row.ts";
import type { Model } from "../models/model.ts";
import { batchLosses } from "../train/epoch.ts";
import type { Measure } from "./score.ts";

/** What a row adds to a loss: its sum in nats, and how many tokens it is over. */
export type LossCounts = [loss: number, tokens: number];

/** Loss and tokens of each row; zeros for one that has no trained token within maxLength. */
export async function rowLosses(
  model: Model,
  rows: readonly Row[],
  options: Omit<BatchOptions, "batchSize" | "tokenizer"> & { signal?: AbortSignal; onRow?: () => void },
): Promise<LossCounts[]> {
  const { signal, onRow, ...layout } = options;
  const counts = rows.map((): LossCounts => [0, 0]);
  const batches = packBatches(rows, { ...layout, tokenizer: model.tokenizer, batchSize: 1 });
  for await (const { batch, loss, targets } of batchLosses(model, batches)) {
    signal?.throwIfAborted();
    counts[batch.rows[0]] = [loss, targets];
    onRow?.();
  }
  return counts;
}

/** The mean over all tokens. */
export const lossMeasure = (name: string, counts: readonly LossCounts[]): Measure => ({
  name,
  counts,
  total: (sums) => sums[0] / sums[1],
  lowerIsBetter: true,
  rows: counts.map(([loss, tokens]) => tokens > 0 ? loss / tokens : undefined),
});
