"""Writes bootstrap/cases.json: percentile intervals of paired bootstraps, straight from the rows. Every draw is scored anew by
numpy, sacrebleu and scikit-learn; the draws are those of lib/data/random.ts, written down again here. scipy.stats.bootstrap, which
draws for itself, stands beside. Run from this folder: pip install numpy scipy sacrebleu scikit-learn && python3 bootstrap.py"""

import json
import random
from pathlib import Path

import numpy as np
import sacrebleu
from scipy import stats
from sklearn.metrics import f1_score

RESAMPLES, SEED = 1000, 7
WORDS = "the fund pays a dividend of two percent while bonds lose value and rates rise in every quarter".split()
LABELS = ["negative", "neutral", "positive"]


def sfc32(seed: int):
    """Doty-Humphrey's generator, seeded as in lib/data/random.ts."""
    a, b, c, counter = 0, seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, 1

    def draw() -> float:
        nonlocal a, b, c, counter
        total = (a + b + counter) & 0xFFFFFFFF
        counter = (counter + 1) & 0xFFFFFFFF
        a = b ^ (b >> 9)
        b = (c + (c << 3)) & 0xFFFFFFFF
        c = (((c << 21) | (c >> 11)) + total) & 0xFFFFFFFF
        return total / 2**32

    for _ in range(12):
        draw()
    return draw


def draws(rows: int) -> list[list[int]]:
    uniform = sfc32(SEED)
    return [[int(uniform() * rows) for _ in range(rows)] for _ in range(RESAMPLES)]


def intervals(rows: int, total) -> dict:
    """total(model, indices) for both models."""
    everything = list(range(rows))
    whole = np.array([total(0, everything), total(1, everything)])
    drawn = np.array([[total(0, chosen), total(1, chosen)] for chosen in draws(rows)])

    def interval(value, numbers):
        numbers = numbers[np.isfinite(numbers)]
        low, high = np.percentile(numbers, [2.5, 97.5])
        return {"value": float(value), "low": float(low), "high": float(high)}

    return {"values": [interval(whole[m], drawn[:, m]) for m in (0, 1)],
            "change": interval(whole[1] - whole[0], drawn[:, 1] - drawn[:, 0])}


def mean_case(seed: int, rows: int, missing: float) -> dict:
    rng = np.random.default_rng(seed)
    base = rng.random(rows)
    tuned = np.clip(base + rng.normal(0.1, 0.2, rows), 0, 1)
    base[rng.random(rows) < missing] = np.nan
    tuned[rng.random(rows) < missing] = np.nan
    models = [base, tuned]
    case = intervals(rows, lambda m, chosen: np.nanmean(models[m][chosen]))
    case["models"] = [[None if np.isnan(x) else float(x) for x in model] for model in models]
    if missing == 0 and rows > 1:
        by_scipy = stats.bootstrap((base, tuned), lambda a, b, axis: np.mean(b, axis) - np.mean(a, axis), paired=True, vectorized=True,
                                   n_resamples=50_000, method="percentile", rng=np.random.default_rng(1)).confidence_interval
        case["scipyChange"] = [float(by_scipy.low), float(by_scipy.high)]
    return case


def text_case(seed: int, rows: int) -> dict:
    rng = random.Random(seed)
    references = [" ".join(rng.choices(WORDS, k=rng.randint(5, 15))) for _ in range(rows)]

    def answer(reference: str, skill: float) -> str:
        return " ".join(word if rng.random() < skill else rng.choice(WORDS) for word in reference.split() if rng.random() < 0.9)

    models = [[answer(r, 0.5) for r in references], [answer(r, 0.8) for r in references]]
    pick = lambda texts, chosen: [texts[i] for i in chosen]
    bleu = intervals(rows, lambda m, chosen: sacrebleu.corpus_bleu(pick(models[m], chosen), [pick(references, chosen)]).score)
    chrf = intervals(rows, lambda m, chosen: sacrebleu.corpus_chrf(pick(models[m], chosen), [pick(references, chosen)]).score)
    return {"references": references, "models": models, "BLEU": bleu, "chrF": chrf}


def label_case(seed: int, rows: int) -> dict:
    rng = random.Random(seed)
    expected = [rng.choice(LABELS) for _ in range(rows)]
    models = [[e if rng.random() < skill else rng.choice([*LABELS, "none of them"]) for e in expected] for skill in (0.3, 0.7)]
    pick = lambda texts, chosen: [texts[i] for i in chosen]

    def f1(average):
        return lambda m, chosen: f1_score(pick(expected, chosen), pick(models[m], chosen), labels=LABELS, average=average, zero_division=0)

    return {"labels": LABELS, "references": expected, "models": models,
            "macro F1": intervals(rows, f1("macro")), "weighted F1": intervals(rows, f1("weighted"))}


folder = Path(__file__).with_name("bootstrap")
folder.mkdir(exist_ok=True)
cases = {"resamples": RESAMPLES, "seed": SEED, "means": [mean_case(1, 60, 0), mean_case(2, 25, 0.3), mean_case(3, 1, 0)],
         "texts": text_case(4, 24), "labels": label_case(5, 40)}
(folder / "cases.json").write_text(json.dumps(cases) + "\n")
