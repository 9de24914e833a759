// The embedded Mistral of the sentiment example: a window of 64 positions and heads that are wider than hidden_size / heads.

import type { EmbeddedModel } from "../embedded.ts";
import { marketNews } from "./market_text.ts";

/** About 450,000 parameters. */
export const recipe: EmbeddedModel = {
  folder: "examples/fingpt/model/mistral",
  config: {
    architectures: ["MistralForCausalLM"],
    model_type: "mistral",
    vocab_size: 896,
    hidden_size: 128,
    intermediate_size: 128,
    num_hidden_layers: 3,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    head_dim: 24,
    sliding_window: 64,
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
  documents: marketNews,
  seed: 5,
  tokens: 4e6,
  charactersPerToken: 3,
  tokenizer: {
    // [INST] and [/INST] are plain text, as in Mistral 7B's first version.
    chatTemplate: "{{ bos_token }}{% for message in messages %}" +
      "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}" +
      "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}",
  },
};
