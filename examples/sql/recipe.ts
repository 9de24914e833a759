// The embedded model of the text-to-SQL example: a T5 of FLAN's form (gated GELU, a head of its own).

import type { EmbeddedModel } from "../embedded.ts";
import { readAndWrite, sentinels, sqlText } from "./text.ts";

const buckets = 32, heads = 4;

/**
 * T5's biases by distance, from which so short a training starts well: a head for the token before, one for the token behind (in a
 * decoder: the one before the last), one for what is near, and one for all.
 */
function positions(bidirectional: boolean): Float32Array {
  const table = new Float32Array(buckets * heads), behind = bidirectional ? buckets / 2 : 1;
  for (let bucket = 0; bucket < buckets; bucket++) {
    const distance = bidirectional ? bucket % (buckets / 2) : bucket;
    table.set([bucket === 1 ? 5 : 0, bucket === behind + 1 ? 5 : 0, -0.4 * distance, 0], bucket * heads);
  }
  return table;
}

/** About 460,000 parameters. */
export const recipe: EmbeddedModel = {
  folder: "examples/sql/model",
  config: {
    architectures: ["T5ForConditionalGeneration"],
    model_type: "t5",
    vocab_size: 640,
    d_model: 96,
    d_kv: 24,
    d_ff: 96,
    num_layers: 2,
    num_decoder_layers: 2,
    num_heads: 4,
    relative_attention_num_buckets: 32,
    relative_attention_max_distance: 64,
    feed_forward_proj: "gated-gelu",
    layer_norm_epsilon: 1e-6,
    initializer_factor: 1,
    tie_word_embeddings: false,
    is_encoder_decoder: true,
    max_position_embeddings: 512,
    decoder_start_token_id: 0,
    pad_token_id: 0,
    eos_token_id: 2,
    torch_dtype: "float16",
  },
  documents: sqlText,
  seed: 21,
  tokens: 2.6e6,
  charactersPerToken: 3,
  tokenizer: {
    more: sentinels,
    adds: "eos",
  },
  split: readAndWrite,
  begin(model) {
    for (const stack of ["encoder", "decoder"]) {
      const weight = model.weights.get(
        `${stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`,
      )!;
      if (weight.kind === "dense") model.device.update(weight.tensor, positions(stack === "encoder"));
    }
  },
};
