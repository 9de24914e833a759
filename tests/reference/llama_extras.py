"""Small JSON references: python llama_extras.py (transformers + peft; seconds).

Writes llama_extras/{schedules,sampling,lora_init,adapter_configs}.json. README.md lists the keys.
"""
import math

import torch
from llama_common import HERE, load, write_json
from peft import LoraConfig, get_peft_model
from transformers import (LogitsProcessorList, NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor,
                          TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)
from transformers.optimization import (get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup,
                                       get_cosine_with_hard_restarts_schedule_with_warmup, get_linear_schedule_with_warmup)

OUT = HERE / "llama_extras"
TOTAL, WARMUP, PEAK = 30, 5, 2e-4


def schedules() -> dict:
    def rates(make, **options) -> list[float]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
        schedule, found = make(optimizer, num_warmup_steps=WARMUP, **options), []
        for _ in range(TOTAL):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return found
    return {"total": TOTAL, "warmup": WARMUP, "peak": PEAK, "cycles": 3,
            "linear": rates(get_linear_schedule_with_warmup, num_training_steps=TOTAL),
            "cosine": rates(get_cosine_schedule_with_warmup, num_training_steps=TOTAL),
            "cosineWithRestarts": rates(get_cosine_with_hard_restarts_schedule_with_warmup, num_training_steps=TOTAL, num_cycles=3),
            "constantWithWarmup": rates(get_constant_schedule_with_warmup)}


def sampling() -> dict:
    """One distribution after each of transformers' processors, in the order in which generate applies them."""
    generator = torch.Generator().manual_seed(11)
    logits = torch.randn(1, 256, generator=generator) * 3
    past = torch.tensor([[9, 4, 17, 30, 4, 17, 200, 9, 4]])
    top = logits[0].topk(6).indices.tolist()
    past[0, 3], past[0, 6] = top[0], top[2]  # so that the penalty and the n-gram rule change the outcome
    past[0, 2] = past[0, 5] = top[1]
    steps = [("repetitionPenalty", 1.3, RepetitionPenaltyLogitsProcessor(1.3)), ("noRepeatNgramSize", 3, NoRepeatNGramLogitsProcessor(3)),
             ("temperature", 0.7, TemperatureLogitsWarper(0.7)), ("topK", 20, TopKLogitsWarper(20)), ("topP", 0.9, TopPLogitsWarper(0.9))]
    scores, stages, settings = logits.clone(), [], {}
    for name, value, processor in steps:
        scores = processor(past, scores)
        settings[name] = value
        stages.append({"after": name, "probabilities": [round(p, 9) for p in scores.double().softmax(-1)[0].tolist()]})
    chained = LogitsProcessorList([p for name, _, p in steps if name != "noRepeatNgramSize"])(past, logits.clone())
    return {"logits": logits[0].tolist(), "past": past[0].tolist(), "settings": settings, "stages": stages,
            "withoutNgramRule": [round(p, 9) for p in chained.double().softmax(-1)[0].tolist()]}


def lora_init() -> dict:
    """kaiming_uniform(a = sqrt 5): bound = sqrt(6 / ((1 + a^2) * in)) = 1 / sqrt(in), whatever r is."""
    rows = []
    for features in (32, 64, 256, 2048):
        model = torch.nn.Sequential(torch.nn.Linear(features, 64, bias=False))
        torch.manual_seed(features)
        tuned = get_peft_model(model, LoraConfig(r=64, target_modules=["0"]))
        a = tuned.base_model.model[0].lora_A["default"].weight
        b = tuned.base_model.model[0].lora_B["default"].weight
        bound = 1 / math.sqrt(features)
        assert bound * 0.99 < a.abs().max().item() <= bound and not b.any()
        rows.append({"inFeatures": features, "r": 64, "bound": bound, "largest": a.abs().max().item(),
                     "standardDeviation": a.std().item(), "expectedStandardDeviation": bound / math.sqrt(3)})
    return {"formula": "A uniform in [-1/sqrt(inFeatures), 1/sqrt(inFeatures)], B zero", "rows": rows}


VARIANTS = [
    ("use_dora", {"use_dora": True}, "DoRA: a trained magnitude for each output, tensors lora_magnitude_vector"),
    ("modules_to_save", {"modules_to_save": ["lm_head"]}, "whole modules trained and stored beside LoRA"),
    ("rank_pattern", {"rank_pattern": {"layers.0.self_attn.q_proj": 2}}, "other ranks for the modules that match"),
    ("alpha_pattern", {"alpha_pattern": {"v_proj": 32}}, "other alphas for the modules that match"),
    ("bias_all", {"bias": "all"}, "all biases of the base are trained and stored"),
    ("bias_lora_only", {"bias": "lora_only"}, "biases of the adapted modules are trained and stored"),
    ("lora_bias", {"lora_bias": True}, "lora_B has a bias of its own"),
    ("trainable_token_indices", {"trainable_token_indices": [5, 6]}, "rows of the embedding are trained and stored"),
    ("layers_to_transform", {"layers_to_transform": [1], "layers_pattern": "layers"}, "LoRA only in these layers"),
    ("target_regex", {"target_modules": r".*\.layers\.0\.(self_attn\.[qv]_proj|mlp\.up_proj)"}, "a regular expression that must match a whole module name"),
    ("target_all_linear", {"target_modules": "all-linear"}, "every linear layer but the output head"),
    ("target_suffix", {"target_modules": ["self_attn.o_proj", "model.layers.1.mlp.down_proj"]}, "a list entry is a whole name or its end behind a dot"),
    ("exclude_modules", {"exclude_modules": ["k_proj"]}, "modules left out of the targets"),
    ("use_rslora", {"use_rslora": True}, "scaling alpha / sqrt(r)"),
    ("layer_replication", {"layer_replication": [[0, 2], [1, 2]]}, "layers of the base used more than once"),
    ("target_parameters", {"target_modules": [], "target_parameters": ["mlp.gate_proj.weight"]}, "LoRA on parameters that are no linear layer's (experts)"),
    ("megatron", {"megatron_config": {"tensor_model_parallel_size": 1}}, "Megatron's parallel linear layers"),
    ("fan_in_fan_out", {"fan_in_fan_out": True}, "weights stored [in, out] (GPT-2); PEFT sets it back for Linear"),
    ("init_gaussian", {"init_lora_weights": "gaussian"}, "only how A starts; nothing at loading"),
    ("init_pissa", {"init_lora_weights": "pissa"}, "the base weights were changed at the start: the adapter does not fit the plain base"),
    ("peft_type", {"peft_type": "IA3"}, "not LoRA at all"),
    ("task_type_other", {"task_type": "SEQ_2_SEQ_LM"}, "made for another kind of model"),
    ("rank_zero", {"r": 0}, "an impossible rank: PEFT refuses it too"),
]
# those that do not apply to llama_tied, or that PEFT refuses
NOT_APPLIED = {"peft_type", "task_type_other", "rank_zero", "megatron", "layer_replication"}
COMMON = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "bias": "none",
          "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}


def adapter_configs() -> dict:
    """What each setting means, and for those that PEFT applies to llama_tied: which modules, ranks and scalings."""
    found = []
    for name, change, meaning in VARIANTS:
        config = {**COMMON, **change}
        entry = {"name": name, "meaning": meaning, "config": config}
        if name not in NOT_APPLIED:
            torch.manual_seed(0)
            model = load(HERE / "llama_tied" / "model", torch.float32)
            tuned = get_peft_model(model, LoraConfig(**{k: v for k, v in config.items() if k != "peft_type"}))
            prefix = "base_model.model."
            entry["modules"] = {n.removeprefix(prefix): {"r": m.r["default"], "scaling": m.scaling["default"]}
                                for n, m in tuned.named_modules() if getattr(m, "r", None) and "default" in m.r}
            entry["trainable"] = sum(p.numel() for p in tuned.parameters() if p.requires_grad)
        found.append(entry)
    return {"base": "llama_tied/model", "variants": found}


def main() -> None:
    OUT.mkdir(exist_ok=True)
    for name, make in (("schedules", schedules), ("sampling", sampling), ("lora_init", lora_init), ("adapter_configs", adapter_configs)):
        write_json(OUT / f"{name}.json", make())
        print(name)


if __name__ == "__main__":
    main()
