// What the embedded Qwen2 is made of: its sizes, its tokenizer and its text.

import type { EmbeddedModel } from "../embedded.ts";
import { riskText } from "./text.ts";

/** ChatML as Qwen2.5 has it, with its default system turn. */
const chatTemplate = "{% if messages[0]['role'] != 'system' %}" +
  "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}" +
  "{% for message in messages %}" +
  "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** A Qwen2 (biases at q, k and v) of 428,000 parameters. */
export const recipe: EmbeddedModel = {
  folder: "examples/qwen2_risk/model",
  config: {
    architectures: ["Qwen2ForCausalLM"],
    model_type: "qwen2",
    vocab_size: 1024,
    hidden_size: 128,
    intermediate_size: 128,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    hidden_act: "silu",
    max_position_embeddings: 512,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    initializer_range: 0.04,
    tie_word_embeddings: true,
    pad_token_id: 0,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: "float16",
  },
  documents: riskText,
  seed: 1,
  tokens: 2.6e6,
  tokenizerCharacters: 1e5,
  charactersPerToken: 2.5,
  tokenizer: {
    special: { pad: "<|endoftext|>", bos: "<|im_start|>", eos: "<|im_end|>" },
    adds: "nothing",
    chatTemplate,
  },
};
