// config.json alone, of every family: sizes, types, rotary scaling, quantisation.
import { join } from "@std/path";
import { countLoRA, countParameters } from "../../../lib/models/config.ts";
import { loadConfig } from "../../../lib/models/load.ts";
import { mutateFolder } from "../mutate_folder.ts";
import { encode, isJsonObject, type Reader } from "../reader.ts";

const LLAMA = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 120,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_act: "silu",
  rms_norm_eps: 1e-6,
  max_position_embeddings: 256,
  rope_theta: 10000,
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: [2, 3],
  torch_dtype: "bfloat16",
};
const SEEDS = [
  LLAMA,
  {
    ...LLAMA,
    rope_scaling: {
      rope_type: "llama3",
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 64,
    },
  },
  {
    ...LLAMA,
    rope_parameters: { rope_type: "linear", factor: 2, rope_theta: 5e5 },
    attention_bias: true,
    mlp_bias: true,
  },
  { ...LLAMA, model_type: "mistral", sliding_window: 128 },
  { ...LLAMA, model_type: "qwen2", use_sliding_window: false, sliding_window: 64 },
  { ...LLAMA, model_type: "gemma", head_dim: 32, hidden_act: "gelu_pytorch_tanh" },
  {
    ...LLAMA,
    quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "nf4" },
  },
];

const reader: Reader = {
  name: "config",
  outer: "config.json is a JSON object",
  seeds: () => SEEDS.map((config) => new Map([["config.json", encode(JSON.stringify(config))]])),
  mutate: (files, random) => mutateFolder(files, random, ["config.json"]),
  passesOuter: (files) => isJsonObject(files.get("config.json")),
  async read(folder) {
    const config = await loadConfig(join(folder));
    return [countParameters(config), countLoRA(config, { r: 8, targetModules: "all-linear" })];
  },
};
export default reader;
