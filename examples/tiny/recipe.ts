// What the tiny Llama is made of: its sizes, its tokenizer and its text.

import type { EmbeddedModel } from "../embedded.ts";
import { pretrainingText } from "./text.ts";

/** A Llama of 1.9 million parameters, 3.7 MB in half precision. */
export const recipe: EmbeddedModel = {
  folder: "examples/tiny/model",
  config: {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: 1536,
    hidden_size: 192,
    intermediate_size: 512,
    num_hidden_layers: 4,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    hidden_act: "silu",
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    initializer_range: 0.04,
    tie_word_embeddings: true,
    pad_token_id: 0,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: "float16",
  },
  documents: pretrainingText,
  seed: 1,
  tokens: 6e6,
  charactersPerToken: 3.3,
};
