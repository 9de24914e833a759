"""Writes formats/: small files made by the Python safetensors library, and the values they hold.

What this project writes is compared with these files byte for byte, so that the library reads it too.
"""
import json, pathlib
import torch
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent / "formats"


def write():
    here.mkdir(exist_ok=True)
    torch.manual_seed(1)
    values = torch.cat([torch.randn(40) * 3, torch.tensor([0.0, -0.0, 1e-7, -6e-8, 65504.0, 1e30, -1e30])])
    halves = values.clamp(-65504, 65504)
    tensors = {
        "f64": values.double() * 1.1,
        "f32": values.reshape(47, 1).clone(),
        "f16": halves.half(),
        "bf16": values.bfloat16(),
        "i64": torch.arange(6).reshape(2, 3),
        "u8": torch.arange(5, dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "größe": torch.ones(1),
    }
    save_file(tensors, here / "dtypes.safetensors", {"format": "pt"})
    expected = {n: t.float().flatten().tolist() for n, t in tensors.items()}
    # Rounding to 16 bits, ties included: values halfway between two neighbours.
    ties = torch.tensor([1 + k * 2.0**-9 for k in range(8)] + [1 + k * 2.0**-12 for k in range(8)])
    ties = torch.cat([ties, -ties, values])
    expected["rounding"] = {
        "f32": ties.tolist(),
        "bf16": ties.bfloat16().view(torch.int16).tolist(),
        "f16": ties.half().view(torch.int16).tolist(),
    }
    (here / "dtypes.json").write_text(json.dumps(expected))
    shards = here / "sharded"
    shards.mkdir(exist_ok=True)
    first, second = {"a": torch.tensor([1.0, 2.0])}, {"b": torch.tensor([[3.0], [4.0]])}
    save_file(first, shards / "model-00001-of-00002.safetensors", {"format": "pt"})
    save_file(second, shards / "model-00002-of-00002.safetensors", {"format": "pt"})
    index = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    text = json.dumps({"metadata": {"total_size": 16}, "weight_map": index}, indent=2)
    (shards / "model.safetensors.index.json").write_text(text)


write()
