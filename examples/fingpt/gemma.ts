// The embedded Gemma of the questions and answers: norms of 1 + w, scaled embeddings, tanh GELU, one head of keys and values.

import type { EmbeddedModel } from "../embedded.ts";
import { shortText } from "../tiny/short_text.ts";

/** About 460,000 parameters. */
export const recipe: EmbeddedModel = {
  folder: "examples/fingpt/model/gemma",
  config: {
    architectures: ["GemmaForCausalLM"],
    model_type: "gemma",
    vocab_size: 896,
    hidden_size: 128,
    intermediate_size: 192,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    head_dim: 32,
    hidden_act: "gelu_pytorch_tanh",
    max_position_embeddings: 512,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    initializer_range: 0.04,
    tie_word_embeddings: true,
    pad_token_id: 0,
    bos_token_id: 1,
    eos_token_id: [2, 4],
    torch_dtype: "float16",
  },
  documents: shortText,
  seed: 12,
  tokens: 3.6e6,
  charactersPerToken: 3,
  tokenizer: {
    special: { pad: "<pad>", bos: "<bos>", eos: "<eos>" },
    more: ["<start_of_turn>", "<end_of_turn>"],
    chatTemplate: "{{ bos_token }}{% for message in messages %}" +
      "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}" +
      "{{ '<start_of_turn>' + role + '\\n' + message['content'] + '<end_of_turn>\\n' }}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
  },
};
