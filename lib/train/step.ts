// Loss and gradients of one batch, in either of the two ways of lib/train/graphs.ts. Nothing here waits for a result.
import type { Batch } from "../data/batch.ts";
import type { Type } from "../engine/graph.ts";
import type { Tensor } from "../engine/tensor.ts";
import { headName, type Model, trainableParameters } from "../models/model.ts";
import { denseTensor, tensorsUnder, typesOf } from "../models/parameters.ts";
import * as graphs from "./graphs.ts";
import { type BatchInputs, uploadBatch } from "./inputs.ts";
import { compiled, inputName, signature, type StepOptions, type StepResult, sum } from "./programs.ts";
import { t5Loss, t5LossAndGradients } from "./t5_step.ts";
export { compiled, type StepOptions, type StepResult, sum } from "./programs.ts";

type Tensors = Record<string, Tensor>;

/** Loss and gradients of one batch. */
export async function lossAndGradients(
  model: Model,
  batch: Batch,
  options: StepOptions,
): Promise<StepResult> {
  const names = [...trainableParameters(model).keys()], trained = names.map(inputName);
  const outputs = model.config.encoderDecoder
    ? await t5LossAndGradients(model, batch, options, trained)
    : await decoderOutputs(model, batch, options, trained);
  return {
    loss: outputs.loss,
    gradients: new Map(names.map((name, i) => [name, outputs[`d ${trained[i]}`]])),
  };
}

async function decoderOutputs(
  model: Model,
  batch: Batch,
  options: StepOptions,
  trained: string[],
): Promise<Tensors> {
  const inputs = uploadBatch(model, batch, options);
  const outputs = await (options.checkpointing ? recomputing : keeping)(model, inputs, trained);
  inputs.free();
  return outputs;
}

/** The summed loss alone, without gradients and without dropout. */
export async function batchLoss(model: Model, batch: Batch): Promise<Tensor> {
  if (model.config.encoderDecoder) return await t5Loss(model, batch);
  const inputs = uploadBatch(model, batch, { lossScale: 1 });
  const { x } = await forward(model, inputs, false);
  const weights = headTensors(model);
  const key = `loss ${JSON.stringify(inputs.setup)} ${signature(weights)}`;
  const program = await compiled(model.device, key, () => graphs.lossGraph(inputs.setup, typesOf(weights)));
  const { loss } = await program.run({ x, ...inputs.targets, ...weights });
  model.device.free(x);
  inputs.free();
  return loss;
}

/** The last block's output for every position, f32[positions, hiddenSize]; the caller frees it. */
export async function hiddenStates(model: Model, batch: Batch): Promise<Tensor> {
  const inputs = uploadBatch(model, batch, { lossScale: 1 });
  const { x } = await forward(model, inputs, false);
  inputs.free();
  return x;
}

/** One program with every activation. */
async function keeping(model: Model, inputs: BatchInputs, trained: string[]): Promise<Tensors> {
  const weights = tensorsUnder(model, "");
  const key = `model ${JSON.stringify(inputs.setup)} ${trained} ${signature(weights)}`;
  const program = await compiled(
    model.device,
    key,
    () => graphs.modelGraph(inputs.setup, typesOf(weights), trained),
  );
  const layerKeys = Object.fromEntries(inputs.layerKeys.map((tensor, i) => [`layerKey.${i}`, tensor]));
  return program.run({
    inputIds: inputs.inputIds,
    ...inputs.noise,
    ...inputs.shared,
    ...layerKeys,
    ...inputs.targets,
    ...weights,
  });
}

/** A program a block: forward keeps each block's input, backward goes through the blocks again from the last. */
async function recomputing(model: Model, inputs: BatchInputs, trained: string[]): Promise<Tensors> {
  const { device } = model;
  const { x, inner } = await forward(model, inputs, true);
  const result: Tensors = {};
  const collect = async (outputs: Tensors, prefix: string) => {
    for (const [name, tensor] of Object.entries(outputs)) {
      if (!name.startsWith("d ")) continue;
      const whole = `d ${prefix}${name.slice(2)}`;
      result[whole] = result[whole] ? await sum(device, result[whole], tensor) : tensor;
    }
  };
  const under = (prefix: string) =>
    trained.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));

  const head = headTensors(model);
  const trainedHead = trained.filter((name) => name in head);
  const headKey = `loss backward ${JSON.stringify(inputs.setup)} ${trainedHead} ${signature(head)}`;
  const last = await compiled(
    device,
    headKey,
    () => graphs.lossBackwardGraph(inputs.setup, typesOf(head), trainedHead),
  );
  const outputs = await last.run({ x, ...inputs.targets, ...head });
  device.free(x);
  await collect(outputs, "");
  result.loss = outputs.loss;

  let dy = outputs.dx;
  for (let i = model.config.numHiddenLayers - 1; i >= 0; i--) {
    const prefix = `model.layers.${i}.`;
    const weights = tensorsUnder(model, prefix), names = under(prefix);
    const key = `block backward ${JSON.stringify(inputs.setup)} ${names} ${signature(weights)}`;
    const block = await compiled(
      device,
      key,
      () => graphs.blockBackwardGraph(inputs.setup, typesOf(weights), names),
    );
    const outputs = await block.run({
      x: inner[i],
      dy,
      ...inputs.shared,
      ...layerKey(inputs, i),
      ...weights,
    });
    device.free(inner[i], dy);
    dy = outputs.dx;
    await collect(outputs, prefix);
  }
  const tableName = "model.embed_tokens.weight";
  if (trained.includes(tableName)) {
    const table = denseTensor(model, tableName);
    const type: Type = table;
    const key = `embed backward ${signature({ table })} ${model.config.embeddingScale}`;
    const program = await compiled(device, key, () => graphs.embedBackwardGraph(model.config, type), {
      light: true,
    });
    const outputs = await program.run({ inputIds: inputs.inputIds, dx: dy, table });
    await collect({ [`d ${tableName}`]: outputs["d table"] }, "");
  }
  device.free(dy);
  return result;
}

/** Runs embedding and blocks; returns the last block's output and, if asked, every block's input. */
async function forward(
  model: Model,
  inputs: BatchInputs,
  keepInputs: boolean,
): Promise<{ x: Tensor; inner: Tensor[] }> {
  const { device, config } = model;
  const table = denseTensor(model, "model.embed_tokens.weight");
  const { noisy } = inputs.setup;
  const embedKey = `embed${noisy ? " with noise" : ""} ${signature({ table })} ${config.embeddingScale}`;
  const graph = () => graphs.embedGraph(config, table, noisy);
  const embed = await compiled(device, embedKey, graph, { light: true });
  let { x } = await embed.run({ inputIds: inputs.inputIds, table, ...inputs.noise });
  const inner: Tensor[] = [];
  for (let i = 0; i < config.numHiddenLayers; i++) {
    const weights = tensorsUnder(model, `model.layers.${i}.`);
    const key = `block ${JSON.stringify(inputs.setup)} ${signature(weights)}`;
    const block = await compiled(device, key, () => graphs.blockGraph(inputs.setup, typesOf(weights)));
    const { y } = await block.run({ x, ...inputs.shared, ...layerKey(inputs, i), ...weights });
    if (keepInputs) inner.push(x);
    else device.free(x);
    x = y;
  }
  return { x, inner };
}

const layerKey = ({ layerKeys }: BatchInputs, layer: number): Tensors =>
  layerKeys.length > 0 ? { layerKey: layerKeys[layer] } : {};

export function headTensors(model: Model): Tensors {
  return Object.fromEntries(
    ["model.norm.weight", headName(model)].map((name) => [name, denseTensor(model, name)]),
  );
}
