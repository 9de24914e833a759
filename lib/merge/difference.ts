// How far two models' logits are apart on rows of the user's.
import { UserError } from "../errors.ts";
import { generate } from "../generate/generate.ts";
import type { ModelConfig } from "../models/config.ts";
import type { Model } from "../models/model.ts";
import { logits } from "../train/inspect.ts";

/** The merged model's logits against the unmerged one's, over every token of some rows and the whole vocabulary. */
export interface LogitDifference {
  /** The largest absolute difference of two logits. */
  largest: number;
  /** The mean absolute difference. */
  mean: number;
  /** Positions that were compared. */
  tokens: number;
  /** Positions at which another token is the likeliest. */
  otherTokens: number;
}

/** What a model has read (and, of an encoder-decoder, answered), with its logits. */
interface ReadRow {
  readonly ids: readonly number[];
  /** An encoder-decoder's answer, from its start token on. */
  readonly answer?: readonly number[];
  readonly logits?: Float32Array;
}

/** Rows as token ids. */
export function checkedRows(model: Model, rows: Iterable<string> | Iterable<readonly number[]>): ReadRow[] {
  const list = typeof rows === "string" ? [] : [...rows ?? []];
  if (list.length === 0 || typeof list[0] === "number") {
    throw new UserError("mergeAdapter: rows are a list of texts, or of token ids' lists, and at least one.");
  }
  return list.map((row, i) => {
    if (typeof row === "string" && !model.tokenizer) {
      throw new UserError(`${model.name} has no tokenizer: give mergeAdapter's rows as token ids.`);
    }
    const ids = typeof row === "string" ? model.tokenizer!.encode(row) : [...row];
    if (ids.length === 0) throw new UserError(`mergeAdapter: row ${i} is empty: give it at least one token.`);
    return { ids };
  });
}

/** Each row's logits; an encoder-decoder's after each token of the answer that is there, or else of its own. */
export async function logitsOf(model: Model, rows: readonly ReadRow[]): Promise<ReadRow[]> {
  const read: ReadRow[] = [];
  for (const { ids, answer = await answerTo(model, ids) } of rows) {
    read.push({ ids, answer, logits: (await logits(model, ids, { decoderInputIds: answer })).data });
  }
  return read;
}

async function answerTo(model: Model, ids: readonly number[]): Promise<number[] | undefined> {
  const start = model.config.encoderDecoder?.decoderStartTokenId;
  if (start === undefined) return undefined;
  return [start, ...await generate(model, ids, { maxNewTokens: 32, doSample: false, numBeams: 1 })];
}

export function compareLogits(
  before: readonly ReadRow[],
  after: readonly ReadRow[],
  { vocabSize }: ModelConfig,
): LogitDifference {
  let largest = 0, sum = 0, tokens = 0, otherTokens = 0;
  before.forEach(({ logits: old }, row) => {
    const now = after[row].logits!;
    for (let start = 0; start < now.length; start += vocabSize) {
      let likeliest = 0, was = 0;
      for (let i = 0; i < vocabSize; i++) {
        const difference = Math.abs(now[start + i] - old![start + i]);
        sum += difference;
        largest = Math.max(largest, difference);
        if (now[start + i] > now[start + likeliest]) likeliest = i;
        if (old![start + i] > old![start + was]) was = i;
      }
      tokens++;
      otherTokens += Number(likeliest !== was);
    }
  });
  return { largest, mean: sum / (tokens * vocabSize), tokens, otherTokens };
}
