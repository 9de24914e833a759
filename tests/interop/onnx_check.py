"""onnx's own checker over the models in a folder; prints what they take and give.

python onnx_check.py FOLDER
"""
import json
import pathlib
import sys

import onnx


def dims(value):
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


found = {}
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.onnx")):
    onnx.checker.check_model(str(path))
    graph = onnx.load(str(path), load_external_data=False).graph
    found[path.name] = {
        side: {value.name: dims(value) for value in getattr(graph, side)} for side in ("input", "output")
    }
print(json.dumps({"onnx": onnx.__version__, "models": found}))
