// T5 as two ONNX models with optimum's names: the encoder, and one decoder for the first token and those after it. The keys
// and values that the decoder makes of the question are computed with the first token; later they come back as inputs.
import type { OnnxBody, OnnxBodyValue, OnnxContext } from "../engine/onnx/context.ts";
import { openDraft } from "../engine/onnx/lower.ts";
import type { Graph, Type, Value } from "../engine/graph.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { scaleBy } from "../engine/ops/scale_by.ts";
import { f32, i32, trace } from "../engine/trace.ts";
import type { ModelConfig } from "../models/config.ts";
import { embed, norm } from "../models/decoder.ts";
import { symbolicLayer } from "../models/parameters.ts";
import {
  biasTable,
  decoderBlock,
  distanceBuckets,
  encoderBlock,
  memoryOf,
  reachOf,
  type StackName,
  t5Heads,
} from "../models/t5.ts";
import { appendKeys, attendPadded, BATCH, splitHeads, splitKeys } from "./attend.ts";
import type { FileModel } from "./file.ts";
import { loweringsOf } from "./lowerings.ts";
import { biasOf, causal, flat, maskOf, places, real, sizeOf } from "./masks.ts";
import type { FileWeights } from "./weights.ts";

type Types = Readonly<Record<string, Type>>;
type Values = Readonly<Record<string, Value>>;

const QUESTION = "encoder_sequence_length", TOKENS = "decoder_sequence_length";
const PAST = "past_decoder_sequence_length", TOTAL = `${PAST} + ${TOKENS}`;

const count = (length: number) => Array.from({ length }, (_, i) => i);
const decoderLayers = ({ encoderDecoder }: ModelConfig) => count(encoderDecoder!.numDecoderLayers);

const normed = (x: Value, values: Values, stack: StackName, config: ModelConfig) =>
  norm(x, { weight: (name) => values[name] }, `${stack}.final_layer_norm`, config);

/** The bias of every distance in a stack, [2 * reach + 1, heads]. */
async function addBias(stack: StackName, weights: FileWeights): Promise<string> {
  const { config } = weights, heads = config.numAttentionHeads;
  const table = await weights.values(biasTable(stack));
  const buckets = distanceBuckets(stack, config.encoderDecoder!);
  const rows = Float32Array.from(
    { length: buckets.length * heads },
    (_, i) => table[buckets[Math.floor(i / heads)] * heads + i % heads],
  );
  return weights.constant(`${stack}.bias_by_distance`, [buckets.length, heads], rows);
}

const whole = (name: string, ...shape: Type["shape"]): OnnxBodyValue => ({ name, dtype: "i64", shape });
const floats = (name: string, ...shape: Type["shape"]): OnnxBodyValue => ({ name, dtype: "f32", shape });

/** A flat [tokens, width] value as [batch, tokens of a text, width]. */
function batched({ node, i64 }: OnnxContext, x: string, batch: string, width: number): string {
  return node("Reshape", [x, node("Concat", [batch, i64([-1, width])], { axis: 0 })]);
}

/** ids, mask with the bias -> what the decoder sees */
function encoderGraph(config: ModelConfig, weights: Types): Graph {
  const heads = config.numAttentionHeads;
  const types: Types = {
    mask: f32(BATCH, heads, 1, QUESTION, QUESTION),
    ids: i32("tokens"),
    ...weights,
  };
  return trace<Types>(types, (values) => {
    const split = (x: Value) => splitKeys(x, values.mask, heads);
    const attend = (q: Value, k: Value, v: Value) =>
      attendPadded(q, split(k), split(v), values.mask, t5Heads(config));
    let x = embed(values.ids, values["shared.weight"], config);
    for (const i of count(config.numHiddenLayers)) {
      x = encoderBlock(x, symbolicLayer(values, `encoder.block.${i}.`), attend, config);
    }
    return { encoded: normed(x, values, "encoder", config) };
  });
}

export async function encoderModel(weights: FileWeights): Promise<FileModel> {
  const { config } = weights, draft = openDraft(), { context } = draft, { node, i64 } = context;
  const bias = await addBias("encoder", weights), reach = reachOf(config.encoderDecoder!);
  const where = places(context, sizeOf(context, "input_ids", 1), i64([0]));
  const mask = node("Add", [
    maskOf(context, real(context, "attention_mask"), true),
    biasOf(context, where, bias, reach),
  ]);
  const values = draft.add(encoderGraph(config, weights.types), {
    names: { ids: flat(context, "input_ids"), mask },
    lowerings: loweringsOf(weights),
  });
  const batch = sizeOf(context, "input_ids", 0);
  draft.output(batched(context, values.get("encoded")!, batch, config.hiddenSize), "last_hidden_state");
  return {
    draft,
    weights,
    inputs: [whole("input_ids", BATCH, QUESTION), whole("attention_mask", BATCH, QUESTION)],
    outputs: [floats("last_hidden_state", BATCH, QUESTION, config.hiddenSize)],
  };
}

/** What the encoder made -> every block's keys and values of it */
function memoryGraph(config: ModelConfig, weights: Types): Graph {
  return trace<Types>(
    { encoded: f32("tokens", config.hiddenSize), ...weights },
    (values) =>
      Object.fromEntries(
        decoderLayers(config).flatMap((i) => {
          const { k, v } = memoryOf(values.encoded, symbolicLayer(values, `decoder.block.${i}.`));
          return [[`${i}.key`, k], [`${i}.value`, v]];
        }),
      ),
  );
}

const parts = (config: ModelConfig) => decoderLayers(config).flatMap((i) => [`${i}.key`, `${i}.value`]);
const partName = (prefix: string, of: "encoder" | "decoder", part: string) =>
  `${prefix}.${part.replace(".", `.${of}.`)}`;

/** ids, masks, the answer's cache, keys and values of the question -> logits, and the longer cache (outputs by their names) */
function answerGraph(config: ModelConfig, weights: Types, head: string): Graph {
  const heads = config.numAttentionHeads, names = parts(config);
  const own = f32(BATCH, heads, PAST, config.headDim), memory = f32(BATCH, heads, QUESTION, config.headDim);
  const types: Types = {
    ...Object.fromEntries(names.map((part) => [partName("past_key_values", "decoder", part), own])),
    ...Object.fromEntries(names.map((part) => [`memory.${part}`, memory])),
    ids: i32("tokens"),
    mask: f32(1, heads, 1, TOKENS, TOTAL),
    memoryMask: f32(BATCH, 1, 1, 1, QUESTION),
    headScale: f32(1),
    ...weights,
  };
  return trace<Types>(types, (values) => {
    const heads = t5Heads(config);
    let x = embed(values.ids, values["shared.weight"], config);
    for (const i of decoderLayers(config)) {
      const grown = (part: string, x: Value) =>
        appendKeys(
          values[partName("past_key_values", "decoder", `${i}.${part}`)],
          x,
          TOTAL,
          partName("present", "decoder", `${i}.${part}`),
        );
      const self = (q: Value, k: Value, v: Value) =>
        attendPadded(q, grown("key", k), grown("value", v), values.mask, heads);
      const cross = (q: Value) =>
        attendPadded(q, values[`memory.${i}.key`], values[`memory.${i}.value`], values.memoryMask, heads);
      x = decoderBlock(x, symbolicLayer(values, `decoder.block.${i}.`), { self, cross }, config).y;
    }
    const last = scaleBy(normed(x, values, "decoder", config), values.headScale);
    return { logits: matmul(last, values[head], { transB: true }) };
  });
}

/** The question's keys and values: those of the first token's run once there are any, else made of what the encoder gives. */
function addMemory(draft: FileModel["draft"], weights: FileWeights): string[] {
  const { config } = weights, names = parts(config), { context } = draft;
  const branch = (fill: (body: OnnxBody) => string[]): OnnxBody => {
    const body = context.body();
    const values = fill(body).map((value) => body.context.node("Identity", [value]));
    body.outputs.push(...values.map((name) => ({ name, dtype: "f32" as const })));
    return body;
  };
  const known = branch(() => names.map((part) => partName("past_key_values", "encoder", part)));
  const made = branch((body) => {
    const { node, i64 } = body.context;
    const encoded = node("Reshape", ["encoder_hidden_states", i64([-1, config.hiddenSize])]);
    const graph = memoryGraph(config, weights.types), lowerings = loweringsOf(weights);
    const values = draft.add(graph, { names: { encoded }, lowerings, body });
    const batch = sizeOf(body.context, "encoder_hidden_states", 0);
    return names.map((part) =>
      splitHeads(body.context, values.get(part)!, batch, config.numAttentionHeads, config.headDim)
    );
  });
  return context.nodes("If", ["use_cache_branch"], names.length, { then_branch: known, else_branch: made });
}

export async function mergedDecoderModel(
  weights: FileWeights,
  head: string,
): Promise<FileModel> {
  const { config } = weights, draft = openDraft(), { context } = draft, { node } = context;
  const bias = await addBias("decoder", weights), reach = reachOf(config.encoderDecoder!);
  const names = parts(config);
  const past = sizeOf(context, partName("past_key_values", "decoder", names[0]), 2);
  const where = places(context, sizeOf(context, "input_ids", 1), past);
  const mask = node("Add", [
    maskOf(context, causal(context, where), false),
    biasOf(context, where, bias, reach),
  ]);
  const memory = addMemory(draft, weights);
  const scale = Float32Array.of(config.encoderDecoder!.headScale);
  const values = draft.add(answerGraph(config, weights.types, head), {
    names: {
      ids: flat(context, "input_ids"),
      mask,
      memoryMask: maskOf(context, real(context, "encoder_attention_mask"), true),
      headScale: weights.constant("head_scale", [1], scale),
      ...Object.fromEntries(names.map((part, i) => [`memory.${part}`, memory[i]])),
    },
    lowerings: loweringsOf(weights),
  });
  const logits = batched(context, values.get("logits")!, sizeOf(context, "input_ids", 0), config.vocabSize);
  draft.output(logits, "logits");
  names.forEach((part, i) => draft.output(memory[i], partName("present", "encoder", part)));

  const cache = (prefix: string, length: string) =>
    names.flatMap((part) =>
      (["decoder", "encoder"] as const).map((of) =>
        floats(
          partName(prefix, of, part),
          ...[BATCH, config.numAttentionHeads, of === "encoder" ? QUESTION : length, config.headDim],
        )
      )
    );
  return {
    draft,
    weights,
    inputs: [
      whole("encoder_attention_mask", BATCH, QUESTION),
      whole("input_ids", BATCH, TOKENS),
      floats("encoder_hidden_states", BATCH, QUESTION, config.hiddenSize),
      ...cache("past_key_values", PAST),
      { name: "use_cache_branch", dtype: "bool", shape: [1] },
    ],
    outputs: [floats("logits", BATCH, TOKENS, config.vocabSize), ...cache("present", TOTAL)],
  };
}
