"""Reference Llamas: python llama.py (transformers + peft, one thread, about a minute).

Writes llama_tied, llama_rope3 and llama_headdim (model, adapter, rows, logits, gradients, traces, answers),
llama_variants (other adapters on llama_tied) and llama_full (training of all weights of llama_headdim).
README.md lists the files and keys.
"""
import json
import shutil
import sys

import torch
from llama_common import (ADAM, HERE, MAX_GRAD_NORM, both_traces, classic_config, generation_cases,
                          gradients_of, largest_difference, linear_rates, load, one_group, random_adapter,
                          random_model, random_rows, row_logits, save_adapter, store, trained_tokens, widen, write_json)
from peft import PeftModel

LENGTHS, PROMPTS = [5, 12, 9, 16, 2, 7], [0, 6, 1, 11, 0, 3]
BATCHES = [[0, 1], [2, 3], [4, 5], [3, 0], [5, 1], [2, 4], [1, 3], [0, 5], [4, 2], [5, 3],
           [1, 0], [2, 5], [3, 4], [0, 2], [1, 5], [4, 3], [5, 2], [0, 4], [3, 1], [2, 0]]
PEAK, WARMUP, DECAY = 1e-2, 4, 0.01
REPEAT = {"repetition_penalty": 1.3, "no_repeat_ngram_size": 3}
PAD = 3
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]

BASE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 120, "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": PAD, "tie_word_embeddings": True}
ROPE3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 32}
CASES = {
    "llama_tied": {"config": {**BASE, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
                   "dtype": torch.float16, "naming": "classic", "adapter": {"r": 4, "lora_alpha": 8, "target_modules": ATTENTION}},
    "llama_rope3": {"config": {**BASE, "num_key_value_heads": 1, "tie_word_embeddings": False, "rms_norm_eps": 1e-6,
                               "rope_parameters": ROPE3},
                    "dtype": torch.bfloat16, "naming": "transformers 5", "shards": "60KB",
                    "adapter": {"r": 3, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj", "down_proj"]}},
    "llama_headdim": {"config": {**BASE, "hidden_size": 48, "intermediate_size": 64, "vocab_size": 96,
                                 "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}},
                      "dtype": torch.float32, "naming": "classic, without the keys that have defaults",
                      "adapter": {"r": 2, "lora_alpha": 16, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj",
                                                                             "gate_proj", "up_proj", "down_proj"]}},
    # Other families, each with what sets it apart: biases on q, k, v; norms on the heads of q and k; a window shorter than the rows; (1 + w) norms, a scaled
    # embedding, GELU and one key head.
    "qwen2_bias": {"family": "qwen2", "config": {**BASE, "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}},
                   "dtype": torch.bfloat16, "naming": "classic", "adapter": {"r": 4, "lora_alpha": 8, "target_modules": ATTENTION}},
    "qwen3_norm": {"family": "qwen3", "config": {**BASE, "hidden_size": 48, "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}},
                   "dtype": torch.bfloat16, "naming": "classic", "adapter": {"r": 4, "lora_alpha": 8, "target_modules": ATTENTION}},
    "mistral_window": {"family": "mistral", "config": {**BASE, "hidden_size": 48, "sliding_window": 6, "tie_word_embeddings": False,
                                                      "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
                       "dtype": torch.float32, "naming": "classic", "adapter": {"r": 4, "lora_alpha": 8, "target_modules": ATTENTION}},
    "gemma_scaled": {"family": "gemma", "config": {**BASE, "hidden_size": 48, "head_dim": 24, "num_key_value_heads": 1,
                                                  "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
                     "dtype": torch.float32, "naming": "classic", "adapter": {"r": 4, "lora_alpha": 8, "target_modules": ATTENTION}},
}


def save_model(folder, case: dict, seed: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    random_model(case["config"], seed, case["dtype"], case.get("family", "llama")).save_pretrained(folder, max_shard_size=case.get("shards", "1GB"))
    config = json.loads((folder / "config.json").read_text())
    dtype = str(case["dtype"]).removeprefix("torch.")
    if case["naming"].startswith("classic"):
        config = classic_config(config, dtype)
    if "without" in case["naming"]:
        for key in ("attention_bias", "mlp_bias", "attention_dropout", "rope_scaling", "pretraining_tp", "use_cache", "initializer_range"):
            config.pop(key, None)
    write_json(folder / "config.json", config)
    if "shards" in case:  # the same config in the older naming, to hold both readings against one another
        write_json(folder.parent / "config_classic.json", classic_config(dict(config), dtype))


def logits_of(model, rows: list[dict], prefix: str) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return {f"{prefix}.{i}": row_logits(model, row) for i, row in enumerate(rows)}


def both(make, compute) -> tuple[object, float]:
    """compute() on the float64 model, and how far the float32 one is from it."""
    exact, rounded = compute(make(torch.float64)), compute(make(torch.float32))
    return exact, largest_difference(exact, rounded)


def adapted(folder, adapter):
    def make(dtype: torch.dtype):
        model = PeftModel.from_pretrained(load(folder, torch.float32), adapter, is_trainable=True)
        return widen(model) if dtype == torch.float64 else model
    return make


def build(name: str, case: dict, seed: int) -> None:
    out = HERE / name
    out.mkdir(exist_ok=True)
    save_model(out / "model", case, seed)
    rows = random_rows(seed, case["config"]["vocab_size"], LENGTHS, PROMPTS)
    save_adapter(random_adapter(load(out / "model", torch.float32), seed + 1, **case["adapter"]), out / "adapter")
    base, tuned = (lambda dtype: load(out / "model", dtype)), adapted(out / "model", out / "adapter")

    schedules, gaps = {}, []
    for key, first_zero in (("warmupFromFirstStep", False), ("transformers", True)):
        rates = linear_rates(PEAK, WARMUP, len(BATCHES), first_zero)
        schedules[key], gap = both_traces(tuned, rows, BATCHES, rates, one_group(DECAY))
        gaps.append(gap)
    answers, lead = generation_cases(out / "model", case["config"]["vocab_size"], PAD, REPEAT)
    if answers["eosIds"][1] == 2:
        raise ArithmeticError(f"seed {seed}: no token that only one answer has could serve as its end")
    if len(set(answers["greedyIgnoringEos"][0])) < 4:
        raise ArithmeticError(f"seed {seed}: an answer that repeats itself proves little")
    if max(gaps) > 2e-6 or lead < 2e-3 or max(schedules["transformers"]["float64"]["gradNorm"]) < MAX_GRAD_NORM:
        raise ArithmeticError(f"seed {seed}: traces differ by {max(gaps):.1e}, smallest lead {lead:.1e}")

    expected, differences = {}, {}
    expected_base, differences["logits"] = both(base, lambda m: logits_of(m, rows, "logits"))
    expected_tuned, differences["adapterLogits"] = both(tuned, lambda m: logits_of(m, rows, "adapterLogits"))
    loss, exact = gradients_of(tuned(torch.float64), rows)
    _, rounded = gradients_of(tuned(torch.float32), rows)
    differences["gradients"] = largest_difference(exact, rounded)
    expected = {**expected_base, **expected_tuned, **{f"gradient.{n}": g for n, g in exact.items()}}
    base64 = base(torch.float64)
    base_loss, full = gradients_of(base64, rows)

    store(out / "expected.safetensors", expected)
    write_json(out / "cases.json", {
        "seed": seed, "storedDtype": str(case["dtype"]).removeprefix("torch."), "rows": rows,
        "trainedTokens": trained_tokens(rows), "loss": base_loss, "adapterLoss": loss,
        "parameters": sum(p.numel() for p in base64.parameters()),
        "adapterParameters": sum(g.numel() for g in exact.values()),
        "fullGradientNorms": {n: g.norm().item() for n, g in full.items()},
        "float32Differences": differences,
        "training": {"adapter": "adapter", "batches": BATCHES, "peak": PEAK, "warmup": WARMUP, **ADAM,
                     "weightDecay": DECAY, "maxGradNorm": MAX_GRAD_NORM, **schedules},
        "generation": answers,
    })
    print(name, "seed", seed, "gaps", gaps, "lead", lead, differences, "loss", base_loss, loss)


def build_variants() -> None:
    """rsLoRA and "all-linear" adapters on llama_tied: logits of its first two rows."""
    out, model = HERE / "llama_variants", HERE / "llama_tied" / "model"
    out.mkdir(exist_ok=True)
    rows = json.loads((HERE / "llama_tied" / "cases.json").read_text())["rows"][:2]
    found, cases = {}, {"model": "llama_tied/model", "rows": rows, "adapters": {}}
    for key, options in (("rslora", {"r": 4, "lora_alpha": 8, "use_rslora": True, "target_modules": ATTENTION}),
                         ("all_linear", {"r": 2, "lora_alpha": 8, "target_modules": "all-linear"})):
        tuned = random_adapter(load(model, torch.float32), 42, **options)
        save_adapter(tuned, out / f"adapter_{key}")
        scaling = tuned.base_model.model.model.layers[0].self_attn.q_proj.scaling["default"]
        values, gap = both(adapted(model, out / f"adapter_{key}"), lambda m: logits_of(m, rows, f"{key}.adapterLogits"))
        found.update(values)
        cases["adapters"][key] = {"folder": f"adapter_{key}", "scaling": scaling, "float32Difference": gap,
                                  "parameters": sum(p.numel() for n, p in tuned.named_parameters() if "lora_" in n)}
    store(out / "expected.safetensors", found)
    write_json(out / "cases.json", cases)
    print("llama_variants", cases["adapters"])


def build_full() -> None:
    """All weights of llama_headdim trained: every gradient, and five AdamW steps with two usual ways to decay."""
    out, model = HERE / "llama_full", HERE / "llama_headdim" / "model"
    out.mkdir(exist_ok=True)
    cases = json.loads((HERE / "llama_headdim" / "cases.json").read_text())
    rows = cases["rows"]
    loss, exact = gradients_of(load(model, torch.float64), rows)
    _, rounded = gradients_of(load(model, torch.float32), rows)

    def matrices_only(m):
        return [{"params": [p for p in m.parameters() if p.dim() > 1], "weight_decay": 0.1},
                {"params": [p for p in m.parameters() if p.dim() == 1], "weight_decay": 0.0}]

    rates, traces = linear_rates(1e-2, 2, 5, False), {}
    for key, groups in (("decayAll", one_group(0.1)), ("decayMatrices", matrices_only)):
        traces[key], gap = both_traces(lambda dtype: load(model, dtype), rows, BATCHES[:5], rates, groups)
        assert gap < 4e-6, gap
    store(out / "gradients.safetensors", exact)
    write_json(out / "cases.json", {
        "model": "llama_headdim/model", "rows": rows, "loss": loss, "float32Difference": largest_difference(exact, rounded),
        "training": {"batches": BATCHES[:5], "peak": 1e-2, "warmup": 2, **ADAM, "weightDecay": 0.1,
                     "maxGradNorm": MAX_GRAD_NORM, **traces}})
    print("llama_full", {k: t["largestDifference"] for k, t in traces.items()}, "loss", loss)


def main() -> None:
    for name, case in CASES.items():
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        for seed in range(100, 160):
            try:
                build(name, case, seed)
                break
            except ArithmeticError as error:
                print(name, error, flush=True)
        else:
            raise SystemExit(f"{name}: no seed whose float32 and float64 traces agree")
    build_variants()
    build_full()


if __name__ == "__main__":
    main()
