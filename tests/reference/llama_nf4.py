"""NF4 references: python llama_nf4.py, after llama.py (transformers + peft + bitsandbytes' PyTorch path, one thread).

Writes llama_nf4 and llama_nf4_double (llama_tied quantised, as bitsandbytes' checkpoints, with the adapter of llama_tied
trained on them) and nf4_ties (where bitsandbytes' own kernels disagree with one another; nf4.py has the single tensors).
README.md lists the keys.
"""
import json
import shutil
import subprocess
import sys

import torch
from llama import BATCHES, DECAY, PEAK, WARMUP, logits_of
from llama_common import (ADAM, HERE, MAX_GRAD_NORM, bitsandbytes, both_traces, gradients_of, largest_difference,
                          linear_rates, load, one_group, store, trained_tokens, widen, write_json)
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

MODEL, ADAPTER = HERE / "llama_tied" / "model", HERE / "llama_tied" / "adapter"
functional = bitsandbytes.functional


def load_4bit(folder, dtype=torch.float32, **options):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, device_map="cpu", **options)


def dequantised(model):
    """Plain Linear layers with the values of the 4-bit ones: the only way to compute in float64."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, bitsandbytes.nn.Linear4bit):
            plain = torch.nn.Linear(layer.in_features, layer.out_features, bias=False)
            plain.weight = torch.nn.Parameter(functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).float())
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, plain)
    return model


def build(name: str, double: bool) -> None:
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double,
                                  bnb_4bit_compute_dtype=torch.float32)
    load_4bit(MODEL, torch.float16 if double else torch.float32, quantization_config=settings).save_pretrained(out / "model")
    shutil.copy(MODEL / "generation_config.json", out / "model")
    rows = json.loads((HERE / "llama_tied" / "cases.json").read_text())["rows"]

    def base(dtype: torch.dtype):
        # float32 everywhere (a quantised checkpoint keeps its own dtype when loaded); in float64 its dequantised values
        model = load_4bit(out / "model")
        for weight in model.parameters():
            weight.data = weight.data.float() if weight.is_floating_point() else weight.data
        for layer in model.modules():
            if isinstance(layer, bitsandbytes.nn.Linear4bit):
                layer.weight.quant_state.dtype = torch.float32
        return widen(dequantised(model)) if dtype == torch.float64 else model

    def tuned(dtype: torch.dtype):
        model = base(torch.float32)
        model = PeftModel.from_pretrained(dequantised(model) if dtype == torch.float64 else model, ADAPTER, is_trainable=True)
        return widen(model) if dtype == torch.float64 else model

    rates = linear_rates(PEAK, WARMUP, len(BATCHES), False)
    schedule, gap = both_traces(tuned, rows, BATCHES, rates, one_group(DECAY))
    assert gap < 4e-6, gap
    expected, differences = {}, {"trace": gap}
    for key, make in (("logits", base), ("adapterLogits", tuned)):
        exact, rounded = (logits_of(make(d), rows, key) for d in (torch.float64, torch.float32))
        expected.update(exact)
        differences[key] = largest_difference(exact, rounded)
    loss, exact = gradients_of(tuned(torch.float64), rows)
    loss32, rounded = gradients_of(tuned(torch.float32), rows)
    differences["gradients"] = largest_difference(exact, rounded)
    expected.update({f"gradient.{n}": g for n, g in exact.items()})
    store(out / "expected.safetensors", expected)
    write_json(out / "cases.json", {
        "quantizedFrom": "llama_tied/model", "adapter": "llama_tied/adapter", "doubleQuant": double, "rows": rows,
        "trainedTokens": trained_tokens(rows), "adapterLoss": loss, "float32Differences": differences,
        "training": {"batches": BATCHES, "peak": PEAK, "warmup": WARMUP, **ADAM, "weightDecay": DECAY,
                     "maxGradNorm": MAX_GRAD_NORM, "warmupFromFirstStep": schedule}})
    print(name, "loss", loss, loss32, differences)


def build_ties() -> None:
    """The second quantisation alone, on the middles between its 256 values (input is absmax - offset)."""
    out = HERE / "nf4_ties"
    out.mkdir(exist_ok=True)
    values = functional.create_dynamic_map()
    middles = torch.cat([(values[:-1] + values[1:]) / 2, torch.tensor([1.0])])
    codes, state = functional.quantize_blockwise(middles, blocksize=256)
    save_file({"input": middles, "codes": codes, "absmax": state.absmax}, out / "ties.safetensors")
    run = subprocess.run([sys.executable, str(HERE / "llama_nf4_native.py")], check=True, capture_output=True, text=True)
    write_json(out / "native.json", json.loads(run.stdout))
    print("nf4_ties", {n: len(v["index"]) for n, v in json.loads(run.stdout).items()})


def main() -> None:
    build("llama_nf4", False)
    build("llama_nf4_double", True)
    build_ties()


if __name__ == "__main__":
    main()
