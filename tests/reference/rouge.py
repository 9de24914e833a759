"""Writes rouge/cases.json: hard pairs of texts scored by rouge_score, and words stemmed by its stemmer (NLTK).

Run from this folder: python3 rouge.py   (rouge_score 0.1.2, nltk 3.10.4)
"""

import json
import random
from pathlib import Path

from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer

KINDS = ["rouge1", "rouge2", "rougeL", "rougeLsum"]

PAIRS = [  # prediction, reference
    ["", ""],
    ["", "the market closed"],
    ["the market closed", ""],
    ["...!?", "the market closed"],
    ["\n\n", "\n"],
    ["dividend", "dividends"],
    ["one", "one two"],
    ["The market CLOSED higher", "the Market closed Higher"],
    ["Café prices rose 3½ % — naïve buyers paid €1,000.50", "cafe prices rose 3.5%: naive buyers paid 1000.50"],
    ["İstanbul's bonds, the Kelvin sign K and a ſ", "i stanbul s bonds the kelvin sign k and a s"],
    ["股票价格上涨", "股票价格上涨 10%"],
    ["emoji 📈 up 📉 down", "emoji up down"],
    ["tabs\tand\u00a0spaces\u2003here", "tabs and spaces here"],
    ["snake_case and hyphen-ated don't", "snake case and hyphen ated dont"],
    ["10-K 10-Q 401(k) 0.25% 2024", "10 K 10 Q 401k 025 2024"],
    ["the the the the", "the the"],
    ["buy buy sell buy", "buy sell sell buy buy"],
    ["a b c d e f g", "g f e d c b a"],
    ["a b a b a b", "b a b a b a"],
    ["skies dying lying tying news innings howe proceed", "sky die lie tie new inning how proceeds"],
    ["ties dies flies spied died enjoys", "tie die fly spy die enjoy"],
    ["Rates rose.\nStocks fell.\nBonds held.", "Bonds held.\nRates rose.\nStocks fell."],
    ["Stocks fell.\n\n\nRates rose and rates rose.", "Rates rose.\nRates rose and stocks fell."],
    ["w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5"],
    ["a b c\na c b\nb a c", "c b a\na b c"],
    ["line one\r\nline two", "line two\r\nline one"],
    ["...\nthe market\n!!", "the\nmarket\n"],
    ["ratio " * 70, "ratio " * 50 + "margin " * 40],
]

ROOTS = """invest capital divid rat trad relat condit valu hesit digit conform radic differ vil analog predic oper feud
decis hope call form sensit trouble plaster motor hopp fall hiss fizz fail fil agr feed happ sky enjoy tripl electr
good reviv allow infer airlin gyroscop adjust defens irrit replac depend adopt homolog commun activ angul effect
bowdler prob ceas controll roll geo theo archaeo philo econom y say boy toy syzyg by ye yy dyy eyes abl 12 3m q1
mortg diversif hedg liquid amort portfol""".split()

SUFFIXES = ["", *"""s es ies ied ss sses ed eed ing ings y ly ally ation ational ations tional enci ency anci ancy izer
bli ably ability alli entli ently eli ely ousli ously ization ator alism iveness fulness ousness aliti ality iviti
ivity biliti fulli fully logi logy icate ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent
ion sion tion ou ism ate iti ous ive ize e le ll lle""".split()]


def vocabulary(rng):
    """Every root with some endings, and strings that follow no language."""
    words = {root + suffix for root in ROOTS for suffix in rng.sample(SUFFIXES, 24)}
    words |= {first + second for first in SUFFIXES for second in rng.sample(SUFFIXES, 6)}
    words |= {"".join(rng.choices("aeiouyyylstbdwx7", k=rng.randint(1, 9))) for _ in range(600)}
    words |= set("sky skies dying lying tying news inning innings outing outings canning cannings howe".split())
    words |= set("proceed exceed succeed proceeds".split())
    return sorted(words - {""})


def random_pairs(rng):
    """Sentences of few different words, so that subsequences tie often."""
    def text():
        line = lambda: " ".join(rng.choices("rates rose rated rise stocks fell bonds held the a of".split(), k=rng.randint(0, 12)))
        return "\n".join(line() for _ in range(rng.randint(1, 5)))
    return [[text(), text()] for _ in range(80)]


def main():
    rng = random.Random(42)
    scorers = {stemmer: RougeScorer(KINDS, use_stemmer=stemmer) for stemmer in (True, False)}
    cases = []
    for number, (prediction, reference) in enumerate(PAIRS + random_pairs(rng)):
        for stemmer in (True, False) if number < len(PAIRS) else (True,):
            scores = scorers[stemmer].score(reference, prediction)
            cases.append({"prediction": prediction, "reference": reference, "useStemmer": stemmer,
                          "scores": {kind: list(scores[kind]) for kind in KINDS}})
    stem = PorterStemmer().stem
    stems = " ".join(f"{word}:{stem(word)}" for word in vocabulary(rng))
    Path("rouge").mkdir(exist_ok=True)
    Path("rouge/cases.json").write_text(json.dumps({"cases": cases, "stems": stems}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
