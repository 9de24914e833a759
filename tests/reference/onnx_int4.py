"""Four-bit codes and scales from onnxruntime's own quantiser (MatMulNBits, blocks of 32, symmetric).

python tests/reference/onnx_int4.py   (onnxruntime, numpy; writes onnx_int4/cases.json)
"""
import json
import os

import numpy as np
import onnxruntime
from onnxruntime.capi._pybind_state import quantize_matmul_4bits

rng = np.random.default_rng(7)
HALVES = np.arange(-8, 8, 0.5, dtype=np.float32)  # with a scale of 1, every border between two codes


def case(name, weight):
    out, width = weight.shape
    blocks = (width + 31) // 32
    codes = np.full((out, blocks, 16), 0x88, dtype=np.uint8)  # what lies behind a row stays zero
    scales = np.zeros(out * blocks, dtype=np.float32)
    zeros = np.zeros(out * ((blocks + 1) // 2), dtype=np.uint8)
    quantize_matmul_4bits(codes, np.ascontiguousarray(weight.T), scales, zeros, 32, out, width, True)
    return {
        "name": name,
        "shape": [out, width],
        "weight": weight.astype(np.float64).ravel().tolist(),
        "codes": codes.ravel().tolist(),
        "scales": scales.astype(np.float64).tolist(),
    }


cases = [
    case("normal", rng.normal(0, 0.02, (6, 96)).astype(np.float32)),
    case("rows that end inside a block", rng.normal(0, 1, (4, 40)).astype(np.float32)),
    case("on the borders", np.stack([HALVES, -HALVES, HALVES * 0.3])),
    case("zeros and one large number", np.stack([np.zeros(32), np.eye(32)[5] * 3, -np.eye(32)[5]]).astype(np.float32)),
]
folder = os.path.join(os.path.dirname(__file__), "onnx_int4")
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "cases.json"), "w") as file:
    json.dump({"onnxruntime": onnxruntime.__version__, "cases": cases}, file)
    file.write("\n")
