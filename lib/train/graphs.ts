// The graphs of training. Either the whole model, forward and backward, is one program that keeps every activation; or a
// block is compiled once and run for every layer, and its backward program recomputes its forward pass (gradient
// checkpointing, Chen et al. 2016), so that only each layer's input is kept.
import { gradients } from "../engine/grad.ts";
import type { Graph, Type, Value } from "../engine/graph.ts";
import { add } from "../engine/ops/add.ts";
import { attention } from "../engine/ops/attention.ts";
import { gatherRows } from "../engine/ops/gather_rows.ts";
import { linearCrossEntropy } from "../engine/ops/linear_cross_entropy.ts";
import { f32, i32, trace } from "../engine/trace.ts";
import { type Attend, decoderBlock, embed, headShape, norm } from "../models/decoder.ts";
import type { ModelConfig } from "../models/config.ts";
import { type Layer, type LoRAInputs, symbolicLayer } from "../models/parameters.ts";

type Values = Readonly<Record<string, Value>>;
type Types = Readonly<Record<string, Type>>;

/** What the graphs of one model and one kind of run have in common. */
export interface TrainingSetup {
  readonly config: ModelConfig;
  readonly lora?: LoRAInputs["config"];
  /** Whether dropout is on (training with a rate above 0). */
  readonly dropping: boolean;
  /** Whether the embeddings get noise (NEFTune). */
  readonly noisy: boolean;
  /** Names of the head's weights: the norm's and the table's. */
  readonly head: { readonly norm: "model.norm"; readonly table: string };
  readonly rotaryLength: number;
}

/** Inputs that describe the batch to every block. */
export function batchTypes({ config, dropping, rotaryLength }: TrainingSetup): Record<string, Type> {
  const half = config.headDim / 2;
  return {
    positions: i32("tokens"),
    ranges: i32("tokens", 2),
    cos: f32(rotaryLength, half),
    sin: f32(rotaryLength, half),
    ...(dropping ? { tokenKeys: i32("tokens"), layerKey: i32(1) } : {}),
  };
}

const targetTypes: Types = { targetIndex: i32("targets"), targetIds: i32("targets"), lossScale: f32(1) };

/** The layer under `prefix` as a function from block input to block output. */
function blockOf(
  values: Values,
  prefix: string,
  setup: TrainingSetup,
  layerKey?: Value,
): (x: Value) => Value {
  const { config, lora, dropping } = setup;
  const keys = dropping ? { token: values.tokenKeys, layer: layerKey! } : undefined;
  const layer = symbolicLayer(values, prefix, lora && { config: lora, keys });
  const attend: Attend = (q, k, v) => attention(q, k, v, values.ranges, headShape(config));
  const rotation = { positions: values.positions, cos: values.cos, sin: values.sin };
  return (x) => decoderBlock(x, layer, rotation, attend, config).y;
}

/** Summed loss over the trained positions. */
function lossOf(x: Value, values: Values, { config, head }: TrainingSetup): Value {
  const layer: Pick<Layer, "weight"> = { weight: (name) => values[name] };
  const chosen = gatherRows(x, values.targetIndex);
  return linearCrossEntropy(norm(chosen, layer, head.norm, config), values[head.table], values.targetIds);
}

/** Gradients by name, as outputs "d <name>". */
function named(names: readonly string[], values: readonly Value[]): Record<string, Value> {
  return Object.fromEntries(names.map((name, i) => [`d ${name}`, values[i]]));
}

/** ids, table (and noise) -> x */
export function embedGraph(config: ModelConfig, table: Type, noisy: boolean = false): Graph {
  return trace<Types>(
    { inputIds: i32("tokens"), table, ...noiseType(config, noisy) },
    ({ inputIds, table, noise }) => ({ x: withNoise(embed(inputIds, table, config), noise) }),
  );
}

const noiseType = ({ hiddenSize }: ModelConfig, noisy: boolean): Types =>
  noisy ? { noise: f32("tokens", hiddenSize) } : {};

const withNoise = (x: Value, noise: Value | undefined): Value => noise ? add(x, noise) : x;

/** ids, dx, table -> d table */
export function embedBackwardGraph(config: ModelConfig, table: Type): Graph {
  const types = { inputIds: i32("tokens"), dx: f32("tokens", config.hiddenSize), table };
  return trace(types, ({ inputIds, dx, table }) => {
    const x = embed(inputIds, table, config);
    return named(["table"], gradients([{ value: x, seed: dx }], [table]));
  });
}

/** x -> y */
export function blockGraph(setup: TrainingSetup, weights: Types): Graph {
  const types = { x: f32("tokens", setup.config.hiddenSize), ...batchTypes(setup), ...weights };
  return trace<Types>(types, (values) => ({ y: blockOf(values, "", setup, values.layerKey)(values.x) }));
}

/** x, dy -> dx and the gradients of `trained` weights; the forward pass is done again inside. */
export function blockBackwardGraph(setup: TrainingSetup, weights: Types, trained: readonly string[]): Graph {
  const activation = f32("tokens", setup.config.hiddenSize);
  const types = { x: activation, dy: activation, ...batchTypes(setup), ...weights };
  return trace<Types>(types, (values) => {
    const y = blockOf(values, "", setup, values.layerKey)(values.x);
    const [dx, ...rest] = gradients([{ value: y, seed: values.dy }], [
      values.x,
      ...trained.map((name) => values[name]),
    ]);
    return { dx, ...named(trained, rest) };
  });
}

/** x -> loss */
export function lossGraph(setup: TrainingSetup, weights: Types): Graph {
  const types = { x: f32("tokens", setup.config.hiddenSize), ...targetTypes, ...weights };
  return trace<Types>(types, (values) => ({ loss: lossOf(values.x, values, setup) }));
}

/** x -> loss, dx and the gradients of `trained` weights, each times lossScale */
export function lossBackwardGraph(setup: TrainingSetup, weights: Types, trained: readonly string[]): Graph {
  const types = { x: f32("tokens", setup.config.hiddenSize), ...targetTypes, ...weights };
  return trace<Types>(types, (values) => {
    const loss = lossOf(values.x, values, setup);
    const seeds = [{ value: loss, seed: values.lossScale }];
    const [dx, ...rest] = gradients(seeds, [values.x, ...trained.map((name) => values[name])]);
    return { loss, dx, ...named(trained, rest) };
  });
}

/** The whole model: ids -> loss and the gradients of `trained` weights, each times lossScale. */
export function modelGraph(setup: TrainingSetup, weights: Types, trained: readonly string[]): Graph {
  const { numHiddenLayers } = setup.config;
  const { layerKey: _, ...shared } = batchTypes(setup);
  const layerKeys: Types = setup.dropping
    ? Object.fromEntries(Array.from({ length: numHiddenLayers }, (_, i) => [`layerKey.${i}`, i32(1)]))
    : {};
  const noise = noiseType(setup.config, setup.noisy);
  const types = { inputIds: i32("tokens"), ...shared, ...layerKeys, ...noise, ...targetTypes, ...weights };
  return trace<Types>(types, (values) => {
    const embedded = embed(values.inputIds, values["model.embed_tokens.weight"], setup.config);
    let x = withNoise(embedded, values.noise);
    for (let i = 0; i < numHiddenLayers; i++) {
      x = blockOf(values, `model.layers.${i}.`, setup, values[`layerKey.${i}`])(x);
    }
    const loss = lossOf(x, values, setup);
    const seeds = [{ value: loss, seed: values.lossScale }];
    return { loss, ...named(trained, gradients(seeds, trained.map((name) => values[name]))) };
  });
}
