"""Near-duplicates and shared word runs of real rows, by brute force over exact sets.

    python tests/reference/near.py SHARED      (writes tests/reference/near/pairs.json; SHARED: the folder with data/)

For each of the sets of rows below: all pairs whose sets of 5-word runs have a Jaccard similarity of `threshold` or more, and how
many of these datasketch 2.0.0's MinHashLSH finds (128 permutations, its own choice of bands). Then, for the first 200 rows
against the rest, the pairs that share a run of 13 words which at most 10 of the rest have, with the share of the first row's
runs (a text of fewer words is one run, which equals only the same words).
"""
import csv
import json
import sys
import unicodedata
from collections import Counter
from pathlib import Path

from datasketch import MinHash, MinHashLSH

SHARED, OUT = Path(sys.argv[1]), Path(__file__).parent / "near"
HERE = SHARED / "data"


def words(text: str) -> list[str]:
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in text.lower())
    return "".join(kept).split()


def runs(text: str, n: int) -> set[tuple[str, ...]]:
    w = words(text)
    size = min(n, len(w))
    return {tuple(w[i : i + size]) for i in range(len(w) - size + 1)}


def near(texts: list[str], threshold: float) -> tuple[list, int]:
    sets = [runs(text, 5) for text in texts]
    pairs = []
    for j, b in enumerate(sets):
        for i in range(j):
            a = sets[i]
            if min(len(a), len(b)) < threshold * max(len(a), len(b)) - 1:
                continue
            similarity = len(a & b) / len(a | b)
            if similarity >= threshold:
                pairs.append([i, j, similarity])
    lsh, found = MinHashLSH(threshold=threshold, num_perm=128), set()
    for j, b in enumerate(sets):
        m = MinHash(num_perm=128)
        for run in b:
            m.update(" ".join(run).encode())
        found |= {(int(i), j) for i in lsh.query(m)}
        lsh.insert(str(j), m)
    return pairs, sum((i, j) in found for i, j, _ in pairs)


def shared_runs(texts: list[str], held_out: int) -> list:
    sets = [runs(text, 13) for text in texts]
    seen = Counter(run for each in sets[held_out:] for run in each)
    pairs = []
    for j in range(held_out, len(texts)):
        for i in range(held_out):
            both = sum(seen[run] <= 10 for run in sets[i] & sets[j])
            if both:
                pairs.append([j - held_out, i, both / len(sets[i])])
    return pairs


def main() -> None:
    qa = json.loads((HERE / "finance_alpaca/fin_qa_prompt_completion.json").read_text())
    with (HERE / "financial_qa_10k/Financial-QA-10k.csv").open(newline="") as file:
        ten_k = list(csv.DictReader(file))
    sources = {
        "fin_qa": [row["prompt"] + "\n" + row["completion"] for row in qa[:1500]],
        "ten_k": [row["context"] for row in ten_k[:1500]],
    }
    result = {}
    for name, texts in sources.items():
        entry = {"rows": len(texts), "shared": shared_runs(texts, 200)}
        for threshold in (0.8, 0.5):
            pairs, found = near(texts, threshold)
            entry[str(threshold)] = {"pairs": pairs, "datasketch": found}
            print(name, threshold, len(pairs), "pairs, datasketch finds", found)
        print(name, len(entry["shared"]), "pairs share a run of 13 words")
        result[name] = entry
    OUT.mkdir(exist_ok=True)
    (OUT / "pairs.json").write_text(json.dumps(result))


main()
