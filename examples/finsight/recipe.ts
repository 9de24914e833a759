// The embedded SmolLM2-like model of the FinSight example: a Llama with ChatML turns.

import type { EmbeddedModel } from "../embedded.ts";
import { shortText } from "../tiny/short_text.ts";

/** About 476,000 parameters. */
export const recipe: EmbeddedModel = {
  folder: "examples/finsight/model",
  config: {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: 832,
    hidden_size: 128,
    intermediate_size: 192,
    num_hidden_layers: 3,
    num_attention_heads: 4,
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
  documents: shortText,
  seed: 11,
  tokens: 4e6,
  charactersPerToken: 3,
  tokenizer: {
    special: { pad: "<|endoftext|>", bos: "<|im_start|>", eos: "<|im_end|>" },
    adds: "nothing",
    // As SmolLM2's, with a system turn of its own where a conversation begins without one.
    chatTemplate: "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}" +
      "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}" +
      "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  },
};
