"""Run by llama_nf4.py: prints where bitsandbytes' native CPU kernels give other codes than its PyTorch path.

A process of its own, because bitsandbytes chooses its kernels when it is imported.
"""
import json
from pathlib import Path

import bitsandbytes.functional as functional
from safetensors.torch import load_file

tensors = load_file(Path(__file__).parent / "nf4_vectors" / "vectors.safetensors")
found = {}
for name in sorted({key.split(".")[0] for key in tensors if key.endswith(".input")}):
    value = tensors[f"{name}.input"]
    if name == "blockwiseTies":
        results = {"codes": functional.quantize_blockwise(value, blocksize=256)[0]}
    else:
        codes, state = functional.quantize_4bit(value, blocksize=64, quant_type="nf4", compress_statistics=True)
        results = {"codes": codes.reshape(-1), "nested.codes": state.absmax}
    for key, native in results.items():
        ours = tensors[f"{name}.{key}"]
        places = (native != ours).nonzero().flatten().tolist()
        if places:
            found[f"{name}.{key}"] = {"index": places, "pytorch": ours[places].tolist(), "native": native[places].tolist()}
print(json.dumps(found))
