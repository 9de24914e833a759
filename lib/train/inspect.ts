// Looking at a model from outside: logits, and loss with gradients, as plain arrays.
import type { Batch } from "../data/batch.ts";
import { batchOf } from "../data/batch.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { f32, trace } from "../engine/trace.ts";
import { UserError } from "../errors.ts";
import { norm } from "../models/decoder.ts";
import { headName, type Model } from "../models/model.ts";
import { typesOf } from "../models/parameters.ts";
import { checkTrainable } from "./adamw.ts";
import type { DropoutKey } from "./inputs.ts";
import { t5Logits } from "./t5_step.ts";
import { compiled, headTensors, hiddenStates, lossAndGradients } from "./step.ts";

/** Row-major numbers with their shape. */
export interface Matrix {
  /** `data[row * columns + column]` */
  data: Float32Array;
  /** Its sizes. */
  shape: [rows: number, columns: number];
}

/**
 * The logits of one row of token ids: `data[t * vocabulary + i]` is the score of token i after position t.
 *
 * @param options `decoderInputIds`: what an encoder-decoder's answer has so far, from its start token on; the logits are
 *   those after each of them
 * @throws UserError for an empty row or an id outside the vocabulary
 *
 * @example
 * ```ts
 * import { loadModel, logits } from "@fintune/fintune";
 * const model = await loadModel("tests/reference/llama_tied/model");
 * const { shape } = await logits(model, [1, 15, 72]);
 * console.log(shape); // [ 3, 120 ]
 * ```
 */
export async function logits(
  model: Model,
  inputIds: ArrayLike<number>,
  { decoderInputIds }: { decoderInputIds?: ArrayLike<number> } = {},
): Promise<Matrix> {
  const { device, config } = model;
  if (config.encoderDecoder) return await answerLogits(model, inputIds, decoderInputIds ?? []);
  const batch = batchOf([{ inputIds, labels: Array.from(inputIds) }], { layout: "padded" });
  checkIds(model, batch.inputIds);
  const x = await hiddenStates(model, batch);
  const weights = headTensors(model);
  const table = headName(model);
  const program = await compiled(
    device,
    `logits ${table} ${weights[table].dtype} ${JSON.stringify(config)}`,
    () =>
      trace({ x: f32("tokens", config.hiddenSize), ...typesOf(weights) }, (values) => {
        const { x, ...rest } = values as Record<string, typeof values.x>;
        const h = norm(x, { weight: (name) => rest[name] }, "model.norm", config);
        return { logits: matmul(h, rest[table], { transB: true }) };
      }),
  );
  const outputs = await program.run({ x, ...weights });
  const [data] = await device.read(outputs.logits);
  device.free(x, outputs.logits);
  return { data: data as Float32Array, shape: [inputIds.length, config.vocabSize] };
}

/** After each token of an answer; a batch of which these are the labels, one later, has it as the decoder's input. */
async function answerLogits(
  model: Model,
  inputIds: ArrayLike<number>,
  decoderInputIds: ArrayLike<number>,
): Promise<Matrix> {
  const [start, ...rest] = Array.from(decoderInputIds);
  if (start === undefined) {
    throw new UserError(
      "logits of an encoder-decoder need decoderInputIds: the answer so far, from its start token on.",
    );
  }
  const rows = [{ inputIds, labels: [...rest, 0] }];
  const batch = batchOf(rows, { layout: "padded", decoderStartTokenId: start });
  checkBatch(model, batch);
  const tensor = await t5Logits(model, batch);
  const [data] = await model.device.read(tensor);
  model.device.free(tensor);
  return { data: data as Float32Array, shape: [rest.length + 1, model.config.vocabSize] };
}

/** Token ids that the embedding has no row for are a user's mistake, not a crash on the device. */
export function checkIds(model: Model, ids: ArrayLike<number>, what = "Token id"): void {
  const { vocabSize } = model.config;
  for (let i = 0; i < ids.length; i++) {
    if (!Number.isInteger(ids[i]) || ids[i] < 0 || ids[i] >= vocabSize) {
      throw new UserError(
        `${what} ${ids[i]} at position ${i} is outside the model's vocabulary of ${vocabSize}.`,
      );
    }
  }
}

/** A batch to train on: every id is in the vocabulary, and there is something to learn. */
export function checkBatch(model: Model, { inputIds, targetIds, rows, decoder }: Batch): void {
  if (model.config.encoderDecoder && !decoder) {
    throw new UserError(
      `${model.name} has an encoder and a decoder, but the batch is laid out for a decoder: make it with ` +
        `decoderStartTokenId ${model.config.encoderDecoder.decoderStartTokenId}.`,
    );
  }
  if (decoder && !model.config.encoderDecoder) {
    throw new UserError(
      `${model.name} is a decoder, but the batch is laid out for an encoder-decoder: leave out decoderStartTokenId.`,
    );
  }
  checkIds(model, inputIds);
  if (decoder) checkIds(model, decoder.inputIds, "Token id of the answer");
  checkIds(model, targetIds, "Trained label");
  if (targetIds.length === 0) {
    const at = `rows ${rows.join(", ")}`;
    throw new UserError(
      `The batch of ${at} has no trained token: every label but the first of a row is -100.`,
    );
  }
}

/** What {@linkcode gradients} gives. */
export interface Gradients {
  /** Mean over the trained positions. */
  loss: number;
  /** Number of trained positions. */
  tokens: number;
  /** Gradients of `loss` by PEFT's tensor names (without an adapter: the base's names), row-major. */
  gradients: Record<string, Float32Array>;
}

/** Options of {@linkcode gradients}. */
export interface GradientOptions {
  /** Recompute activations (default true) or keep them all. */
  checkpointing?: boolean;
  /** Which random bits dropout draws; default: nothing is dropped. */
  dropout?: DropoutKey;
}

/**
 * Mean loss of a batch and its gradients with respect to everything that is trained.
 *
 * @example
 * ```ts
 * import { attachLoRA, batchOf, gradients, loadModel } from "@fintune/fintune";
 * const model = attachLoRA(await loadModel("tests/reference/llama_tied/model"), { r: 2, quiet: true });
 * const { loss, tokens } = await gradients(model, batchOf([{ inputIds: [1, 5, 6, 2], labels: [-100, -100, 6, 2] }]));
 * console.log(loss, tokens); // the mean of 2 cross-entropies, 2
 * ```
 */
export async function gradients(
  model: Model,
  batch: Batch,
  options: GradientOptions = {},
): Promise<Gradients> {
  checkTrainable(model);
  checkBatch(model, batch);
  const tokens = batch.targetIds.length;
  const { checkpointing = true, dropout } = options;
  const result = await lossAndGradients(model, batch, { lossScale: 1 / tokens, checkpointing, dropout });
  const names = [...result.gradients.keys()], tensors = [...result.gradients.values()];
  const [loss, ...data] = await model.device.read(result.loss, ...tensors);
  const values = Object.fromEntries(names.map((name, i) => [name, (data[i] as Float32Array).slice()]));
  model.device.free(result.loss, ...tensors);
  return { loss: loss[0] / tokens, tokens, gradients: values };
}
