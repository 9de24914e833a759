// The embedded model of the text-to-SQL example: a T5 of FLAN's form (gated GELU), but its head is the table of tokens, as the
// first T5's is: what it can read it can write.

import type { DenseWeight } from "@fintune/fintune";
import type { EmbeddedModel } from "../embedded.ts";
import { readAndWrite, sentinels, sqlText } from "./text.ts";

const buckets = 32, heads = 4, width = 96;

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

/** An attention's o begins as the transpose of its v (as wide): what is looked at is passed on as it is, and names can be copied. */
const transposed = (square: Float32Array): Float32Array =>
  square.map((_, i) => square[(i % width) * width + Math.floor(i / width)]);

/** About 430,000 parameters. */
export const recipe: EmbeddedModel = {
  folder: "examples/sql/model",
  config: {
    architectures: ["T5ForConditionalGeneration"],
    model_type: "t5",
    vocab_size: 1024,
    d_model: width,
    d_kv: width / heads,
    d_ff: 96,
    num_layers: 2,
    num_decoder_layers: 2,
    num_heads: heads,
    relative_attention_num_buckets: buckets,
    relative_attention_max_distance: 64,
    feed_forward_proj: "gated-gelu",
    layer_norm_epsilon: 1e-6,
    initializer_factor: 1,
    tie_word_embeddings: true,
    is_encoder_decoder: true,
    max_position_embeddings: 512,
    decoder_start_token_id: 0,
    pad_token_id: 0,
    eos_token_id: 2,
    torch_dtype: "float16",
  },
  documents: sqlText,
  seed: 21,
  tokens: 2e6,
  charactersPerToken: 4,
  tokenizer: {
    more: sentinels,
    adds: "eos",
    mergeDigits: true,
  },
  split: readAndWrite,
  async begin({ device, weights }) {
    const tensor = (name: string) => (weights.get(name) as DenseWeight).tensor;
    for (const stack of ["encoder", "decoder"]) {
      const name = `${stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`;
      device.update(tensor(name), positions(stack === "encoder"));
    }
    for (const name of [...weights.keys()].filter((name) => name.endsWith(".v.weight"))) {
      const [value] = await device.read(tensor(name)) as Float32Array[];
      device.update(tensor(name.replace(/v\.weight$/, "o.weight")), transposed(value));
    }
  },
};
