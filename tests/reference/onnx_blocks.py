"""Codes of four and eight bits and scales from onnxruntime's own quantiser (MatMulNBits, blocks of 32, symmetric).

python tests/reference/onnx_blocks.py   (onnxruntime, numpy; writes onnx_blocks/cases.json)
"""
import json
import os

import numpy as np
import onnxruntime
from onnxruntime.capi._pybind_state import quantize_matmul_4bits, quantize_matmul_8bits

rng = np.random.default_rng(7)
HALVES = np.arange(-8, 8, 0.5, dtype=np.float32)  # with a scale of 1, every border between two codes


def case(name, weight, bits):
    out, width = weight.shape
    blocks = (width + 31) // 32
    codes = np.full((out, blocks, 4 * bits), 0x88 if bits == 4 else 0x80, dtype=np.uint8)  # what lies behind a row stays zero
    scales = np.zeros(out * blocks, dtype=np.float32)
    zeros = np.zeros(out * ((blocks + 1) // 2 if bits == 4 else blocks), dtype=np.uint8)
    quantize = quantize_matmul_4bits if bits == 4 else quantize_matmul_8bits
    quantize(codes, np.ascontiguousarray(weight.T), scales, zeros, 32, out, width, True)
    return {
        "name": f"{name}, {bits} bits",
        "bits": bits,
        "shape": [out, width],
        "weight": weight.astype(np.float64).ravel().tolist(),
        "codes": codes.ravel().tolist(),
        "scales": scales.astype(np.float64).tolist(),
    }


weights = {
    "normal": rng.normal(0, 0.02, (6, 96)).astype(np.float32),
    "rows that end inside a block": rng.normal(0, 1, (4, 40)).astype(np.float32),
    "on the borders": np.stack([HALVES, -HALVES, HALVES * 0.3]),
    "zeros and one large number": np.stack([np.zeros(32), np.eye(32)[5] * 3, -np.eye(32)[5]]).astype(np.float32),
}
cases = [case(name, weight, bits) for bits in (4, 8) for name, weight in weights.items()]
folder = os.path.join(os.path.dirname(__file__), "onnx_blocks")
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "cases.json"), "w") as file:
    json.dump({"onnxruntime": onnxruntime.__version__, "cases": cases}, file)
    file.write("\n")
