// The graphs of text generation: prompts through the blocks, then one token of every stream at a time over the cache.
import type { Graph, Type, Value } from "../engine/graph.ts";
import { appendToken } from "../engine/ops/append_token.ts";
import { attention } from "../engine/ops/attention.ts";
import { cachedAttention } from "../engine/ops/cached_attention.ts";
import { gatherRows } from "../engine/ops/gather_rows.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { type PickAttributes, pickToken } from "../engine/ops/pick_token.ts";
import { writeCache } from "../engine/ops/write_cache.ts";
import { f32, i32, trace } from "../engine/trace.ts";
import type { ModelConfig } from "../models/config.ts";
import { decoderBlock, embed, headShape, norm } from "../models/decoder.ts";
import type { LoRAConfig } from "../models/model.ts";
import { symbolicLayer } from "../models/parameters.ts";

type Types = Readonly<Record<string, Type>>;
type Values = Readonly<Record<string, Value>>;

export interface GenerationSetup {
  readonly config: ModelConfig;
  readonly lora?: LoRAConfig;
  /** Name of the head's table. */
  readonly table: string;
  /** Whether programs write the cache themselves (WebGPU) or hand new keys and values to JavaScript (CPU). */
  readonly cacheOnDevice: boolean;
}

const rotaryTypes = ({ config }: GenerationSetup, tokens: string): Types => ({
  positions: i32(tokens),
  cos: f32("rotary", config.headDim / 2),
  sin: f32("rotary", config.headDim / 2),
});

const cacheType = ({ numKeyValueHeads, headDim }: ModelConfig, streams: string): Type =>
  f32(streams, numKeyValueHeads, "past", headDim);

const rotationOf = ({ positions, cos, sin }: Values) => ({ positions, cos, sin });

/** x -> y and this layer's keys and values: into the cache at `slots`, or as outputs. */
export function promptBlockGraph(setup: GenerationSetup, weights: Types): Graph {
  const { config, lora, cacheOnDevice } = setup;
  const cache = cacheType(config, "streams");
  const types: Types = {
    x: f32("tokens", config.hiddenSize),
    ranges: i32("tokens", 2),
    ...rotaryTypes(setup, "tokens"),
    ...(cacheOnDevice ? { slots: i32("tokens"), cacheK: cache, cacheV: cache } : {}),
    ...weights,
  };
  return trace<Types>(types, (values) => {
    const layer = symbolicLayer(values, "", lora && { config: lora });
    const attend = (q: Value, k: Value, v: Value) => attention(q, k, v, values.ranges, headShape(config));
    const { y, k, v } = decoderBlock(values.x, layer, rotationOf(values), attend, config);
    const written: Record<string, Value> = cacheOnDevice
      ? {
        cacheK: writeCache(values.cacheK, k, values.slots),
        cacheV: writeCache(values.cacheV, v, values.slots),
      }
      : { k, v };
    return { y, ...written };
  });
}

function scores(x: Value, values: Values, { config, table }: GenerationSetup): Value {
  return matmul(norm(x, { weight: (name) => values[name] }, "model.norm", config), values[table], {
    transB: true,
  });
}

/** x and the rows that end prompts -> logits [streams, vocabulary] */
export function promptHeadGraph(setup: GenerationSetup, weights: Types): Graph {
  const types: Types = { x: f32("tokens", setup.config.hiddenSize), last: i32("streams"), ...weights };
  return trace<Types>(
    types,
    (values) => ({ logits: scores(gatherRows(values.x, values.last), values, setup) }),
  );
}

/** One token of every stream through the whole model: ids and caches -> logits and new keys and values. */
export function decodeGraph(setup: GenerationSetup, weights: Types): Graph {
  const { config, lora, cacheOnDevice } = setup;
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i) => i);
  const cache = cacheType(config, "streams");
  const caches = layers.flatMap((i): [string, Type][] => [[`cacheK.${i}`, cache], [`cacheV.${i}`, cache]]);
  const types: Types = {
    ids: i32("streams"),
    ranges: i32("streams", 2),
    ...rotaryTypes(setup, "streams"),
    ...(cacheOnDevice ? { slots: i32("streams") } : {}),
    ...Object.fromEntries(caches),
    ...weights,
  };
  return trace<Types>(types, (values) => {
    const outputs: Record<string, Value> = {};
    let x = embed(values.ids, values["model.embed_tokens.weight"], config);
    for (const i of layers) {
      const layer = symbolicLayer(values, `model.layers.${i}.`, lora && { config: lora }, true);
      const [cacheK, cacheV] = [values[`cacheK.${i}`], values[`cacheV.${i}`]];
      const attend = (q: Value, k: Value, v: Value) =>
        cachedAttention(q, k, v, { k: cacheK, v: cacheV, ranges: values.ranges }, headShape(config));
      const { y, k, v } = decoderBlock(x, layer, rotationOf(values), attend, config);
      outputs[`cacheK.${i}`] = cacheOnDevice ? writeCache(cacheK, k, values.slots) : k;
      outputs[`cacheV.${i}`] = cacheOnDevice ? writeCache(cacheV, v, values.slots) : v;
      x = y;
    }
    return { logits: scores(x, values, setup), ...outputs };
  });
}

/** logits -> ids, and the history with them in it */
export function pickGraph(vocabulary: number, attributes: PickAttributes): Graph {
  const types = {
    logits: f32("streams", vocabulary),
    history: i32("streams", "length"),
    lengths: i32("streams"),
    random: f32("streams"),
  };
  return trace(types, (values) => {
    const ids = pickToken(values, attributes);
    return { ids, history: appendToken(values.history, ids, values.lengths) };
  });
}
