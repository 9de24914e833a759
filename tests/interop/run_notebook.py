"""Runs a notebook with nbconvert on Deno's kernel: python run_notebook.py <deno> <notebook> <folder it works in> <output>"""
import json
import os
import sys
import tempfile

deno, path, folder, out = sys.argv[1:]
kernels = tempfile.mkdtemp()
os.environ["JUPYTER_PATH"] = kernels
os.makedirs(f"{kernels}/kernels/deno")
with open(f"{kernels}/kernels/deno/kernel.json", "w") as file:
    argv = [deno, "jupyter", "--kernel", "--conn", "{connection_file}"]
    json.dump({"argv": argv, "display_name": "Deno", "language": "typescript"}, file)

import nbformat
from nbconvert import HTMLExporter
from nbconvert.preprocessors import ExecutePreprocessor

notebook = nbformat.read(path, as_version=4)
# The kernel holds threads of onnxruntime and ends without waiting for them.
ExecutePreprocessor(timeout=280, shutdown_kernel="immediate").preprocess(notebook, {"metadata": {"path": folder}})
nbformat.write(notebook, out)
with open(out.replace(".ipynb", ".html"), "w") as file:
    file.write(HTMLExporter().from_notebook_node(notebook)[0])
