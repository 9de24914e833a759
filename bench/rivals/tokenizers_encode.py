"""The rival for tokenizing: the Rust library from Python, on the same rows and prompt, in one process.

    python tokenizers_encode.py --rows ROWS.jsonl --tokenizer FOLDER [--how batch|map]

batch: encode_batch over blocks of 1,000 rows (its threads take all cores). map: row by row, as datasets.map without
batching does it, one core. Ids are kept as 16-bit arrays in both. Prints one JSON object.
"""
import argparse
import json
import os
import resource
import time
from array import array
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rows", type=Path, required=True)
parser.add_argument("--tokenizer", type=Path, required=True)
parser.add_argument("--how", choices=["batch", "map"], default="batch")
options = parser.parse_args()
os.environ["TOKENIZERS_PARALLELISM"] = "true" if options.how == "batch" else "false"
from tokenizers import Tokenizer, __version__  # noqa: E402

tokenizer = Tokenizer.from_file(str(options.tokenizer / "tokenizer.json"))
tokenizer.no_truncation()
tokenizer.no_padding()


def render(row: dict) -> str:
    context = f"\n\n{row['input']}" if row["input"] else ""
    return f"### Question: {row['instruction']}{context}\n\n### Answer: {row['output']}"


def blocks(lines, size: int):
    block = []
    for line in lines:
        block.append(render(json.loads(line)))
        if len(block) == size:
            yield block
            block = []
    yield block


began, cpu = time.perf_counter(), time.process_time()
rows: list[array] = []
with options.rows.open() as lines:
    if options.how == "map":
        for line in lines:
            rows.append(array("H", tokenizer.encode(render(json.loads(line)), add_special_tokens=False).ids))
    else:
        for block in blocks(lines, 1000):
            rows.extend(array("H", e.ids) for e in tokenizer.encode_batch(block, add_special_tokens=False))
seconds, used = time.perf_counter() - began, time.process_time() - cpu
total = 0
for ids in rows:
    for token in ids:
        total = (total * 31 + token) % 2147483647
print(json.dumps({"tokenizers": __version__, "seconds": seconds, "cpuSeconds": used, "rows": len(rows), "tokens": sum(map(len, rows)), "sum": total,
                  "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
