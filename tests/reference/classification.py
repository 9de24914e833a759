"""Writes classification/cases.json: labels scored by scikit-learn. Run from this folder: pip install scikit-learn && python3 classification.py"""

import json
import random
from pathlib import Path

from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

LABELS = ["negative", "neutral", "positive"]
NONE = "(none)"


def case(seed: int, rows: int, skill: float, kinds: list[str]) -> dict:
    rng = random.Random(seed)
    expected = [rng.choice(kinds) for _ in range(rows)]
    predicted = [label if rng.random() < skill else rng.choice([*LABELS, NONE]) for label in expected]
    scores = {"labels": LABELS, "average": None, "zero_division": 0}
    precision, recall, f1, support = precision_recall_fscore_support(expected, predicted, **scores)
    return {"expected": expected, "predicted": [None if p == NONE else p for p in predicted],
            "accuracy": accuracy_score(expected, predicted),
            "macroF1": f1_score(expected, predicted, labels=LABELS, average="macro", zero_division=0),
            "weightedF1": f1_score(expected, predicted, labels=LABELS, average="weighted", zero_division=0),
            "precision": precision.tolist(), "recall": recall.tolist(), "f1": f1.tolist(), "support": support.tolist(),
            "confusion": confusion_matrix(expected, predicted, labels=[*LABELS, NONE])[:3].tolist()}


cases = [case(1, 60, 0.6, LABELS), case(2, 40, 0.1, LABELS), case(3, 30, 0.9, ["neutral", "positive"]), case(4, 1, 0.0, ["negative"])]
Path(__file__).with_name("classification").mkdir(exist_ok=True)
(Path(__file__).parent / "classification/cases.json").write_text(json.dumps({"labels": LABELS, "cases": cases}) + "\n")
