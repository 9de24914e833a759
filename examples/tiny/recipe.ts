// What the tiny model is made of: its sizes, its tokenizer and its text. The script that trains it and the tests that
// check its files share these.

import { tokenizerFiles, trainBpe } from "./bpe.ts";
import { takeText } from "./text.ts";

/** Hugging Face's config.json: a Llama of 1.9 million parameters, 3.7 MB in half precision. */
export const tinyConfig = {
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
};

/** The seed of the text that the model is trained on. */
export const textSeed = 1;

/** About as many characters as the tokenizer makes one token of. */
export const charactersPerToken = 3.3;

/** The tokenizer's files, by name, learnt from the first two million characters. */
export function tinyTokenizerFiles(): Record<string, string> {
  const bpe = trainBpe(takeText(textSeed, 2e6), tinyConfig.vocab_size);
  return tokenizerFiles(bpe, tinyConfig.max_position_embeddings);
}
