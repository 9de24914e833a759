"""GGUF as llama.cpp itself writes it: what its converter and llama-quantize make of the models here, and numbers in its formats.

    python3 gguf_files.py CHECKOUT LIBRARIES

CHECKOUT is llama.cpp v0.5.0 (npm's node-llama-cpp 3.22.1 carries it: git clone llama/gitRelease.bundle), LIBRARIES the folder
with libllama.v0.5.0.so and libggml-base.so (npm's @node-llama-cpp/linux-x64 3.22.1, bins/linux-x64).

Writes gguf/converter.json: for each model and type the metadata (long lists as hashes) and of every tensor its format, shape
and the SHA-256 of its bytes; gguf/adapters.json: the same of adapters; gguf/quants.json: numbers, their bytes in each format
by ggml_quantize_chunk, and the SHA-256 of what gguf.quants (pip gguf 0.19.0) reads them as.
"""
import base64, ctypes, hashlib, json, logging, runpy, shutil, sys, tempfile
from pathlib import Path

checkout, libraries = Path(sys.argv[1]), Path(sys.argv[2])
here = Path(__file__).parent
import gguf.quants as released  # the pip package, before the checkout's own hides it
for name in [name for name in sys.modules if name.startswith("gguf")]:
    del sys.modules[name]
sys.path[:0] = [str(checkout), str(checkout / "gguf-py")]

import gguf
import numpy as np
from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

logging.disable(logging.CRITICAL)
base = ctypes.CDLL(str(libraries / "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
ctypes.CDLL(str(libraries / "libggml.v0.5.0.so"), mode=ctypes.RTLD_GLOBAL)
llama = ctypes.CDLL(str(libraries / "libllama.v0.5.0.so"))

models = {name: here / name / "model" for name in [
    "llama_tied", "llama_rope3", "llama_headdim", "qwen2_bias", "qwen3_norm", "mistral_window", "gemma_scaled", "t5_tied"]}
types = {
    "f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}


class QuantizeParams(ctypes.Structure):
    _fields_ = [("nthread", ctypes.c_int32), ("ftype", ctypes.c_int32), ("rest", ctypes.c_uint8 * 56)]


llama.llama_model_quantize_default_params.restype = QuantizeParams


def convert(folder, kind, target):
    hparams = ModelBase.load_hparams(folder, False)
    known = get_model_class(get_model_architecture(hparams, ModelType.TEXT))

    class Own(known):
        model_arch = known.model_arch

        def set_vocab(self):
            self._set_vocab_none()  # these folders have no tokenizer

    Own(folder, types[kind], target, hparams=hparams).write()


def quantize(source, target, ftype):
    params = llama.llama_model_quantize_default_params()
    params.nthread, params.ftype = 1, ftype
    assert llama.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)) == 0


def digest(data):
    return hashlib.sha256(data).hexdigest()[:24]


def described(path):
    reader = gguf.GGUFReader(path)
    metadata = {}
    for name, field in reader.fields.items():
        if name.startswith("GGUF."):
            continue
        value = field.contents()
        if isinstance(value, list):
            value = [int(one) if isinstance(one, float) and one.is_integer() else one for one in value]  # as JavaScript says them
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            value = {"list": len(value), "sha256": digest(text.encode())}
        metadata[name] = value
    tensors = {t.name: [t.tensor_type.name, [int(n) for n in reversed(t.shape)], digest(t.data.tobytes())] for t in reader.tensors}
    return {"metadata": metadata, "tensors": tensors}


def written(folder, temporary):
    found = {}
    for kind in types:
        path = temporary / f"{kind}.gguf"
        convert(folder, kind, path)
        found[kind] = described(path)
    for kind, ftype in [("q4_0", 2), ("q4_k_m", 15)]:
        path = temporary / f"{kind}.gguf"
        quantize(temporary / "f32.gguf", path, ftype)
        found[kind] = {"tensors": described(path)["tensors"]}
    return found


def converter():
    found = {}
    for name, folder in models.items():
        with tempfile.TemporaryDirectory() as temporary:
            found[name] = written(folder, Path(temporary))
    return found


def adapters():
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in ["llama_tied", "llama_rope3", "qwen2_bias", "gemma_scaled", "t5_tied"]:
            path = Path(temporary) / f"{name}.gguf"
            sys.argv = ["convert_lora_to_gguf.py", "--base", str(here / name / "model"), "--outfile", str(path),
                        str(here / name / "adapter")]
            runpy.run_path(str(checkout / "convert_lora_to_gguf.py"), run_name="__main__")
            found[name] = described(path)
    return found


def quants():
    random = np.random.default_rng(6)
    rows = random.normal(size=(24, 256)).astype(np.float32)
    rows *= np.exp(random.uniform(-12, 6, size=(24, 1))).astype(np.float32)
    rows[3], rows[4], rows[5] = 0, 1, np.abs(rows[5])
    rows[6] = np.round(rows[6] / np.abs(rows[6]).max() * 4) / 4
    rows[7, ::2] = -0.0
    rows[8, 17] *= 50
    values = np.ascontiguousarray(rows).reshape(-1)
    found = {"values": base64.b64encode(values.tobytes()).decode(), "formats": {}}
    for name in ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]:
        kind = gguf.GGMLQuantizationType[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        target = np.zeros(values.size // block * size, dtype=np.uint8)
        base.ggml_quantize_chunk(
            ctypes.c_int(kind), values.ctypes.data_as(ctypes.c_void_p), target.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(0), ctypes.c_int64(24), ctypes.c_int64(256), None)
        back = released.dequantize(target, released.GGMLQuantizationType[name]).astype(np.float32)
        found["formats"][name] = {
            "bytes": base64.b64encode(target.tobytes()).decode(), "read": digest(back.tobytes())}
    return found


if __name__ == "__main__":
    folder = here / "gguf"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "quants.json").write_text(json.dumps(quants(), indent=1) + "\n")
    (folder / "adapters.json").write_text(json.dumps(adapters()) + "\n")
    (folder / "converter.json").write_text(json.dumps(converter(), ensure_ascii=False) + "\n")
