"""Run by llama_nf4.py: prints where bitsandbytes' native CPU kernels give other codes than its PyTorch path.

A process of its own, because bitsandbytes chooses its kernels when it is imported. Compared are nf4_ties and the
tensors of nf4 (nf4.py) whose blocks are 64 long.
"""
import json
from pathlib import Path

import bitsandbytes.functional as functional
import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent


def differences(native: torch.Tensor, pytorch: torch.Tensor) -> dict[str, list[int]]:
    places = (native != pytorch).nonzero().flatten().tolist()
    return {"index": places, "pytorch": pytorch[places].tolist(), "native": native[places].tolist()}


ties, tensors = load_file(HERE / "nf4_ties" / "ties.safetensors"), load_file(HERE / "nf4" / "nf4.safetensors")
found = {"nf4_ties.codes": differences(functional.quantize_blockwise(ties["input"], blocksize=256)[0], ties["codes"])}
for name in sorted({key.split(".")[0] for key in tensors if key.endswith(".weights")}):
    if not name.startswith("block"):
        codes, state = functional.quantize_4bit(tensors[f"{name}.weights"], blocksize=64, quant_type="nf4", compress_statistics=True)
        found[f"{name}.codes"] = differences(codes.flatten(), tensors[f"{name}.codes"])
        found[f"{name}.nested_codes"] = differences(state.absmax, tensors[f"{name}.nested_codes"])
print(json.dumps({key: value for key, value in found.items() if value["index"]}))
