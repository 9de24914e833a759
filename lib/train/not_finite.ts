// A loss or gradients that are not finite: which rows give it, and what usually causes it.
import { type Batch, type DecoderSide, layOut, layOutPairs } from "../data/batch.ts";
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import { batchLoss } from "./step.ts";

/** Where each row of a batch, or of its answers, begins and ends. */
function runs(
  { positions, rowOf }: Pick<DecoderSide, "positions" | "rowOf">,
): [start: number, end: number][] {
  const starts = positions.keys().filter((t) => positions[t] === 0 && rowOf[t] >= 0).toArray();
  return starts.map((start) => {
    let end = start + 1;
    while (end < rowOf.length && rowOf[end] === rowOf[start] && positions[end] > 0) end++;
    return [start, end];
  });
}

/** The rows of a batch as batches of their own, each with the dataset's number of the row. */
function* rowsAlone(batch: Batch): Generator<{ row: number; batch: Batch }> {
  const { inputIds, rowOf, targetIndex, targetIds, rows, decoder } = batch;
  const answers = runs(decoder ?? batch), lead = decoder ? 0 : 1; // a decoder's label is the next position's token
  for (const [i, [start, end]] of runs(batch).entries()) {
    const [first, last] = answers[i], labels = new Int32Array(last - first).fill(-100);
    targetIndex.forEach((t, k) => {
      if (t >= first && t < last) labels[t - first + lead] = targetIds[k];
    });
    if (labels.every((label) => label === -100)) continue;
    const examples = [{ inputIds: inputIds.slice(start, end), labels, row: rowOf[start] }];
    const alone = decoder
      ? layOutPairs(examples, "padded", decoder.inputIds[first])
      : layOut(examples, "padded");
    yield { row: rows[i], batch: alone };
  }
}

/** The rows whose loss is not finite even alone, without dropout. */
async function rowsThatBreak(model: Model, group: readonly Batch[]): Promise<number[]> {
  const found: number[] = [];
  for (const whole of group) {
    for (const { row, batch } of rowsAlone(whole)) {
      const loss = await batchLoss(model, batch);
      const [[value]] = await model.device.read(loss);
      model.device.free(loss);
      if (!Number.isFinite(value)) found.push(row);
    }
  }
  return found;
}

const list = (rows: readonly number[]): string =>
  rows.length === 1 ? `row ${rows[0]}` : `rows ${rows.join(", ")}`;

/**
 * The error for a loss that is not finite.
 *
 * @param what "loss of step 3", "held-out loss after step 20"
 * @param searchable whether the model still holds the weights that gave the loss, so that the rows can be tried alone
 */
export async function lossNotFinite(
  model: Model,
  group: readonly Batch[],
  { what, loss, searchable }: { what: string; loss: number; searchable: boolean },
): Promise<UserError> {
  const rows = group.flatMap(({ rows }) => rows);
  const breaking = searchable ? await rowsThatBreak(model, group) : [];
  const head = (named: readonly number[]) => `The ${what} is ${loss} (${list(named)})`;
  if (breaking.length > 0 && breaking.length < rows.length) {
    return new UserError(
      `${head(breaking)}, from ${breaking.length === 1 ? "that row" : "those rows"} alone, the other ${
        rows.length - breaking.length
      } of the batch being sound: look at what stands there.`,
    );
  }
  if (breaking.length > 1) {
    return new UserError(
      `${
        head(rows)
      }, from every row alone too, so that the weights are out of range: the learning rate is too high, ` +
        "lower it or give it a warm-up.",
    );
  }
  return new UserError(
    `${head(rows)}: usually the learning rate is too high; lower it, or look at ${
      rows.length === 1 ? "that row" : "those rows"
    }.`,
  );
}

/**
 * The error for gradients that are not finite though the loss is.
 *
 * @param updated whether the weights have been changed by them already
 */
export function gradientsNotFinite(
  group: readonly Batch[],
  { step, norm, updated }: { step: number; norm: number; updated: boolean },
): UserError {
  const rows = group.flatMap(({ rows }) => rows);
  const state = updated
    ? ", and the weights after it are not to be trusted: start again"
    : ", and the weights were left as they were before it: go on";
  return new UserError(
    `The gradients of step ${step} have the norm ${norm} (${
      list(rows)
    })${state} with a lower learning rate or alpha, ` +
      `or look at ${rows.length === 1 ? "that row" : "those rows"}.`,
  );
}
