// A decoder as one ONNX model: new tokens and the cache of those before -> logits and the longer cache. Names and layout are
// optimum's, which Transformers.js expects too.
import type { OnnxDType } from "../engine/onnx/context.ts";
import { openDraft } from "../engine/onnx/lower.ts";
import type { Graph, Type, Value } from "../engine/graph.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { f32, i32, trace } from "../engine/trace.ts";
import type { ModelConfig } from "../models/config.ts";
import { decoderBlock, embed, headShape, norm } from "../models/decoder.ts";
import { symbolicLayer } from "../models/parameters.ts";
import { inverseFrequencies } from "../models/rope.ts";
import { appendKeys, attendPadded, BATCH } from "./attend.ts";
import type { FileModel } from "./file.ts";
import { loweringsOf } from "./lowerings.ts";
import { causal, flat, maskOf, places, real, sizeOf } from "./masks.ts";
import type { FileWeights } from "./weights.ts";

type Types = Readonly<Record<string, Type>>;

const PAST = "past_sequence_length", TOKENS = "sequence_length", TOTAL = `${PAST} + ${TOKENS}`;

/** Positions that a file has angles for: 131,072 of them are 64 MB with heads of 128 channels. */
const MOST_POSITIONS = 1 << 17;

const layersOf = ({ numHiddenLayers }: ModelConfig) => Array.from({ length: numHiddenLayers }, (_, i) => i);

/** ids, angles, mask, caches -> logits, and the caches with the new keys and values behind (outputs by their names). */
function decoderGraph(config: ModelConfig, weights: Types, head: string): Graph {
  const { numKeyValueHeads, headDim } = config;
  const cache = f32(BATCH, numKeyValueHeads, PAST, headDim), angles = f32("tokens", headDim / 2);
  const caches = layersOf(config).flatMap((i): [string, Type][] => [
    [`past_key_values.${i}.key`, cache],
    [`past_key_values.${i}.value`, cache],
  ]);
  const types: Types = {
    ...Object.fromEntries(caches),
    ids: i32("tokens"),
    positions: i32("tokens"),
    mask: f32(BATCH, 1, 1, TOKENS, TOTAL),
    cos: angles,
    sin: angles,
    ...weights,
  };
  return trace<Types>(types, (values) => {
    const { positions, cos, sin, mask } = values;
    let x = embed(values.ids, values["model.embed_tokens.weight"], config);
    for (const i of layersOf(config)) {
      const attend = (q: Value, k: Value, v: Value) => {
        const grown = (part: string, x: Value) =>
          appendKeys(values[`past_key_values.${i}.${part}`], x, TOTAL, `present.${i}.${part}`);
        return attendPadded(q, grown("key", k), grown("value", v), mask, headShape(config));
      };
      const layer = symbolicLayer(values, `model.layers.${i}.`);
      x = decoderBlock(x, layer, { positions, cos, sin }, attend, config).y;
    }
    const normed = norm(x, { weight: (name) => values[name] }, "model.norm", config);
    return { logits: matmul(normed, values[head], { transB: true }) };
  });
}

/** Cosines and sines by position, with angles in float32 as Transformers multiplies them. */
function addAngles(config: ModelConfig, weights: FileWeights): void {
  const frequencies = inverseFrequencies(config);
  const positions = Math.min(config.maxPositionEmbeddings, MOST_POSITIONS);
  for (const [name, f] of [["cos", Math.cos], ["sin", Math.sin]] as const) {
    const table = new Float32Array(positions * frequencies.length);
    for (let i = 0; i < table.length; i++) {
      const position = Math.floor(i / frequencies.length);
      table[i] = f(Math.fround(position * frequencies[i % frequencies.length]));
    }
    weights.constant(name, [positions, frequencies.length], table);
  }
}

export function decoderModel(weights: FileWeights, head: string): FileModel {
  const { config } = weights, draft = openDraft(), { context } = draft, { node, i64 } = context;
  const tokens = sizeOf(context, "input_ids", 1);
  const where = places(context, tokens, node("Sub", [sizeOf(context, "attention_mask", 1), tokens]));
  const seen = node("And", [
    causal(context, where, config.slidingWindow),
    real(context, "attention_mask"),
  ]);
  addAngles(config, weights);
  const positions = flat(context, "position_ids");
  const names = {
    ids: flat(context, "input_ids"),
    positions,
    cos: node("Gather", ["cos", positions]),
    sin: node("Gather", ["sin", positions]),
    mask: maskOf(context, seen, true),
  };
  const lowerings = loweringsOf(weights), graph = decoderGraph(config, weights.types, head);
  const logits = draft.add(graph, { names, lowerings }).get("logits")!;
  const shape = node("Concat", [sizeOf(context, "input_ids", 0), i64([-1, config.vocabSize])], { axis: 0 });
  draft.output(node("Reshape", [logits, shape]), "logits");

  const whole = (name: string, ...shape: Type["shape"]) => ({ name, dtype: "i64" as OnnxDType, shape });
  const cache = (name: string, length: string) => ({
    name,
    dtype: "f32" as OnnxDType,
    shape: [BATCH, config.numKeyValueHeads, length, config.headDim],
  });
  const both = (prefix: string, length: string) =>
    layersOf(config).flatMap((i) => ["key", "value"].map((part) => cache(`${prefix}.${i}.${part}`, length)));
  return {
    draft,
    weights,
    inputs: [
      whole("input_ids", BATCH, TOKENS),
      whole("attention_mask", BATCH, TOTAL),
      whole("position_ids", BATCH, TOKENS),
      ...both("past_key_values", PAST),
    ],
    outputs: [
      { name: "logits", dtype: "f32", shape: [BATCH, TOKENS, config.vocabSize] },
      ...both("present", TOTAL),
    ],
  };
}
