"""Lengths of real rows by the Rust tokenizers and numpy.

    python tests/reference/lengths.py SHARED      (writes tests/reference/lengths/fiqa.json; SHARED: the folder with data/, tokenizers/)

FiQA's rows under the financeQA prompt, with BOS where the model's tokenizer adds it, and EOS: percentiles, and for each
maxLength the share of whole rows and of wasted positions (packed: each batch of 8 filled up to a multiple of 64).
"""
import json
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

SHARED, OUT = Path(sys.argv[1]), Path(__file__).parent / "lengths"
ROWS = [json.loads(line) for line in (SHARED / "data/finance_alpaca/fiqa_pairs.jsonl").open()]


def report(name: str, around: int) -> dict:
    tokenizer = Tokenizer.from_file(str(SHARED / "tokenizers" / name / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = [f"### Question: {r['instruction']}\n\n### Answer: {r['output']}" for r in ROWS]
    lengths = np.array([len(tokenizer.encode(text, add_special_tokens=False)) + around for text in texts])
    limits = []
    for limit in (128, 256, 512, 1024, 2048):
        cut = np.minimum(lengths, limit)
        groups = [cut[i : i + 8] for i in range(0, len(cut), 8)]
        packed = sum(-(-int(g.sum()) // 64) * 64 for g in groups)
        padded = sum(len(g) * int(g.max()) for g in groups)
        limits.append({"maxLength": limit, "whole": float((lengths <= limit).mean()), "tokensKept": float(cut.sum() / lengths.sum()),
                       "dropped": 0, "packedWaste": float(1 - cut.sum() / packed), "paddedWaste": float(1 - cut.sum() / padded),
                       "fullWaste": float(1 - cut.sum() / (len(cut) * limit))})
    return {"rows": len(lengths), "tokens": int(lengths.sum()), "mean": float(lengths.mean()), "max": int(lengths.max()),
            **{f"p{p}": float(np.percentile(lengths, p)) for p in (50, 90, 95, 99)}, "limits": limits}


OUT.mkdir(exist_ok=True)
(OUT / "fiqa.json").write_text(json.dumps({"tinyllama": report("tinyllama", 2), "smollm2": report("smollm2", 1)}, indent=1))
