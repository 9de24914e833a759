"""What PEFT's merge_and_unload makes of the adapters that lie here: python merge.py, after llama.py, llama_nf4.py, lora_extras.py, t5.py.

Writes merge/<case>.safetensors: `weight.<name>`, every weight that merging changed in the first layer (the decoder's, for T5),
and `logits.<row>` of the merged model on two rows, both in float64, stored as float32; merge/cases.json says which
model and adapter. 4-bit layers are dequantised first, or else the adapter (PEFT's) is merged into llama_tied itself.
"""
import json

import t5
import torch
from llama_common import HERE, load, row_logits, store, widen, write_json
from llama_nf4 import dequantised
from lora_extras import base, on_the_cpu
from peft import PeftModel

OUT = HERE / "merge"
LAYER = ("model.layers.0.", "decoder.block.0.")
# name: model, adapter, the original that an adapter over 4 bits is merged into
CASES = {
    "lora": ("llama_tied", "llama_tied/adapter", None),
    "lora_nf4": ("llama_nf4", "llama_tied/adapter", None),
    "lora_nf4_double": ("llama_nf4_double", "llama_tied/adapter", None),
    "lora_nf4_original": ("llama_nf4", "llama_tied/adapter", "llama_tied"),
    "dora": ("llama_tied", "lora_extras/dora", None),
    "dora_nf4": ("llama_nf4", "lora_extras/dora_nf4", None),
    "dora_nf4_original": ("llama_nf4", "lora_extras/dora_nf4", "llama_tied"),
    "bias_all": ("qwen2_bias", "lora_extras/bias_all", None),
    "bias_lora_only_dora": ("qwen2_bias", "lora_extras/bias_lora_only_dora", None),
    "pissa": ("llama_tied", "lora_extras/pissa", None),
    "loftq": ("llama_tied", "lora_extras/loftq", None),
    "rslora": ("llama_headdim", "merge/rslora_adapter", None),
    "t5": ("t5_gated_untied", "t5_gated_untied/adapter", None),
    "t5_tied": ("t5_tied", "t5_tied/adapter", None),
}


def model_of(folder: str, wide: bool):
    if not folder.startswith("t5"):
        return base(folder, wide)
    return t5.load(HERE / folder / "model", torch.float32)


def rslora_adapter() -> None:
    """llama_headdim's adapter, scaled as rsLoRA's."""
    source, out = HERE / "llama_headdim" / "adapter", OUT / "rslora_adapter"
    out.mkdir(parents=True, exist_ok=True)
    settings = json.loads((source / "adapter_config.json").read_text()) | {"use_rslora": True}
    write_json(out / "adapter_config.json", settings)
    (out / "adapter_model.safetensors").write_bytes((source / "adapter_model.safetensors").read_bytes())


def merged(folder: str, adapter: str, original: str | None, dtype: torch.dtype):
    start = model_of(original or folder, True)
    before = {name: weight.clone() for name, weight in start.state_dict().items()}
    model = PeftModel.from_pretrained(start, HERE / adapter)
    for module in model.modules():  # LoftQ's start puts 4-bit weights' values into plain layers: nothing is left to quantise
        assert type(module).__name__ != "Linear4bit"
    model = (widen(model) if dtype == torch.float64 else model).merge_and_unload(safe_merge=True)
    return model.eval(), before


def build(name: str, folder: str, adapter: str, original: str | None) -> dict:
    is_t5 = folder.startswith("t5")
    rows = json.loads((HERE / folder.replace("llama_nf4_double", "llama_tied").replace("llama_nf4", "llama_tied") / "cases.json").read_text())["rows"]
    found = {}
    for dtype in (torch.float64, torch.float32):
        model, before = merged(folder, adapter, original, dtype)
        changed = {key: weight for key, weight in model.state_dict().items()
                   if key.startswith(LAYER) and not torch.equal(weight.float(), before[key].float())}
        assert changed
        logits = t5.row_logits if is_t5 else row_logits
        with torch.no_grad():
            found[dtype] = {f"weight.{k}": w.clone() for k, w in changed.items()} | {f"logits.{i}": logits(model, rows[i]).contiguous() for i in (1, 3)}
    exact, rounded = found[torch.float64], found[torch.float32]
    assert exact.keys() == rounded.keys()
    gap = max((exact[k] - rounded[k].double()).abs().max().item() for k in exact)
    store(OUT / f"{name}.safetensors", exact)
    print(name, len(exact), gap)
    return {"model": folder, "adapter": adapter, "original": original, "float32Difference": gap,
            "rows": {i: {key: rows[i][key] for key in ("inputIds", "labels")} for i in (1, 3)}}


if __name__ == "__main__":
    on_the_cpu()
    OUT.mkdir(exist_ok=True)
    rslora_adapter()
    write_json(OUT / "cases.json", {name: build(name, *case) for name, case in CASES.items()})
