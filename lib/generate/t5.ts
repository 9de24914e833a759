// Generation from T5: the encoder reads the questions once, each block of the decoder makes its keys and values of them once,
// and then a token of every answer at a time goes through the decoder, whose own keys and values are cached.
import { batchOf } from "../data/batch.ts";
import type { Graph, Type, Value } from "../engine/graph.ts";
import { attention } from "../engine/ops/attention.ts";
import { cachedAttention } from "../engine/ops/cached_attention.ts";
import { writeCache } from "../engine/ops/write_cache.ts";
import type { Tensor } from "../engine/tensor.ts";
import { f32, i32, trace } from "../engine/trace.ts";
import { embed } from "../models/decoder.ts";
import { activeAdapter, headName, type Model } from "../models/model.ts";
import { symbolicLayer, tensorsUnder, typesOf } from "../models/parameters.ts";
import { decoderBlock, memoryOf, reachOf, t5Heads } from "../models/t5.ts";
import { compiled, signature } from "../train/programs.ts";
import { t5Scores, type T5Setup } from "../train/t5_graphs.ts";
import { biasTensor, blockTensors, encodedQuestions } from "../train/t5_step.ts";
import { createCache, type Slot } from "./cache.ts";
import type { Streams } from "./decode.ts";
import { borrow, denseBuiltIn } from "./decoder.ts";

type Tensors = Record<string, Tensor>;
type Types = Readonly<Record<string, Type>>;

/** encoded, weights -> a block's keys and values of the questions */
function memoryGraph({ config, lora }: T5Setup, weights: Types): Graph {
  return trace<Types>(
    { encoded: f32("tokens", config.hiddenSize), ...weights },
    (values) => memoryOf(values.encoded, symbolicLayer(values, "", lora && { config: lora })),
  );
}

/** A token of every stream through the decoder: ids, caches and memories -> logits, and new keys and values. */
function stepGraph(setup: T5Setup, weights: Types, cacheOnDevice: boolean): Graph {
  const { config, lora } = setup, heads = t5Heads(config);
  const { numAttentionHeads, headDim } = config, { numDecoderLayers } = config.encoderDecoder!;
  const layers = Array.from({ length: numDecoderLayers }, (_, i) => i);
  const cache = f32("streams", numAttentionHeads, "past", headDim);
  const memory = f32("tokens", numAttentionHeads * headDim);
  const ofLayer = (i: number): [string, Type][] => [
    [`cacheK.${i}`, cache],
    [`cacheV.${i}`, cache],
    [`memoryK.${i}`, memory],
    [`memoryV.${i}`, memory],
  ];
  const types: Types = {
    ids: i32("streams"),
    past: i32("streams", 2),
    questions: i32("streams", 2),
    bias: f32(2 * reachOf(config.encoderDecoder!) + 1, numAttentionHeads),
    headScale: f32(1),
    ...(cacheOnDevice ? { slots: i32("streams") } : {}),
    ...Object.fromEntries(layers.flatMap(ofLayer)),
    ...weights,
  };
  return trace<Types>(types, (values) => {
    const outputs: Record<string, Value> = {};
    let x = embed(values.ids, values["shared.weight"], config);
    for (const i of layers) {
      const layer = symbolicLayer(values, `decoder.block.${i}.`, lora && { config: lora });
      const [cacheK, cacheV] = [values[`cacheK.${i}`], values[`cacheV.${i}`]];
      const self = (q: Value, k: Value, v: Value) =>
        cachedAttention(q, k, v, { k: cacheK, v: cacheV, ranges: values.past }, {
          ...heads,
          bias: values.bias,
        });
      const cross = (q: Value) =>
        attention(q, values[`memoryK.${i}`], values[`memoryV.${i}`], values.questions, heads);
      const { y, k, v } = decoderBlock(x, layer, { self, cross }, config);
      outputs[`cacheK.${i}`] = cacheOnDevice ? writeCache(cacheK, k, values.slots) : k;
      outputs[`cacheV.${i}`] = cacheOnDevice ? writeCache(cacheV, v, values.slots) : v;
      x = y;
    }
    return { logits: t5Scores(x, values, setup), ...outputs };
  });
}

/** Streams of answers to questions that are read together, `copies` for each; all copies look at the one reading. */
export async function openT5Streams(
  model: Model,
  prompts: readonly (readonly number[])[],
  maxNewTokens: number,
  copies: number,
): Promise<Streams> {
  const { device, config } = model,
    { numDecoderLayers, decoderStartTokenId, headScale } = config.encoderDecoder!;
  const setup: T5Setup = {
    config,
    lora: activeAdapter(model)?.config,
    dropping: false,
    table: headName(model),
  };
  const onDevice = device.backend === "webgpu";
  const cache = createCache(
    device,
    { ...config, numHiddenLayers: numDecoderLayers },
    { streams: prompts.length * copies, longest: maxNewTokens },
  );
  const weights = withoutEncoder(tensorsUnder(model, ""));
  const { decoder: { program }, release } = await borrow(model, `t5 ${JSON.stringify(setup)}`, async () => {
    const graph = stepGraph(setup, typesOf(weights), onDevice);
    const constants = denseBuiltIn(model, weights);
    return { program: await device.compile(graph, { constants }), readsPrompts: false };
  });
  const upload = (values: readonly number[], ...shape: number[]) =>
    device.upload(Int32Array.from(values), shape, "i32");
  const lasting = {
    bias: await biasTensor(model, "decoder"),
    headScale: device.upload(Float32Array.of(headScale), [1], "f32"),
    ...await memories(model, setup, prompts, copies),
  };
  const streams = prompts.length * copies, each = Array.from({ length: streams }, (_, stream) => stream);

  const step = async (ids: Tensor, position: number): Promise<Tensor> => {
    cache.reserve(position + 1);
    const inputs: Tensors = {
      past: upload(each.flatMap(() => [0, position]), streams, 2),
      ...(onDevice
        ? { slots: upload(each.map((stream) => stream * cache.capacity + position), streams) }
        : {}),
    };
    const caches = cache.keys.flatMap((keys, i) => [
      [`cacheK.${i}`, keys],
      [`cacheV.${i}`, cache.values[i]],
    ]);
    const { logits, ...written } = await program.run({
      ids,
      ...inputs,
      ...lasting,
      ...Object.fromEntries(caches),
      ...weights,
    });
    device.free(...Object.values(inputs));
    if (onDevice) return logits;
    const slots = each.map((stream): Slot => ({ stream, position }));
    cache.keys.forEach((_, i) => cache.write(i, written[`cacheK.${i}`], written[`cacheV.${i}`], slots));
    device.free(...Object.values(written));
    return logits;
  };
  return {
    begun: each.map(() => [decoderStartTokenId]),
    async start() {
      const ids = upload(each.map(() => decoderStartTokenId), streams);
      const logits = await step(ids, 0);
      device.free(ids);
      return logits;
    },
    next: (ids, number) => step(ids, number + 1),
    reorder: (parents) => cache.reorder(parents),
    free() {
      release();
      cache.free();
      device.free(...Object.values(lasting));
    },
  };
}

/** What a step takes of the weights: not the encoder's, nor what made keys and values of the questions, nor the positions'. */
const withoutEncoder = (weights: Tensors): Tensors =>
  Object.fromEntries(
    Object.entries(weights).filter(([name]) =>
      !name.startsWith("encoder.") && !/EncDecAttention\.[kv]\.|relative_attention_bias/.test(name)
    ),
  );

/** Reads the questions: each decoder block's keys and values of them, and each stream's part of them. */
async function memories(
  model: Model,
  setup: T5Setup,
  prompts: readonly (readonly number[])[],
  copies: number,
): Promise<Tensors> {
  const { device, config } = model, { decoderStartTokenId, numDecoderLayers } = config.encoderDecoder!;
  const rows = prompts.map((inputIds) => ({ inputIds, labels: [decoderStartTokenId] }));
  const batch = batchOf(rows, { decoderStartTokenId });
  const encoded = await encodedQuestions(model, batch);
  const found: Tensors = {};
  for (let i = 0; i < numDecoderLayers; i++) {
    const weights = Object.fromEntries(
      Object.entries(blockTensors(model, "decoder", i)).filter(([name]) =>
        /EncDecAttention\.[kv]\./.test(name)
      ),
    );
    const key = `t5 memory ${JSON.stringify(setup)} ${signature(weights)}`;
    const program = await compiled(device, key, () => memoryGraph(setup, typesOf(weights)));
    const { k, v } = await program.run({ encoded, ...weights });
    found[`memoryK.${i}`] = k;
    found[`memoryV.${i}`] = v;
  }
  device.free(encoded);
  // Each answer of this batch is one token long: its ranges are one for each question.
  const { memoryRanges } = batch.decoder!;
  const own = prompts.flatMap((_, i) =>
    Array.from({ length: copies }, () => [...memoryRanges.subarray(2 * i, 2 * i + 2)]).flat()
  );
  return { ...found, questions: device.upload(Int32Array.from(own), [prompts.length * copies, 2], "i32") };
}
