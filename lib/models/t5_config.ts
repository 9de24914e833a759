// T5's config.json, and the tensors that it implies, by Hugging Face's names.
import { UserError } from "../errors.ts";
import { type FieldReader, type Json, tokenIds } from "./config_fields.ts";
import type { EncoderDecoderConfig, ModelConfig } from "./config_types.ts";

/** What feed_forward_proj may say. */
const FEED_FORWARD: Readonly<Record<string, Pick<ModelConfig, "hiddenAct"> & { gated: boolean }>> = {
  "relu": { hiddenAct: "relu", gated: false },
  "gated-gelu": { hiddenAct: "gelu_tanh", gated: true },
  "gated-silu": { hiddenAct: "silu", gated: true },
};

/** A T5's configuration; `json` holds the family's defaults already. */
export function parseT5(json: Json, field: FieldReader, where: string): ModelConfig {
  const projection = String(json.feed_forward_proj);
  if (!Object.hasOwn(FEED_FORWARD, projection)) {
    const known = Object.keys(FEED_FORWARD).join(", ");
    throw new UserError(
      `${where}: feed_forward_proj ${JSON.stringify(json.feed_forward_proj)} is not supported (${known}).`,
    );
  }
  const { hiddenAct, gated } = FEED_FORWARD[projection];
  const hiddenSize = field.size("d_model", 1 << 17), numAttentionHeads = field.size("num_heads", 1024);
  // Transformers 5 calls every T5 tied, and keeps what an older file said as scale_decoder_outputs.
  const tied = json.scale_decoder_outputs !== false && field.flag("tie_word_embeddings");
  const numHiddenLayers = field.size("num_layers", 1024);
  const dtype = json.dtype ?? json.torch_dtype;
  return {
    modelType: "t5",
    vocabSize: field.size("vocab_size", 1 << 24),
    hiddenSize,
    intermediateSize: field.size("d_ff", 1 << 20),
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads: numAttentionHeads,
    headDim: field.size("d_kv", 1024),
    hiddenAct,
    qkNorm: false,
    rmsNormEps: field.positive("layer_norm_epsilon", 1e-6),
    ropeTheta: 1,
    ropeScaling: null,
    maxPositionEmbeddings: 2 ** 31 - 1, // relative positions have no end; n_positions is only what training used
    slidingWindow: null,
    tieWordEmbeddings: tied,
    attentionBias: false,
    attentionOutputBias: false,
    mlpBias: false,
    normOffset: 0,
    embeddingScale: 1,
    initializerRange: field.positive("initializer_factor", 1),
    eosTokenIds: tokenIds(json.eos_token_id, `${where}: eos_token_id`),
    padTokenId: tokenIds(json.pad_token_id, `${where}: pad_token_id`)[0],
    dtype: typeof dtype === "string" ? dtype : undefined,
    encoderDecoder: {
      numDecoderLayers: field.size("num_decoder_layers", 1024, numHiddenLayers),
      relativeAttentionNumBuckets: buckets(json, field, where),
      relativeAttentionMaxDistance: field.size("relative_attention_max_distance", 1 << 16),
      gated,
      headScale: tied ? 1 / Math.sqrt(hiddenSize) : 1,
      decoderStartTokenId: decoderStart(json, where),
    },
  };
}

/** A quarter of them are for exact distances, so that there are at least four, and more distances than exact ones. */
function buckets(json: Json, field: FieldReader, where: string): number {
  const count = field.size("relative_attention_num_buckets", 1 << 12);
  const furthest = field.size("relative_attention_max_distance", 1 << 16);
  if (count >= 4 && count % 2 === 0 && furthest > count / 2) return count;
  throw new UserError(
    `${where}: relative_attention_num_buckets ${
      JSON.stringify(json.relative_attention_num_buckets)
    } must be even, at least 4, and less than twice relative_attention_max_distance.`,
  );
}

/** The token that the decoder begins with: the padding token where config.json names none, as in Transformers. */
function decoderStart(json: Json, where: string): number {
  const named = tokenIds(
    json.decoder_start_token_id ?? json.pad_token_id,
    `${where}: decoder_start_token_id`,
  );
  if (named.length > 0) return named[0];
  throw new UserError(`${where} names neither decoder_start_token_id nor pad_token_id: no answer can begin.`);
}

/** Of a weight's fresh values, as Transformers initialises T5 (after Mesh TensorFlow); initializerRange is initializer_factor. */
export function t5Deviation(
  name: string,
  { hiddenSize, headDim, numAttentionHeads, intermediateSize, initializerRange }: ModelConfig,
): number {
  const [module] = name.split(".").slice(-2);
  if (module === "shared" || module === "lm_head") return initializerRange;
  const width: Record<string, number> = {
    q: hiddenSize * headDim,
    o: numAttentionHeads * headDim,
    wo: intermediateSize,
  };
  return initializerRange / Math.sqrt(width[module] ?? hiddenSize);
}

/** config.json in the naming of Google's files, which every version of Transformers reads. */
export function t5Json(config: ModelConfig): Record<string, unknown> {
  const c = config, { encoderDecoder: t5 } = config;
  const [projection] = Object.entries(FEED_FORWARD).find(([, { hiddenAct, gated }]) =>
    hiddenAct === c.hiddenAct && gated === t5!.gated
  )!;
  return {
    architectures: ["T5ForConditionalGeneration"],
    model_type: "t5",
    is_encoder_decoder: true,
    vocab_size: c.vocabSize,
    d_model: c.hiddenSize,
    d_kv: c.headDim,
    d_ff: c.intermediateSize,
    num_layers: c.numHiddenLayers,
    num_decoder_layers: t5!.numDecoderLayers,
    num_heads: c.numAttentionHeads,
    relative_attention_num_buckets: t5!.relativeAttentionNumBuckets,
    relative_attention_max_distance: t5!.relativeAttentionMaxDistance,
    feed_forward_proj: projection,
    layer_norm_epsilon: c.rmsNormEps,
    // Transformers wants a fraction, which JSON from here writes without its point where it is whole; 1 is its default.
    initializer_factor: Number.isInteger(c.initializerRange) ? undefined : c.initializerRange,
    tie_word_embeddings: c.tieWordEmbeddings,
    decoder_start_token_id: t5!.decoderStartTokenId,
    eos_token_id: c.eosTokenIds.length === 1 ? c.eosTokenIds[0] : c.eosTokenIds,
    pad_token_id: c.padTokenId,
  };
}

/** The parts of a stack's block, by their place in it. */
interface Stack {
  readonly name: "encoder" | "decoder";
  readonly blocks: number;
  readonly attentions: readonly string[];
}

function stacks(config: ModelConfig): Stack[] {
  const { numDecoderLayers } = config.encoderDecoder as EncoderDecoderConfig;
  return [
    { name: "encoder", blocks: config.numHiddenLayers, attentions: ["SelfAttention"] },
    { name: "decoder", blocks: numDecoderLayers, attentions: ["SelfAttention", "EncDecAttention"] },
  ];
}

/** [out, in] of every linear layer by its module's name, "lm_head" last, tied or not. */
export function t5LinearShapes(config: ModelConfig): Map<string, [number, number]> {
  const { hiddenSize: hidden, intermediateSize: wide, headDim, numAttentionHeads } = config;
  const inner = numAttentionHeads * headDim, { gated } = config.encoderDecoder as EncoderDecoderConfig;
  const shapes = new Map<string, [number, number]>();
  for (const { name, blocks, attentions } of stacks(config)) {
    for (let block = 0; block < blocks; block++) {
      const prefix = `${name}.block.${block}.layer`;
      attentions.forEach((attention, i) => {
        for (const part of "qkv") shapes.set(`${prefix}.${i}.${attention}.${part}`, [inner, hidden]);
        shapes.set(`${prefix}.${i}.${attention}.o`, [hidden, inner]);
      });
      const dense = `${prefix}.${attentions.length}.DenseReluDense`;
      for (const part of gated ? ["wi_0", "wi_1"] : ["wi"]) shapes.set(`${dense}.${part}`, [wide, hidden]);
      shapes.set(`${dense}.wo`, [hidden, wide]);
    }
  }
  return shapes.set("lm_head", [config.vocabSize, hidden]);
}

/** The shapes of all weights; the head only where it is not the embedding. */
export function t5Shapes(config: ModelConfig): Map<string, number[]> {
  const { hiddenSize: hidden, numAttentionHeads } = config;
  const { relativeAttentionNumBuckets } = config.encoderDecoder as EncoderDecoderConfig;
  const shapes = new Map<string, number[]>([["shared.weight", [config.vocabSize, hidden]]]);
  for (const [name, shape] of t5LinearShapes(config)) {
    if (name !== "lm_head" || !config.tieWordEmbeddings) shapes.set(`${name}.weight`, shape);
  }
  for (const { name, blocks, attentions } of stacks(config)) {
    for (let block = 0; block < blocks; block++) {
      for (let layer = 0; layer <= attentions.length; layer++) {
        shapes.set(`${name}.block.${block}.layer.${layer}.layer_norm.weight`, [hidden]);
      }
    }
    const first = `${name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`;
    shapes.set(first, [relativeAttentionNumBuckets, numAttentionHeads]);
    shapes.set(`${name}.final_layer_norm.weight`, [hidden]);
  }
  return shapes;
}
