// The graphs of text generation: prompts through the blocks, then one token of every stream at a time over the cache.
import type { Dim, Graph, Type, Value } from "../engine/graph.ts";
import { add } from "../engine/ops/add.ts";
import { appendToken } from "../engine/ops/append_token.ts";
import { attention } from "../engine/ops/attention.ts";
import { cachedAttention } from "../engine/ops/cached_attention.ts";
import { gatherRows, scatterRows } from "../engine/ops/gather_rows.ts";
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
  /** Whether each token counts only columns of its own of what A makes (see streams_adapters.ts). */
  readonly choosing?: boolean;
  /** Name of the head's table. */
  readonly table: string;
  /** Whether programs write the cache themselves (WebGPU) or hand new keys and values to JavaScript (CPU). */
  readonly cacheOnDevice: boolean;
}

/** Of every token: its position, and which columns count. */
const tokenTypes = ({ config, lora, choosing }: GenerationSetup, tokens: string): Types => ({
  positions: i32(tokens),
  ...(choosing ? { counted: f32(tokens, lora!.r) } : {}),
  cos: f32("rotary", config.headDim / 2),
  sin: f32("rotary", config.headDim / 2),
});

const cacheType = ({ numKeyValueHeads, headDim }: ModelConfig, streams: Dim): Type =>
  f32(streams, numKeyValueHeads, "past", headDim);

const rotationOf = ({ positions, cos, sin }: Values) => ({ positions, cos, sin });

/**
 * x -> y and this layer's keys and values: into the cache at `slots`, or as outputs. Whole prompts see themselves; a `part`
 * of one prompt sees also what `pastK` and `pastV` hold of it, where a GPU puts the part's own keys and values too.
 */
export function promptBlockGraph(setup: GenerationSetup, weights: Types, part: boolean): Graph {
  const { config, lora, cacheOnDevice } = setup;
  const cache = cacheType(config, "streams"), past = cacheType(config, 1);
  const types: Types = {
    x: f32("tokens", config.hiddenSize),
    ranges: i32("tokens", 2),
    ...tokenTypes(setup, "tokens"),
    ...(part ? { pastK: past, pastV: past } : {}),
    ...(cacheOnDevice ? { slots: i32("tokens"), cacheK: cache, cacheV: cache } : {}),
    ...weights,
  };
  return trace<Types>(types, (values): Record<string, Value> => {
    const { ranges, pastK, pastV, positions, slots } = values;
    const layer = symbolicLayer(values, "", lora && { config: lora });
    const attend = (q: Value, k: Value, v: Value) =>
      part
        ? cachedAttention(q, k, v, { k: pastK, v: pastV, ranges }, headShape(config))
        : attention(q, k, v, ranges, headShape(config));
    const { y, k, v } = decoderBlock(values.x, layer, rotationOf(values), attend, config);
    if (!cacheOnDevice) return { y, k, v };
    const written = {
      cacheK: writeCache(values.cacheK, k, slots),
      cacheV: writeCache(values.cacheV, v, slots),
    };
    if (!part) return { y, ...written };
    return { y, ...written, pastK: writeCache(pastK, k, positions), pastV: writeCache(pastV, v, positions) };
  });
}

function scores(x: Value, values: Values, { config, table }: GenerationSetup, bits?: 8): Value {
  return matmul(norm(x, { weight: (name) => values[name] }, "model.norm", config), values[table], {
    transB: true,
    bits,
  });
}

/** Rows `last` of x, which end the prompts of `streams`, become those streams' rows among `ends`. */
export function promptEndsGraph({ config }: GenerationSetup): Graph {
  const width = config.hiddenSize;
  const types = { x: f32("tokens", width), last: i32("n"), streams: i32("n"), ends: f32("all", width) };
  return trace(types, ({ x, last, streams, ends }) => ({
    ends: add(ends, scatterRows(gatherRows(x, last), streams, ends)),
  }));
}

/** x -> logits */
export function promptHeadGraph(setup: GenerationSetup, weights: Types): Graph {
  const types: Types = { x: f32("streams", setup.config.hiddenSize), ...weights };
  return trace<Types>(types, (values) => ({ logits: scores(values.x, values, setup) }));
}

/**
 * Tokens through the whole model: ids and caches -> the logits after tokens `last`, and new keys and values. Either one token
 * of every stream, or (on the CPU) tokens of prompts: see cachedAttention. With `bits`, constant weights are multiplied with
 * as copies in so few bits, the head's in 8, and the program reads no prompts. With `inPlace`, which only lib/engine/wasm can do,
 * keys and values are written into the caches first: there tokens of any prompts find what they see of one another, each in
 * the stream of its slot.
 */
export function decodeGraph(
  setup: GenerationSetup,
  weights: Types,
  { bits, inPlace = false }: { bits?: 4 | 8; inPlace?: boolean } = {},
): Graph {
  const { config, lora, cacheOnDevice } = setup, decodesOnly = bits !== undefined && !inPlace;
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i) => i);
  const cache = cacheType(config, "streams");
  const caches = layers.flatMap((i): [string, Type][] => [[`cacheK.${i}`, cache], [`cacheV.${i}`, cache]]);
  const types: Types = {
    ids: i32("tokens"),
    ranges: i32("tokens", 2),
    last: i32("ends"),
    ...tokenTypes(setup, "tokens"),
    ...(cacheOnDevice || inPlace ? { slots: i32("tokens") } : {}),
    ...Object.fromEntries(caches),
    ...weights,
  };
  const write = (cache: Value, x: Value, { slots }: Values) => writeCache(cache, x, slots);
  return trace<Types>(types, (values) => {
    const outputs: Record<string, Value> = {};
    let x = embed(values.ids, values["model.embed_tokens.weight"], config);
    for (const i of layers) {
      const layer = symbolicLayer(values, `model.layers.${i}.`, lora && { config: lora }, bits);
      const names = [`cacheK.${i}`, `cacheV.${i}`];
      let [cacheK, cacheV] = names.map((name) => values[name]);
      const attend = (q: Value, k: Value, v: Value) => {
        if (inPlace) [cacheK, cacheV] = [write(cacheK, k, values), write(cacheV, v, values)];
        const cache = { k: cacheK, v: cacheV, ranges: values.ranges };
        return cachedAttention(q, k, v, cache, { ...headShape(config), decodesOnly });
      };
      const { y, k, v } = decoderBlock(x, layer, rotationOf(values), attend, config);
      const made = cacheOnDevice ? [write(cacheK, k, values), write(cacheV, v, values)] : [k, v];
      names.forEach((name, part) => outputs[name] = inPlace ? [cacheK, cacheV][part] : made[part]);
      x = y;
    }
    return { logits: scores(gatherRows(x, values.last), values, setup, bits && 8), ...outputs };
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
