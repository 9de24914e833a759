// The graphs of T5's training, in the two ways of graphs.ts: the whole model as one program, or a block at a time. The latter
// is for adapters alone, so that embedding, norms, bias and head have no gradients there.
import { gradients } from "../engine/grad.ts";
import type { Graph, Type, Value } from "../engine/graph.ts";
import { attention } from "../engine/ops/attention.ts";
import { gatherRows } from "../engine/ops/gather_rows.ts";
import { linearCrossEntropy } from "../engine/ops/linear_cross_entropy.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { scaleBy } from "../engine/ops/scale_by.ts";
import { f32, i32, trace } from "../engine/trace.ts";
import type { ModelConfig } from "../models/config.ts";
import { embed, norm } from "../models/decoder.ts";
import type { LoRAConfig } from "../models/model.ts";
import { symbolicLayer } from "../models/parameters.ts";
import {
  biasTable,
  decoderBlock,
  encoderBlock,
  memoryOf,
  reachOf,
  relativeBias,
  type StackName,
  t5Heads,
} from "../models/t5.ts";

type Values = Readonly<Record<string, Value>>;
type Types = Readonly<Record<string, Type>>;

/** What the graphs of one model and one kind of run have in common. */
export interface T5Setup {
  readonly config: ModelConfig;
  readonly lora?: LoRAConfig;
  /** Whether dropout is on. */
  readonly dropping: boolean;
  /** Name of the head's table. */
  readonly table: string;
}

/** Names of sizes: the questions' positions and the answers'. */
const length: Record<StackName, string> = { encoder: "tokens", decoder: "answer" };

const distances = ({ config }: T5Setup) => 2 * reachOf(config.encoderDecoder!) + 1;

/** Inputs that describe the batch to every block of a stack. */
export function sharedTypes(setup: T5Setup, stack: StackName): Types {
  const { config, dropping } = setup;
  return {
    [`${stack}.ranges`]: i32(length[stack], 2),
    [`${stack}.bias`]: f32(distances(setup), config.numAttentionHeads),
    ...(stack === "decoder" ? { "memory.ranges": i32("answer", 2) } : {}),
    ...(dropping ? keyTypes(stack) : {}),
  };
}

/** A block of the decoder projects tokens of the question too. */
const keyTypes = (stack: StackName): Types => ({
  "encoder.keys": i32("tokens"),
  ...(stack === "decoder" ? { "decoder.keys": i32("answer") } : {}),
});

const states = ({ config }: T5Setup, stack: StackName): Type => f32(length[stack], config.hiddenSize);

const targetTypes: Types = {
  targetIndex: i32("targets"),
  targetIds: i32("targets"),
  lossScale: f32(1),
  headScale: f32(1),
};

/** The block under `prefix` applied to x; the decoder's also to what the encoder made. */
function block(
  stack: StackName,
  values: Values,
  prefix: string,
  { config, lora, dropping }: T5Setup,
  { x, encoded, layerKey }: { x: Value; encoded?: Value; layerKey?: Value },
): Value {
  const layerOver = (tokens: StackName) => {
    const keys = dropping ? { token: values[`${tokens}.keys`], layer: layerKey! } : undefined;
    return symbolicLayer(values, prefix, lora && { config: lora, keys });
  };
  const heads = t5Heads(config), bias = values[`${stack}.bias`];
  const self = (q: Value, k: Value, v: Value) =>
    attention(q, k, v, values[`${stack}.ranges`], { ...heads, bias });
  if (stack === "encoder") return encoderBlock(x, layerOver("encoder"), self, config);
  const memory = memoryOf(encoded!, layerOver("encoder"));
  const cross = (q: Value) => attention(q, memory.k, memory.v, values["memory.ranges"], heads);
  return decoderBlock(x, layerOver("decoder"), { self, cross }, config).y;
}

const normed = (x: Value, values: Values, stack: StackName, { config }: T5Setup) =>
  norm(x, { weight: (name) => values[name] }, `${stack}.final_layer_norm`, config);

/** What the head's table is multiplied with. */
const headInput = (x: Value, values: Values, setup: T5Setup) =>
  scaleBy(normed(x, values, "decoder", setup), values.headScale);

/** x -> logits */
export const t5Scores = (x: Value, values: Values, setup: T5Setup): Value =>
  matmul(headInput(x, values, setup), values[setup.table], { transB: true });

const named = (names: readonly string[], values: readonly Value[]): Record<string, Value> =>
  Object.fromEntries(names.map((name, i) => [`d ${name}`, values[i]]));

function lossOf(x: Value, values: Values, setup: T5Setup): Value {
  const h = headInput(gatherRows(x, values.targetIndex), values, setup);
  return linearCrossEntropy(h, values[setup.table], values.targetIds);
}

/** buckets, table -> bias */
export function biasGraph(table: Type, rows: number): Graph {
  return trace(
    { buckets: i32(rows), table },
    ({ buckets, table }) => ({ bias: relativeBias(table, buckets) }),
  );
}

function blockTypes(stack: StackName, setup: T5Setup, weights: Types): Types {
  return {
    x: states(setup, stack),
    ...(stack === "decoder" ? { encoded: states(setup, "encoder") } : {}),
    ...sharedTypes(setup, stack),
    ...(setup.dropping ? { layerKey: i32(1) } : {}),
    ...weights,
  };
}

const passed = ({ x, encoded, layerKey }: Values) => ({ x, encoded, layerKey });

/** x (and encoded) -> y */
export function t5BlockGraph(stack: StackName, setup: T5Setup, weights: Types): Graph {
  const types = blockTypes(stack, setup, weights);
  return trace<Types>(types, (values) => ({ y: block(stack, values, "", setup, passed(values)) }));
}

/** x (and encoded), dy -> dx (and dEncoded) and the gradients of `trained`; the forward pass is done again inside. */
export function t5BlockBackwardGraph(
  stack: StackName,
  setup: T5Setup,
  weights: Types,
  trained: readonly string[],
): Graph {
  const types = { ...blockTypes(stack, setup, weights), dy: states(setup, stack) };
  return trace<Types>(types, (values) => {
    const y = block(stack, values, "", setup, passed(values));
    const through = stack === "decoder" ? ["x", "encoded"] : ["x"];
    const found = gradients(
      [{ value: y, seed: values.dy }],
      [...through, ...trained].map((name) => values[name]),
    );
    const inputs = found.splice(0, through.length);
    return {
      dx: inputs[0],
      ...(stack === "decoder" ? { dEncoded: inputs[1] } : {}),
      ...named(trained, found),
    };
  });
}

/** The encoder's last block -> what the decoder sees. */
export function encodedGraph(setup: T5Setup, weights: Types): Graph {
  return trace<Types>(
    { x: states(setup, "encoder"), ...weights },
    (values) => ({ y: normed(values.x, values, "encoder", setup) }),
  );
}

/** x, dy -> dx */
export function encodedBackwardGraph(setup: T5Setup, weights: Types): Graph {
  const types = { x: states(setup, "encoder"), dy: states(setup, "encoder"), ...weights };
  return trace<Types>(types, (values) => {
    const y = normed(values.x, values, "encoder", setup);
    return { dx: gradients([{ value: y, seed: values.dy }], [values.x])[0] };
  });
}

/** x -> logits of every position of the answer */
export function t5LogitsGraph(setup: T5Setup, weights: Types): Graph {
  const types: Types = { x: states(setup, "decoder"), headScale: f32(1), ...weights };
  return trace<Types>(types, (values) => ({ logits: t5Scores(values.x, values, setup) }));
}

/** x -> loss, and with `backward` also dx times lossScale */
export function t5LossGraph(setup: T5Setup, weights: Types, backward: boolean): Graph {
  const types = { x: states(setup, "decoder"), ...targetTypes, ...weights };
  return trace<Types>(types, (values): Record<string, Value> => {
    const loss = lossOf(values.x, values, setup);
    if (!backward) return { loss };
    return { loss, dx: gradients([{ value: loss, seed: values.lossScale }], [values.x])[0] };
  });
}

/** The whole model: ids of question and answer -> loss and the gradients of `trained` weights, each times lossScale. */
export function t5ModelGraph(setup: T5Setup, weights: Types, trained: readonly string[]): Graph {
  const { config, dropping } = setup;
  const layers = config.numHiddenLayers + config.encoderDecoder!.numDecoderLayers;
  const layerKeys: Types = dropping
    ? Object.fromEntries(Array.from({ length: layers }, (_, i) => [`layerKey.${i}`, i32(1)]))
    : {};
  const types = {
    "encoder.ids": i32("tokens"),
    "decoder.ids": i32("answer"),
    "encoder.buckets": i32(distances(setup)),
    "decoder.buckets": i32(distances(setup)),
    ...sharedTypes(setup, "encoder"),
    ...sharedTypes(setup, "decoder"),
    ...layerKeys,
    ...targetTypes,
    ...weights,
  };
  const { "encoder.bias": _encoder, "decoder.bias": _decoder, ...inputs } = types as Record<string, Type>;
  return trace<Types>(inputs, (values) => {
    const run = (stack: StackName, blocks: number, firstKey: number, encoded?: Value) => {
      let x = embed(values[`${stack}.ids`], values["shared.weight"], config);
      const bias = relativeBias(values[biasTable(stack)], values[`${stack}.buckets`]);
      for (let i = 0; i < blocks; i++) {
        const layerKey = values[`layerKey.${firstKey + i}`];
        const inner = { ...values, [`${stack}.bias`]: bias };
        x = block(stack, inner, `${stack}.block.${i}.`, setup, { x, encoded, layerKey });
      }
      return x;
    };
    const last = run("encoder", config.numHiddenLayers, 0);
    const encoded = normed(last, values, "encoder", setup);
    const x = run("decoder", config.encoderDecoder!.numDecoderLayers, config.numHiddenLayers, encoded);
    const loss = lossOf(x, values, setup);
    const seeds = [{ value: loss, seed: values.lossScale }];
    return { loss, ...named(trained, gradients(seeds, trained.map((name) => values[name]))) };
  });
}
