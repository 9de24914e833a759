"""What goes beyond plain LoRA: python lora_extras.py, after llama.py and llama_nf4.py (peft + transformers + bitsandbytes).

Writes lora_extras/<case>/: the adapter as PEFT saved it, expected.safetensors (logits of two rows, gradients) and cases.json
(20 steps of AdamW). LoRA+ is PEFT's create_loraplus_optimizer. README.md lists the keys.
"""
import json
import shutil

import torch
from llama import BATCHES, DECAY, PEAK, WARMUP
from llama_common import (ADAM, HERE, MAX_GRAD_NORM, bitsandbytes, gradients_of, linear_rates, load, loss_of, row_logits,
                          save_adapter, store, widen, write_json)
from llama_nf4 import dequantised, load_4bit
from peft import LoftQConfig, LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer

OUT = HERE / "lora_extras"
ROWS = json.loads((HERE / "llama_tied" / "cases.json").read_text())["rows"]
ALL = ["q_proj", "k_proj", "v_proj", "o_proj"]
RATES = linear_rates(PEAK, WARMUP, len(BATCHES), False)
DTYPES = {"float64": torch.float64, "float32": torch.float32}


def on_the_cpu() -> None:
    """PEFT's LoftQ asks for CUDA; the same code runs on the CPU."""
    for kind in (torch.Tensor, bitsandbytes.nn.Params4bit):
        original = kind.to

        def to(self, *args, original=original, **options):
            args = tuple("cpu" if a == "cuda" else a for a in args)
            return original(self, *args, **{k: "cpu" if v == "cuda" else v for k, v in options.items()})
        kind.to = to


def base(folder: str, wide: bool = False):
    """In float32; for float64 with the values of 4-bit layers in plain ones."""
    if "nf4" not in folder:
        return load(HERE / folder / "model", torch.float32)
    model = load_4bit(HERE / folder / "model")
    for weight in model.parameters():
        weight.data = weight.data.float() if weight.is_floating_point() else weight.data
    for layer in model.modules():
        if isinstance(layer, bitsandbytes.nn.Linear4bit):
            layer.weight.quant_state.dtype = torch.float32
    return dequantised(model) if wide else model


def trace(model, ratio: float | None) -> dict:
    trained = [p for p in model.parameters() if p.requires_grad]
    if ratio is None:
        optimizer = torch.optim.AdamW([{"params": trained, "weight_decay": DECAY}], lr=1.0, betas=tuple(ADAM["betas"]), eps=ADAM["eps"])
    else:
        optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=1.0, loraplus_lr_ratio=ratio, loraplus_weight_decay=DECAY,
                                              betas=tuple(ADAM["betas"]), eps=ADAM["eps"])
    factors = [group["lr"] for group in optimizer.param_groups]
    losses, norms = [], []
    for batch, rate in zip(BATCHES, RATES, strict=True):
        for group, factor in zip(optimizer.param_groups, factors):
            group["lr"] = rate * factor
        optimizer.zero_grad()
        loss = loss_of(model, [ROWS[i] for i in batch])
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM).item())
        optimizer.step()
        losses.append(loss.item())
    return {"loss": losses, "gradNorm": norms}


def build(name: str, folder: str, seed: int, ratio: float | None = None, random_b: bool = True, **options) -> None:
    out = OUT / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    torch.manual_seed(seed)
    loftq = {"loftq_config": LoftQConfig(loftq_bits=4, loftq_iter=1)} if options.get("init_lora_weights") == "loftq" else {}
    start = get_peft_model(base(folder), LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **options, **loftq))
    if random_b:  # a B of zeros would hide the gradient of A, and magnitudes at their start that of a wrong length
        with torch.no_grad():
            for key, weight in start.named_parameters():
                if "lora_B" in key:
                    weight.normal_(0, 0.05)
                elif "magnitude" in key:
                    weight.mul_(1 + 0.1 * torch.randn_like(weight))
                elif weight.requires_grad and key.endswith("bias"):
                    weight.add_(0.1 * torch.randn_like(weight))
    save_adapter(start, out)

    def tuned(dtype: torch.dtype):
        model = PeftModel.from_pretrained(base(folder, dtype == torch.float64), out, is_trainable=True)
        return widen(model) if dtype == torch.float64 else model

    expected, gradients, traces = {}, {}, {}
    for key, dtype in DTYPES.items():
        model = tuned(dtype)
        with torch.no_grad():
            expected[key] = {f"adapterLogits.{i}": row_logits(model, ROWS[i]) for i in (1, 3)}
        loss, gradients[key] = gradients_of(model, ROWS)
        traces[key] = trace(tuned(dtype), ratio)
    gaps = {"logits": max((expected["float64"][k] - expected["float32"][k].double()).abs().max().item() for k in expected["float64"]),
            "gradients": max((gradients["float64"][k] - gradients["float32"][k].double()).abs().max().item() for k in gradients["float64"]),
            "trace": max(abs(a - b) for a, b in zip(traces["float64"]["loss"], traces["float32"]["loss"]))}
    assert gaps["trace"] < 2e-5, (name, gaps)
    named = {f"gradient.{k.replace('lora_magnitude_vector.weight', 'lora_magnitude_vector')}": v for k, v in gradients["float64"].items()}
    store(out / "expected.safetensors", {**expected["float64"], **named})
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    write_json(out / "cases.json", {"base": folder, "trainable": trainable, "total": sum(p.numel() for p in model.parameters()),
                                    "adapterLoss": loss, "loraplusLrRatio": ratio, "float32Differences": gaps,
                                    "training": {"batches": BATCHES, "peak": PEAK, "warmup": WARMUP, **ADAM, "weightDecay": DECAY,
                                                 "maxGradNorm": MAX_GRAD_NORM},
                                    "trace": {"learningRates": RATES, "float32": traces["float32"]}})
    print(name, trainable, gaps)


if __name__ == "__main__":
    on_the_cpu()
    build("dora", "llama_tied", 1, r=4, lora_alpha=8, target_modules=ALL, use_dora=True)
    build("dora_nf4", "llama_nf4", 12, r=4, lora_alpha=8, target_modules=ALL, use_dora=True)
    build("bias_all", "qwen2_bias", 3, r=4, lora_alpha=8, target_modules=["q_proj", "o_proj"], bias="all")
    build("bias_lora_only_dora", "qwen2_bias", 4, r=4, lora_alpha=8, target_modules=["q_proj", "o_proj"], bias="lora_only", use_dora=True)
    build("loraplus", "qwen2_bias", 5, ratio=16.0, r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], bias="all", use_dora=True)
    build("pissa", "llama_tied", 6, random_b=False, r=6, lora_alpha=9, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights="pissa")
    build("loftq", "llama_tied", 7, random_b=False, r=4, lora_alpha=4, target_modules=["q_proj", "down_proj"], init_lora_weights="loftq")
