// Loss and gradients of one batch of questions and answers through T5, in either of the two ways of t5_graphs.ts.
import type { Batch } from "../data/batch.ts";
import type { Tensor } from "../engine/tensor.ts";
import type { Model } from "../models/model.ts";
import { denseTensor, tensorsUnder, typesOf } from "../models/parameters.ts";
import { biasTable, distanceBuckets, type StackName } from "../models/t5.ts";
import { embedGraph } from "./graphs.ts";
import { compiled, signature, type StepOptions, sum } from "./programs.ts";
import * as graphs from "./t5_graphs.ts";
import { type T5Inputs, uploadT5 } from "./t5_inputs.ts";

type Tensors = Record<string, Tensor>;

/** "loss", and "d <name>" of everything in `trained`. */
export async function t5LossAndGradients(
  model: Model,
  batch: Batch,
  { lossScale, dropout, checkpointing }: StepOptions,
  trained: readonly string[],
): Promise<Tensors> {
  const inputs = uploadT5(model, batch, lossScale, dropout);
  // All weights are trained in one program only: a table of positions has gradients from every block of its stack.
  const outputs = await (checkpointing && model.active !== undefined ? recomputing : keeping)(
    inputs,
    trained,
  );
  inputs.free();
  return outputs;
}

/** The summed loss alone, without gradients and without dropout. */
export async function t5Loss(model: Model, batch: Batch): Promise<Tensor> {
  const inputs = uploadT5(model, batch, 1), { setup, targets } = inputs;
  const { x } = await forward(inputs, false);
  const head = headTensors(inputs);
  const { loss } = await run(
    inputs,
    "loss",
    { x, ...targets, ...head },
    () => graphs.t5LossGraph(setup, typesOf(head), false),
  );
  model.device.free(x);
  inputs.free();
  return loss;
}

/** Logits of every position of the batch's answers, f32[positions, vocabulary]; the caller frees them. */
export async function t5Logits(model: Model, batch: Batch): Promise<Tensor> {
  const inputs = uploadT5(model, batch, 1), { setup, targets: { headScale } } = inputs;
  const { x } = await forward(inputs, false);
  const head = headTensors(inputs);
  const { logits } = await run(
    inputs,
    "logits",
    { x, headScale, ...head },
    () => graphs.t5LogitsGraph(setup, typesOf(head)),
  );
  model.device.free(x);
  inputs.free();
  return logits;
}

/** What the decoder sees of a batch's questions, f32[positions, hiddenSize]; the caller frees it. */
export async function encodedQuestions(model: Model, batch: Batch): Promise<Tensor> {
  const inputs = uploadT5(model, batch, 1);
  const { x, bias } = await throughStack(inputs, "encoder", false);
  const encoded = await encode(inputs, x);
  model.device.free(x, bias);
  inputs.free();
  return encoded;
}

/** Runs the program of that name, compiled once for all models and batches like these. */
async function run(
  { model, setup }: Pick<T5Inputs, "model" | "setup">,
  name: string,
  inputs: Tensors,
  graph: () => ReturnType<typeof graphs.t5LossGraph>,
  kinds: Tensors = {},
): Promise<Tensors> {
  const key = `t5 ${name} ${JSON.stringify(setup)} ${signature(kinds)} ${setup.table}`;
  return await (await compiled(model.device, key, graph)).run(inputs);
}

function headTensors({ model, setup }: T5Inputs): Tensors {
  const names = ["decoder.final_layer_norm.weight", setup.table];
  return Object.fromEntries(names.map((name) => [name, denseTensor(model, name)]));
}

/** One program with every activation. */
async function keeping(inputs: T5Inputs, trained: readonly string[]): Promise<Tensors> {
  const { model, setup, ids, shared, targets, layerKeys } = inputs;
  const weights = tensorsUnder(model, "");
  const buckets = (["encoder", "decoder"] as const).map((stack) => [
    `${stack}.buckets`,
    bucketTensor(model, stack),
  ]);
  const own = Object.fromEntries(buckets) as Tensors;
  const result = await run(
    inputs,
    `model ${trained}`,
    {
      "encoder.ids": ids.encoder,
      "decoder.ids": ids.decoder,
      ...own,
      ...shared.encoder,
      ...shared.decoder,
      ...Object.fromEntries(layerKeys.map((tensor, i) => [`layerKey.${i}`, tensor])),
      ...targets,
      ...weights,
    },
    () => graphs.t5ModelGraph(setup, typesOf(weights), trained),
    weights,
  );
  model.device.free(...Object.values(own));
  return result;
}

function bucketTensor({ device, config }: Model, stack: StackName): Tensor {
  const buckets = distanceBuckets(stack, config.encoderDecoder!);
  return device.upload(buckets, [buckets.length], "i32");
}

/** The bias by distance that all blocks of a stack share; the caller frees it. */
export async function biasTensor(model: Model, stack: StackName): Promise<Tensor> {
  const table = denseTensor(model, biasTable(stack)), buckets = bucketTensor(model, stack);
  const key = `t5 bias ${signature({ table, buckets })}`;
  const program = await compiled(model.device, key, () => graphs.biasGraph(table, buckets.shape[0]), {
    light: true,
  });
  const { bias } = await program.run({ buckets, table });
  model.device.free(buckets);
  return bias;
}

/** A block's weights under names without its prefix; the table of positions is not of its program. */
export function blockTensors(model: Model, stack: StackName, i: number): Tensors {
  const { "layer.0.SelfAttention.relative_attention_bias.weight": _, ...weights } = tensorsUnder(
    model,
    `${stack}.block.${i}.`,
  );
  return weights;
}

const blockCount = ({ config }: Model, stack: StackName): number =>
  stack === "encoder" ? config.numHiddenLayers : config.encoderDecoder!.numDecoderLayers;

/** All that a block takes beside its weights and x. */
function blockInputs(inputs: T5Inputs, stack: StackName, i: number, bias: Tensor): Tensors {
  const key = stack === "encoder" ? i : inputs.model.config.numHiddenLayers + i;
  return {
    ...inputs.shared[stack],
    [`${stack}.bias`]: bias,
    ...(inputs.layerKeys.length > 0 ? { layerKey: inputs.layerKeys[key] } : {}),
  };
}

interface Forward {
  /** The decoder's last output. */
  readonly x: Tensor;
  /** What stays for the backward pass: the blocks' inputs, what the decoder sees, the encoder's last output, the biases. */
  readonly inner: Record<StackName, Tensor[]>;
  readonly encoded?: Tensor;
  readonly last?: Tensor;
  readonly bias: Partial<Record<StackName, Tensor>>;
}

/** Both stacks; keeps what the backward pass needs, or frees it. */
async function forward(inputs: T5Inputs, keep: boolean): Promise<Forward> {
  const { device } = inputs.model;
  const encoder = await throughStack(inputs, "encoder", keep);
  const encoded = await encode(inputs, encoder.x);
  if (!keep) device.free(encoder.x);
  const decoder = await throughStack(inputs, "decoder", keep, encoded);
  const inner = { encoder: encoder.inner, decoder: decoder.inner };
  if (keep) {
    const bias = { encoder: encoder.bias, decoder: decoder.bias };
    return { x: decoder.x, inner, encoded, last: encoder.x, bias };
  }
  device.free(encoded, encoder.bias, decoder.bias);
  return { x: decoder.x, inner, bias: {} };
}

async function throughStack(inputs: T5Inputs, stack: StackName, keep: boolean, encoded?: Tensor) {
  const { model, setup, ids } = inputs, { device } = model;
  const table = denseTensor(model, "shared.weight");
  const embed = await compiled(
    device,
    `embed ${signature({ table })} 1`,
    () => embedGraph(model.config, table),
    { light: true },
  );
  const bias = await biasTensor(model, stack), inner: Tensor[] = [];
  let { x } = await embed.run({ inputIds: ids[stack], table });
  for (let i = 0; i < blockCount(model, stack); i++) {
    const weights = blockTensors(model, stack, i);
    const all = { x, ...(encoded ? { encoded } : {}), ...blockInputs(inputs, stack, i, bias), ...weights };
    const graph = () => graphs.t5BlockGraph(stack, setup, typesOf(weights));
    const { y } = await run(inputs, `${stack} block`, all, graph, weights);
    if (keep) inner.push(x);
    else device.free(x);
    x = y;
  }
  return { x, inner, bias };
}

const encoderNorm = ({ model }: T5Inputs): Tensors => ({
  "encoder.final_layer_norm.weight": denseTensor(model, "encoder.final_layer_norm.weight"),
});

async function encode(inputs: T5Inputs, x: Tensor): Promise<Tensor> {
  const weights = encoderNorm(inputs);
  const { y } = await run(
    inputs,
    "encoded",
    { x, ...weights },
    () => graphs.encodedGraph(inputs.setup, typesOf(weights)),
  );
  return y;
}

/** A program a block: the blocks' inputs are kept, and the backward pass computes each block again from its own. */
async function recomputing(inputs: T5Inputs, trained: readonly string[]): Promise<Tensors> {
  const { model: { device }, setup, targets } = inputs;
  const kept = await forward(inputs, true);
  const head = headTensors(inputs);
  const result: Tensors = {};
  const { loss, dx } = await run(
    inputs,
    "loss backward",
    { x: kept.x, ...targets, ...head },
    () => graphs.t5LossGraph(setup, typesOf(head), true),
  );
  device.free(kept.x);
  const { dx: dStart, dEncoded } = await backThroughStack(inputs, "decoder", kept, dx, trained, result);
  const weights = encoderNorm(inputs);
  const outputs = await run(
    inputs,
    "encoded backward",
    { x: kept.last!, dy: dEncoded!, ...weights },
    () => graphs.encodedBackwardGraph(setup, typesOf(weights)),
  );
  device.free(dStart, dEncoded!, kept.last!, kept.encoded!);
  const last = await backThroughStack(inputs, "encoder", kept, outputs.dx, trained, result);
  device.free(last.dx, kept.bias.encoder!, kept.bias.decoder!);
  return { ...result, loss };
}

/** From the last block to the first; gradients of `trained` go into `result`. */
async function backThroughStack(
  inputs: T5Inputs,
  stack: StackName,
  { inner, encoded, bias }: Forward,
  dx: Tensor,
  trained: readonly string[],
  result: Tensors,
): Promise<{ dx: Tensor; dEncoded?: Tensor }> {
  const { model, setup } = inputs, { device } = model;
  let dEncoded: Tensor | undefined;
  for (let i = blockCount(model, stack) - 1; i >= 0; i--) {
    const prefix = `${stack}.block.${i}.`, weights = blockTensors(model, stack, i);
    const names = trained.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
    const memory: Tensors = stack === "decoder" ? { encoded: encoded! } : {};
    const outputs = await run(
      inputs,
      `${stack} backward ${names}`,
      { x: inner[stack][i], dy: dx, ...memory, ...blockInputs(inputs, stack, i, bias[stack]!), ...weights },
      () => graphs.t5BlockBackwardGraph(stack, setup, typesOf(weights), names),
      weights,
    );
    device.free(inner[stack][i], dx);
    dx = outputs.dx;
    if (outputs.dEncoded) {
      dEncoded = dEncoded ? await sum(device, dEncoded, outputs.dEncoded) : outputs.dEncoded;
    }
    for (const name of names) result[`d ${prefix}${name}`] = outputs[`d ${name}`];
  }
  return { dx, dEncoded };
}
