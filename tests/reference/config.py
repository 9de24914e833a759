"""Writes config/: rotary frequencies and parameter counts as Transformers computes them, from the config.json beside them.

Each case has its config.json content in both spellings: "v4" is what the Hub's files hold, "v5" what Transformers saves.
"""
import json, pathlib
import torch
import transformers

here = pathlib.Path(__file__).parent / "config"
here.mkdir(exist_ok=True)
LLAMA3 = {
    "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
SMALL = {
    "vocab_size": 320, "hidden_size": 256, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 131072, "hidden_act": "silu", "rms_norm_eps": 1e-05,
    "torch_dtype": "float32",
}
cases = {
    "default": {"model_type": "llama", **SMALL, "rope_theta": 10000.0, "rope_scaling": None},
    "theta": {"model_type": "llama", **SMALL, "rope_theta": 500000.0, "tie_word_embeddings": True},
    "smollm2": {"model_type": "llama", **SMALL, "rope_theta": 100000},
    "linear": {"model_type": "llama", **SMALL, "rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 2.5}},
    "llama3": {"model_type": "llama", **SMALL, "hidden_size": 512, "rope_theta": 500000.0, "rope_scaling": LLAMA3},
    "llama3_8": {"model_type": "llama", **SMALL, "rope_theta": 500000.0, "rope_scaling": {**LLAMA3, "factor": 8.0}},
    "bias": {"model_type": "llama", **SMALL, "attention_bias": True, "mlp_bias": True, "eos_token_id": [2, 7]},
    "mistral": {"model_type": "mistral", **SMALL, "rope_theta": 1000000.0, "sliding_window": 4096, "head_dim": 48},
    "qwen2": {"model_type": "qwen2", **SMALL, "rope_theta": 1000000.0, "use_sliding_window": False, "sliding_window": 64},
    "gemma": {
        "model_type": "gemma", **SMALL, "num_key_value_heads": 1, "head_dim": 96, "hidden_act": "gelu",
        "rope_theta": 10000.0,
    },
}
out = {}
for name, v4 in cases.items():
    config = transformers.AutoConfig.for_model(**v4)
    model = transformers.AutoModelForCausalLM.from_config(config)
    out[name] = {
        "v4": v4,
        "v5": json.loads(config.to_json_string(use_diff=False)),
        "parameters": {n: list(p.shape) for n, p in model.named_parameters()},
        "inv_freq": model.model.rotary_emb.inv_freq.tolist(),
    }
(here / "config.json").write_text(json.dumps(out, indent=1) + "\n")
