// How likely a model finds each label as the answer: constrained scoring, without generating any text.
import { checkModel, checkTexts } from "../arguments.ts";
import { batchOf } from "../data/batch.ts";
import { gatherRows } from "../engine/ops/gather_rows.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { f32, i32, trace } from "../engine/trace.ts";
import { UserError } from "../errors.ts";
import { checkLabels } from "./classification.ts";
import { norm } from "../models/decoder.ts";
import { headName, type Model } from "../models/model.ts";
import { typesOf } from "../models/parameters.ts";
import { checkIds } from "../train/inspect.ts";
import { compiled, headTensors, hiddenStates } from "../train/step.ts";
import { t5Logits } from "../train/t5_step.ts";

/** What a model thinks of each label after one prompt; lists in the order of the labels. */
export interface LabelLikelihood<L> {
  /** The label with the largest sum, lm-evaluation-harness's choice for acc. */
  best: L;
  /** The label with the largest mean, which does not favour short labels. */
  bestByMean: L;
  /** Sum of the log-probabilities of a label's tokens, in nats. */
  sums: number[];
  /** The sum divided by the number of tokens. */
  means: number[];
  /** Tokens of each label. */
  tokens: number[];
}

/** Options of {@linkcode scoreLabels}. */
export interface LabelOptions {
  /** Between a prompt and a label; default: a space, or nothing after a prompt that ends with white space. */
  separator?: string;
  /** Prompts that go through the model together; default 8. */
  batchSize?: number;
  /** Ends the work: its reason is thrown. */
  signal?: AbortSignal;
}

/** Logits that are on the host at once: 16 MB. */
const MOST_LOGITS = 4_000_000;

/**
 * Log-probabilities of labels as the answer to each prompt. Where a model is asked for one of a few labels this needs no free
 * text, and always finds one. Labels of one token share one pass of the prompt.
 *
 * @param prompts texts, or rows of token ids
 * @param labels texts, or rows of token ids for prompts of token ids
 * @throws {UserError} for fewer than two labels, one that is empty or there twice, a text without a tokenizer, or a prompt that leaves no room for a label
 *
 * Source: log-likelihoods and tokens as in lm-evaluation-harness (prompt and label are tokenized as one text, white space at
 * the prompt's end belongs to the label; an encoder-decoder's label is a text of its own, without EOS); its acc takes the
 * largest sum, its acc_norm divides by letters where this divides by tokens.
 *
 * @example
 * ```ts
 * import { loadModel, scoreLabels } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const model = await loadModel("tests/reference/llama_tied/model"); // has no tokenizer
 * const [{ best, sums, means }] = await scoreLabels(model, [[1, 15, 72, 91]], [[51], [37, 5]]);
 * assert.deepEqual(best, [51]);
 * assert.deepEqual(means, [sums[0], sums[1] / 2]);
 * ```
 */
export async function scoreLabels<const L extends string | readonly number[]>(
  model: Model,
  prompts: Iterable<string | readonly number[]>,
  labels: readonly L[],
  options: LabelOptions = {},
): Promise<LabelLikelihood<L>[]> {
  checkModel("scoreLabels", model);
  checkTexts("scoreLabels", "prompts", prompts);
  checkTexts("scoreLabels", "labels", labels);
  const { batchSize = 8 } = options;
  checkLabels(labels.filter((label) => typeof label === "string"));
  if (labels.length < 2) throw new UserError(`scoreLabels needs at least two labels, not ${labels.length}.`);
  if (!(Number.isInteger(batchSize) && batchSize > 0)) {
    throw new UserError(`batchSize is ${batchSize}; it must be a whole number of at least 1.`);
  }
  const asked = Array.from(
    prompts,
    (prompt, row) => labels.map((label) => choice(model, { prompt, label, row }, options)),
  );
  const order = asked.map((_, i) => i).sort((a, b) => longest(asked[a]) - longest(asked[b]));
  const results: LabelLikelihood<L>[] = new Array(asked.length);
  for (let start = 0; start < order.length; start += batchSize) {
    options.signal?.throwIfAborted();
    const rows = order.slice(start, start + batchSize);
    const choices = rows.map((row) => asked[row]);
    const sums = await (model.config.encoderDecoder ? answerSums(model, choices) : batchSums(model, choices));
    rows.forEach((row, i) => results[row] = likelihood(labels, asked[row], sums[i]));
  }
  return results;
}

/** Prompt and label as one row of tokens, of which those from `start` on are the label's. */
interface Choice {
  ids: readonly number[];
  start: number;
}

const longest = (choices: readonly Choice[]) => Math.max(...choices.map(({ ids }) => ids.length));

function likelihood<L>(labels: readonly L[], choices: readonly Choice[], sums: number[]): LabelLikelihood<L> {
  const tokens = choices.map(({ ids, start }) => ids.length - start);
  const means = sums.map((sum, i) => sum / tokens[i]);
  const best = (values: number[]) => labels[values.indexOf(Math.max(...values))];
  return { best: best(sums), bestByMean: best(means), sums, means, tokens };
}

type Asked = { prompt: string | readonly number[]; label: string | readonly number[]; row: number };

function choice(model: Model, asked: Asked, { separator }: LabelOptions): Choice {
  const { prompt, label, row } = asked;
  const name = `Prompt ${row + 1} with the label ${JSON.stringify(label)}`;
  if ((typeof prompt === "string") !== (typeof label === "string")) {
    throw new UserError(`${name}: one is text and the other token ids; make both the same.`);
  }
  const { ids, start } = typeof prompt === "string"
    ? textChoice(model, prompt, label as string, separator)
    : { ids: [...prompt, ...label as number[]], start: prompt.length };
  checkIds(model, ids, `${name}: token id`);
  if (start < 1) throw new UserError(`${name}: the prompt is empty; give it at least one token.`);
  if (start >= ids.length) throw new UserError(`${name}: the label has no token of its own; take another.`);
  const { maxPositionEmbeddings, encoderDecoder } = model.config;
  // Relative positions, as T5 has them, have no end.
  if (!encoderDecoder && ids.length > maxPositionEmbeddings) {
    throw new UserError(
      `${name} has ${ids.length} tokens, but the model ${maxPositionEmbeddings} positions: shorten the prompt.`,
    );
  }
  return { ids, start };
}

function textChoice(
  { name, tokenizer, config }: Model,
  prompt: string,
  label: string,
  separator = /\s$/.test(prompt) ? "" : " ",
): Choice {
  if (!tokenizer) {
    throw new UserError(
      `${name} has no tokenizer.json: add the tokenizer's files, or pass token ids instead of text.`,
    );
  }
  if (config.encoderDecoder) {
    const question = tokenizer.encode(prompt);
    const answer = tokenizer.encode(label, { addSpecialTokens: false });
    return { ids: [...question, ...answer], start: question.length };
  }
  const ids = tokenizer.encode(prompt + separator + label);
  return { ids, start: tokenizer.encode(prompt.trimEnd()).length };
}

/** What several labels need of one row: after the token at `at`, the probability of `token`; it counts for label `label`. */
interface Run {
  ids: readonly number[];
  uses: { at: number; token: number; label: number }[];
}

/** A label whose tokens but the last begin another's row needs no row of its own. */
function runsOf(choices: readonly Choice[]): Run[] {
  const runs: Run[] = [];
  const order = choices.map((_, i) => i).sort((a, b) => choices[b].ids.length - choices[a].ids.length);
  for (const label of order) {
    const { ids, start } = choices[label], needed = ids.slice(0, -1);
    let run = runs.find((run) => needed.every((id, i) => run.ids[i] === id));
    if (!run) runs.push(run = { ids: needed, uses: [] });
    for (let i = start; i < ids.length; i++) run.uses.push({ at: i - 1, token: ids[i], label });
  }
  return runs;
}

/** For each prompt of a batch the sum of each label's log-probabilities. */
async function batchSums(model: Model, prompts: readonly Choice[][]): Promise<number[][]> {
  const runs = prompts.flatMap((choices, prompt) => runsOf(choices).map((run) => ({ ...run, prompt })));
  const x = await hiddenStates(model, batchOf(runs.map(({ ids }) => ({ inputIds: ids }))));
  const sums = prompts.map((choices) => choices.map(() => 0));
  let first = 0;
  const uses = runs.flatMap(({ ids, uses, prompt }) => {
    const from = first;
    first += ids.length;
    return uses.map(({ at, token, label }) => ({
      position: from + at,
      token,
      add: (p: number) => sums[prompt][label] += p,
    }));
  });
  const positions = [...new Set(uses.map(({ position }) => position))];
  const { vocabSize } = model.config, together = Math.max(1, Math.floor(MOST_LOGITS / vocabSize));
  try {
    for (let start = 0; start < positions.length; start += together) {
      const some = positions.slice(start, start + together), logits = await logitsAt(model, x, some);
      some.forEach((position, i) => {
        const row = logits.subarray(i * vocabSize, (i + 1) * vocabSize), total = logSumExp(row);
        for (const use of uses) if (use.position === position) use.add(row[use.token] - total);
      });
    }
  } finally {
    model.device.free(x);
  }
  return sums;
}

/** The same for an encoder-decoder: each label is an answer of its own. */
async function answerSums(model: Model, prompts: readonly Choice[][]): Promise<number[][]> {
  const { vocabSize, encoderDecoder } = model.config, { decoderStartTokenId } = encoderDecoder!;
  const rows = prompts.flatMap((choices, prompt) =>
    choices.map((choice, label) => ({ ...choice, prompt, label }))
  );
  const batch = batchOf(
    rows.map(({ ids, start }) => ({ inputIds: ids.slice(0, start), labels: ids.slice(start) })),
    { decoderStartTokenId },
  );
  const tensor = await t5Logits(model, batch);
  const [logits] = await model.device.read(tensor);
  model.device.free(tensor);
  const sums = prompts.map((choices) => choices.map(() => 0));
  let target = 0;
  for (const { ids, start, prompt, label } of rows) {
    for (let i = start; i < ids.length; i++, target++) {
      const at = batch.targetIndex[target] * vocabSize;
      const row = (logits as Float32Array).subarray(at, at + vocabSize);
      sums[prompt][label] += row[ids[i]] - logSumExp(row);
    }
  }
  return sums;
}

/** The logits after some positions, [positions, vocabulary]. */
async function logitsAt(model: Model, x: Awaited<ReturnType<typeof hiddenStates>>, positions: number[]) {
  const { device, config } = model;
  const weights = headTensors(model), table = headName(model);
  const program = await compiled(
    device,
    `logits at ${table} ${weights[table].dtype} ${JSON.stringify(config)}`,
    () =>
      trace(
        { x: f32("tokens", config.hiddenSize), index: i32("positions"), ...typesOf(weights) },
        (values) => {
          const { x, index, ...rest } = values as Record<string, typeof values.x>;
          const h = norm(gatherRows(x, index), { weight: (name) => rest[name] }, "model.norm", config);
          return { logits: matmul(h, rest[table], { transB: true }) };
        },
      ),
  );
  const index = device.upload(Int32Array.from(positions), [positions.length], "i32");
  const { logits } = await program.run({ x, index, ...weights });
  const [data] = await device.read(logits);
  device.free(index, logits);
  return data as Float32Array;
}

function logSumExp(values: Float32Array): number {
  let most = -Infinity, sum = 0;
  for (const value of values) if (value > most) most = value;
  for (const value of values) sum += Math.exp(value - most);
  return most + Math.log(sum);
}
