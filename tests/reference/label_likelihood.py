"""Log-probabilities of labels after prompts, by transformers in float64: each prompt with each label is a row of its own.

Writes label_likelihood/cases.json: `models[]`: {`model`, `adapter` (null or a folder), `prompts`, `labels`,
`sums` [prompt][label], `largestFloat32Difference`}.
"""
import json

import torch
from llama_common import HERE, load, widen
from peft import PeftModel
from transformers import AutoModelForSeq2SeqLM

LABELS = [[7], [8], [9], [10, 11], [10, 12, 13], [10]]
MODELS = [("llama_tied", False), ("llama_tied", True), ("qwen2_bias", False), ("mistral_window", False), ("gemma_scaled", True),
          ("t5_gated_untied", False), ("t5_gated_untied", True)]


def label_sum(model, prompt: list[int], label: list[int]) -> float:
    if model.config.is_encoder_decoder:
        answer = torch.tensor([[model.config.decoder_start_token_id] + label[:-1]])
        logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=answer).logits[0].log_softmax(-1)
        return sum(logits[i, token].item() for i, token in enumerate(label))
    logits = model(input_ids=torch.tensor([prompt + label]), use_cache=False).logits[0].log_softmax(-1)
    return sum(logits[len(prompt) - 1 + i, token].item() for i, token in enumerate(label))


def case(name: str, with_adapter: bool, seed: int) -> dict:
    generator = torch.Generator().manual_seed(seed)
    prompts = [[1] + torch.randint(5, 90, (length,), generator=generator).tolist() for length in (2, 11, 5, 30, 7)]
    sums = []
    for dtype in (torch.float64, torch.float32):
        folder = HERE / name / "model"
        if name.startswith("t5"):
            model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).to(dtype)
        else:
            model = load(folder, dtype)
        if with_adapter:
            model = PeftModel.from_pretrained(model, HERE / name / "adapter")
            model = widen(model) if dtype == torch.float64 else model
        model.eval()
        with torch.no_grad():
            sums.append([[label_sum(model, prompt, label) for label in LABELS] for prompt in prompts])
    wide, narrow = (torch.tensor(values, dtype=torch.float64) for values in sums)
    return {
        "model": name,
        "adapter": "adapter" if with_adapter else None,
        "prompts": prompts,
        "labels": LABELS,
        "sums": [[round(value, 9) for value in row] for row in sums[0]],
        "largestFloat32Difference": (wide - narrow).abs().max().item(),
    }


folder = HERE / "label_likelihood"
folder.mkdir(exist_ok=True)
cases = [case(name, adapter, seed) for seed, (name, adapter) in enumerate(MODELS)]
(folder / "cases.json").write_text(json.dumps({"models": cases}) + "\n")
for each in cases:
    print(each["model"], each["adapter"], each["largestFloat32Difference"])
