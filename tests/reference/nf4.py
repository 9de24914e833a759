"""Writes nf4/: weights and the NF4 parts that bitsandbytes (its PyTorch kernels) makes of them.

For every case: weights, codes, absmax, restored (and with double quantisation nested_codes, nested_absmax, offset,
nested_restored). The case "hashed" has a million weights that the test makes itself; only digests are kept.
"""
import hashlib, json, pathlib
import numpy as np
import pytorch_bitsandbytes  # noqa: F401
import torch
import bitsandbytes.functional as F
from bitsandbytes.backends.default.ops import _get_4bit_quantize_bounds
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent / "nf4"
here.mkdir(exist_ok=True)


def parts(weights, block_size):
    codes, state = F.quantize_4bit(weights, blocksize=block_size, quant_type="nf4")
    nested_codes, nested = F.quantize_4bit(weights, blocksize=block_size, quant_type="nf4", compress_statistics=True)
    assert torch.equal(codes, nested_codes)
    return {
        "codes": codes.flatten(),
        "absmax": state.absmax,
        "restored": F.dequantize_4bit(codes, state),
        "nested_codes": nested.absmax,
        "nested_absmax": nested.state2.absmax,
        "offset": nested.offset,
        "nested_restored": F.dequantize_4bit(codes, nested),
    }


def hashed(count):
    """Sums of a hash's four bytes, scaled by block: the same numbers in any language."""
    i = np.arange(count, dtype=np.uint64)
    h = (i * 2654435761) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 2246822519) & 0xFFFFFFFF
    h ^= h >> 13
    total = sum(((h >> s) & 255).astype(np.int64) for s in (0, 8, 16, 24)) - 510
    scale = ((i >> 6) % 97 + 1).astype(np.float32) / np.float32(12345)
    return torch.from_numpy(total.astype(np.float32) * scale)


torch.manual_seed(7)
bounds = _get_4bit_quantize_bounds("nf4", torch.device("cpu"))[0]
up, down = torch.nextafter(bounds, torch.tensor(2.0)), torch.nextafter(bounds, torch.tensor(-2.0))
ties = torch.cat([bounds, up, down, torch.tensor([1.0] + [0.0] * 18)])  # one full block, absmax 1
odd = torch.randn(77) * 0.02  # a last block of 13 weights
tiny = torch.cat([torch.zeros(64), torch.randn(64) * 1e-39, torch.randn(64) * 1e30, -torch.zeros(20)])
cases = {
    "normal": (torch.randn(300 * 64) * 0.02, 64),
    "bfloat16": (torch.randn(1024).bfloat16().float(), 64),
    "ties": (ties, 64),
    "scaled_ties": (torch.cat([ties * 0.3, ties * 7e-3, ties[:50]]), 64),
    "odd": (odd, 64),
    "tiny": (tiny, 64),
    "block32": (torch.randn(100), 32),
    "block256": (torch.randn(1000), 256),
}
tensors = {}
for name, (weights, block_size) in cases.items():
    for part, tensor in {"weights": weights, **parts(weights, block_size)}.items():
        if name == "normal" and "restored" in part:
            continue  # for its size
        tensors[f"{name}.{part}"] = tensor.contiguous()
tensors["dynamic_map"] = F.create_dynamic_map()
tensors["midpoints"] = bounds
save_file(tensors, here / "nf4.safetensors")

digest = {
    name: hashlib.sha256(tensor.numpy().tobytes()).hexdigest() if name != "offset" else tensor.item()
    for name, tensor in {"weights": hashed(1_000_003), **parts(hashed(1_000_003), 64)}.items()
}
(here / "hashed.json").write_text(json.dumps(digest, indent=2) + "\n")
