"""Writes bleu/cases.json: pairs scored by sacrebleu (corpus BLEU, chrF, chrF++) and by NLTK's sentence_bleu, and words of its
tokenizer.

Run from this folder: pip install sacrebleu==2.6.0 nltk==3.9.1 && python3 bleu.py
NLTK 3.10 splits "'word" at the quote; 3.9 does not, and the scores that the tests compare with were made by it. Punkt runs with the
abbreviations of lib/metrics/sentences.ts: the trained model is not on any package index.
"""

import json
import random
import re
from pathlib import Path

import nltk
from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from sacrebleu.metrics import BLEU, CHRF

assert nltk.__version__ == "3.9.1"
HERE = Path(__file__).parent
PAIRS = [  # prediction, reference
    ["", "the market closed"], ["the market closed", ""], ["", ""], ["yield", "yield"], ["yields rose", "rates fell sharply today"],
    ["The fund pays 3.5% a year, net of fees.", "The fund pays 3.5 % per year (net of fees)."],
    ["He can't say \"buy\" or 'sell'; they'll wait... won't they?", "He cannot say ``buy'' or 'sell': they will wait."],
    ["Mr. Smith sold U.S. bonds at 9:30 a.m. and left. He didn't call!", "Dr. J. Smith sold U.S. bonds. He did not call."],
    ["1. save money. 2. pay debts.\n\n3. invest the rest (slowly).", "1) save money 2) pay debts 3) invest"],
    ["Costs: $1,200.50 & €300 -- 10-K filing; see p. 7.", "Costs were $1,200.50 and EUR 300 (10-K, p. 7)."],
    ["gimme the 'tis rates, I'm gonna wait [sic] {x} <y>", "give me the rates, I am going to wait"],
    ["股票价格上涨 10%", "股票价格上涨了 10%。"], ["“Quoted” ‘text’ «here» “there.”", "\"Quoted\" 'text' here there."],
    ["A&amp;B &quot;x&quot; &lt;b&gt; end-\nline", "A&B \"x\" <b> endline"], ["Naïve café — £5 ½ ² 📈", "Naive cafe - 5 pounds"],
    ["too!! really?? yes... no.", "too! really? yes. no."], ["e.g. stocks vs. bonds, i.e. risk, etc. are fine. so is cash.", "stocks and bonds"],
]
WORDS = "the fund bond yield pays rises falls 3.5% $1,200 risk. cash, (net) and or of a to rate's don't high-yield U.S. vs. 10 ?".split()


def abbreviations() -> set[str]:
    source = (HERE / "../../lib/metrics/sentences.ts").read_text()
    block = source[source.index("const ABBREVIATIONS"):source.index('.split(" ")')]
    return set(" ".join(re.findall(r'"([^"]*)"', block)).split())


def main() -> None:
    rng = random.Random(5)
    for _ in range(60):
        reference = [rng.choice(WORDS) for _ in range(rng.randrange(1, 30))]
        prediction = [word if rng.random() < 0.7 else rng.choice(WORDS) for word in reference][: rng.randrange(1, 32)]
        PAIRS.append([" ".join(prediction), " ".join(reference)])
    parameters = PunktParameters()
    parameters.abbrev_types = abbreviations()
    punkt, treebank, smoothing = PunktSentenceTokenizer(parameters), NLTKWordTokenizer(), SmoothingFunction().method1
    words = lambda text: [w for s in punkt.tokenize(text) for w in treebank.tokenize(s)]  # noqa: E731
    cases = [{"prediction": p, "reference": r, "words": words(p), "sentenceBleu": sentence_bleu([words(r)], words(p), smoothing_function=smoothing),
              "bleu": BLEU().corpus_score([p], [[r]]).score, "chrf": CHRF().corpus_score([p], [[r]]).score,
              "chrfPlusPlus": CHRF(word_order=2).corpus_score([p], [[r]]).score} for p, r in PAIRS]
    predictions, references = [p for p, _ in PAIRS], [r for _, r in PAIRS]
    second = references[1:] + references[:1]
    bleu = lambda refs: vars(BLEU().corpus_score(predictions, refs))  # noqa: E731
    keep = lambda b: {k: b[k] for k in ("score", "precisions", "bp", "sys_len", "ref_len")}  # noqa: E731
    corpus = {"bleu": keep(bleu([references])), "bleuOfTwo": keep(bleu([references, second])),
              "chrf": CHRF().corpus_score(predictions, [references]).score,
              "chrfPlusPlusOfTwo": CHRF(word_order=2).corpus_score(predictions, [references, second]).score}
    (HERE / "bleu").mkdir(exist_ok=True)
    (HERE / "bleu/cases.json").write_text(json.dumps({"cases": cases, "corpus": corpus}, ensure_ascii=False, indent=0) + "\n")
    print(len(cases), corpus)


main()
