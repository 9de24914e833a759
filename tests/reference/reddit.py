"""The FinSight curation of Reddit posts, written straight from its description with pandas, scikit-learn and NLTK.

    pip install pandas==3.1.1 scikit-learn==1.9.1 nltk==3.9.1
    python3 tests/reference/reddit.py SHARED      (SHARED: the folder with data/reddit_finance/sample.jsonl)

writes reddit/sample.json (numbers and row numbers of the real sample, none of its text) and reddit/posts.jsonl (posts of our own:
sound, faulty and hostile ones) with reddit/posts.json. Each file has for every row what each score gives and for every step which
rows stay. Only lists come from the library (words and abbreviations, read out of its sources, as one list has to serve both); the
rules are written anew: the patterns of entities are Python's, sentences NLTK's Punkt, words NLTK's, percentiles pandas', vectors
scikit-learn's.

NLTK 3.9.1, not 3.10: see bleu.py. Punkt runs with the abbreviations of lib/metrics/sentences.ts. TfidfVectorizer breaks ties at
max_features in no fixed order, so its vocabulary is given: the most frequent, then alphabetical. What its own choice and its own list of stop words
would change is recorded as `sklearn`: the largest difference of a cosine.
"""
import hashlib
import json
import random
import re
import string
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import nltk
import numpy as np
import pandas as pd
from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

assert nltk.__version__ == "3.9.1"
HERE = Path(__file__).parent
LIB = HERE / "../../lib"


def block(path: str, start: str, end: str) -> list[str]:
    source = (LIB / path).read_text()
    at = source.index(start)
    return re.findall(r'"((?:[^"\\]|\\.)*)"', source[at : source.index(end, at)])


def word_list(path: str, start: str, end: str) -> list[str]:
    return " ".join(block(path, start, end)).split()


TERMS = "data/reddit/terms.ts"
KEYWORDS = set(word_list(TERMS, "FINANCE_WORDS", "));"))
TOPICS = sorted(set(word_list(TERMS, "FINANCE_TOPICS", ");")))
STOP = word_list("data/stop_words.ts", "STOP_WORDS", ".split(")
PROFANE = word_list(TERMS, "PROFANE", ");")
BOILERPLATE = block(TERMS, "BOILERPLATE", "\n];")


def groups() -> dict[str, list[str]]:
    """`...words("a b")` are single words, `...["a b", "c"]` phrases."""
    source = (LIB / TERMS).read_text()
    source = source[source.index("export const GROUPS") : source.index("\n};", source.index("export const GROUPS"))]
    found = {}
    for name in ("products", "organisations", "places"):
        at = source.index(f"  {name}: [")
        part = source[at : source.index("\n  ],", at)]
        found[name] = [
            item
            for single, several in re.findall(r'words\(\s*((?:"[^"]*"[\s+,]*)+)\)|\.\.\.\[([^\]]*)\]', part)
            for item in ("".join(re.findall(r'"([^"]*)"', single)).split() if single else re.findall(r'"([^"]*)"', several))
        ]
    return found


def spoken_kinds() -> list[tuple[str, list[str]]]:
    source = (LIB / TERMS).read_text()
    source = source[source.index("export const SPOKEN") : source.index("\n];", source.index("export const SPOKEN"))]
    return [(kind, re.findall(r'"([^"]*)"', rest)) for kind, rest in re.findall(r'\["([^"]*)", \[([^\]]*)\]', source)]


PUNKT_PARAMETERS = PunktParameters()
PUNKT_PARAMETERS.abbrev_types = set(word_list("metrics/sentences.ts", "const ABBREVIATIONS", ".split("))
PUNKT, TREEBANK = PunktSentenceTokenizer(PUNKT_PARAMETERS), NLTKWordTokenizer()
sent_tokenize = PUNKT.tokenize


def word_tokenize(text: str) -> list[str]:
    return [word for sentence in sent_tokenize(text) for word in TREEBANK.tokenize(sentence)]


# ---- (2) cleaning


def clean(text: str, edit_lines: str = "drop") -> str:
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = re.sub(r"\r\n?", "\n", text)
    text = re.sub(r"(?!\n)[\s\x00-\x1f\x7f-\x9f\ufeff]", " ", text)
    text = re.sub(r"\[[^\]]{1,1000}\]\([^)]{1,2000}\)", "", text)  # markdown links with their text
    text = re.sub(r"https?://[!$-_a-z]+", "", text)  # URLs
    for mark in (r"\*\*", r"\*", "_", "~~"):  # emphasis
        text = re.sub(f"{mark}(.+?){mark}", r"\1", text)
    text = re.sub(r"\^(.+?)(?=\s|$)", r"\1", text, flags=re.M)
    text = re.sub(r"^[ \t]*>[ \t]*", "", text, flags=re.M)  # quotations
    text = text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    text = re.sub(r"#\w+", "", text)  # hashtags
    text = re.sub(r"^#+[ \t]*", "", text, flags=re.M)
    text = re.sub(r"(?i)thanks?(?: you)? for (?:the |all the )?(?:gold|silver|platinum|awards?)\b.*", "", text)
    mark = r"(?i)(?<!\w)(?:(?:edit|update)[ \t]{0,3}[0-9]{0,3}[ \t]{0,3}:|tl;?dr(?!\w)[:,]*)"
    text = re.sub(mark + (".*" if edit_lines == "drop" else ""), "", text)
    text = re.sub(r"\s+", " ", text).strip()
    if not text:
        return ""
    sentences = [s[0].upper() + s[1:] if s[0].islower() else s for s in map(str.strip, sent_tokenize(text)) if s]
    text = "\n\n".join(" ".join(sentences[i : i + 4]) for i in range(0, len(sentences), 4))
    return text if text[-1] in ".!?" else text + "."


# ---- (3) to (5) scores


def quality(text: str) -> float:
    text = text[:10_000]
    tokens, sentences = word_tokenize(text), sent_tokenize(text)
    if not tokens:
        return 0.0
    return float(np.mean([
        min(np.mean([len(t) for t in tokens]) / 10, 1),
        min(len(sentences) / 3, 1),
        float(any(unicodedata.category(c)[0] == "P" for c in text)),
        float(text[0].isupper()),
        sum(len(s.split()) >= 3 for s in sentences) / len(sentences),
    ]))


def complexity(text: str) -> float:
    text = text[:10_000]
    if len(text.strip()) < 10:
        return 0.0

    def words_of(sentence: str) -> list[str]:  # as TextBlob: words without punctuation at their ends, "'s" stays
        tokens = TREEBANK.tokenize(sentence)
        return [t if t.startswith("'") else t.strip(string.punctuation) for t in tokens if t.strip(string.punctuation)]

    by_sentence = [words_of(s) for s in sent_tokenize(text)]
    words = [w for s in by_sentence for w in s]
    if not words:
        return 0.0
    unique = set(words)
    return float(np.mean([
        min(np.mean([len(w) for w in words]) / 10, 1),
        min(np.mean([len(s) for s in by_sentence]) / 20, 1),
        len(unique) / len(words),
        sum(len(w) >= 8 for w in unique) / len(unique),
    ]))


def bare_words(text: str) -> list[str]:
    return [w for w in (re.sub(r"^[\W_]+|[\W_]+$", "", w) for w in text.lower().split()) if w]


def either(words: list[str]) -> str:
    return r"(?<!\w)(?:" + "|".join(map(re.escape, words)) + r")(?!\w)"


NUMBER, SCALE = r"[0-9][0-9,.]{0,20}", r"(?: ?(?:k|m|b|bn|mm|thousand|million|billion|trillion))?"
MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
NAME = r"(?:[A-Z][A-Za-z&-]{1,30} ){1,3}"
GROUPS = groups()
ENTITIES = [
    (1.2, rf"(?i)[$€£¥] ?{NUMBER}{SCALE}(?!\w)"),
    (1.2, rf"(?i)(?<!\w){NUMBER}{SCALE} ?(?:dollar|buck|euro|pound|cent)s?(?!\w)|(?<!\w){NUMBER}{SCALE} ?(?:yen|usd|eur|gbp)(?!\w)"),
    (1.1, rf"(?i){NUMBER} ?(?:%|(?:percent|per cent|basis points?|bps)(?!\w))"),
    (0.9, rf"(?i)(?<!\w)(?:(?:{MONTHS}) [0-9]{{1,4}}|(?:q[1-4]|fy) ?(?:[12][0-9])?[0-9]{{2}}|(?:19|20)[0-9]{{2}}s?"
          rf"|{NUMBER} ?(?:day|week|month|quarter|year)s?|(?:last|next|this) (?:day|week|month|quarter|year)|today|yesterday|tomorrow)(?!\w)"),
    (1.3, rf"(?<!\w)(?:{NAME}(?:Act|Bill|Amendment|Rule)|Chapter (?:7|11|13)|Section [0-9]+|Basel I{{1,3}})(?!\w)"),
    (1.0, "(?i)" + either(GROUPS["products"])),
    (1.0, either(GROUPS["organisations"])[:-len(r")(?!\w)")]
          + rf"|{NAME}(?:Inc|Corp|LLC|Ltd|Bank|Capital|Group|Holdings|Partners))(?!\w)|\$[A-Z]{{1,5}}(?!\w)"),
    (1.0, either(GROUPS["places"])),
    (1.1, NUMBER),
]


def entity_score(text: str) -> tuple[float, int]:
    weights = []
    for weight, pattern in ENTITIES:
        found = re.findall(f"({pattern})" if not pattern.startswith("(?i)") else f"(?i)({pattern[4:]})", text)
        weights += [weight] * len(found)
        text = re.sub(pattern, "\n", text)
    return (sum(weights) / len(weights) if weights else 0.0), len(weights)


def trigrams(word: str) -> Counter:
    marked = f"<{word[:100]}>"
    return Counter(marked[i : i + 3] for i in range(len(marked) - 2))


def cosine(a: Counter, b: Counter) -> float:
    length = lambda v: sum(c * c for c in v.values()) ** 0.5  # noqa: E731
    return sum(a[g] * b[g] for g in a) / (length(a) * length(b))


TOPIC_VECTORS = [trigrams(t) for t in TOPICS]


def similarity(text: str) -> float:
    words = [w for w in bare_words(text[:10_000]) if len(w) >= 3 and w.isalpha() and w not in set(STOP)][:50]
    return float(np.mean([max(cosine(trigrams(w), t) for t in TOPIC_VECTORS) for w in words])) if words else 0.0


def relevance(text: str) -> float:
    text = text[:10_000]
    words = set(bare_words(text))
    hits = len(words & KEYWORDS)
    if hits < 2:
        return 0.1
    density = hits / len(words)
    if density < 0.05:
        return 0.2
    return min(0.40 * density + 0.35 * entity_score(text)[0] + 0.25 * similarity(text), 1.0)


# ---- (6), (7), (10)

SPOKEN = spoken_kinds()


def kinds(text: str) -> list[str]:
    text = text.replace("‘", "'").replace("’", "'")
    return [kind for kind, words in SPOKEN
            if ("?" in text if kind == "question" else re.search(either(words), text, re.I))]


PROFANITY = re.compile(r"(?<!\w)(?:" + "|".join(re.escape(w[:-1]) + r"\w*" if w.endswith("*") else w for w in PROFANE) + r")(?!\w)", re.I)


def faults(text: str) -> list[str]:
    plain = text.lower().replace("‘", "'").replace("’", "'")
    return [name for name, wrong in {
        "fewer than 10 words": len(text.split()) < 10,
        "more than 200 words": len(text.split()) > 200,
        "markdown characters": any(m in text for m in ["[", "]", "*", "#", "~~", ">", "`"]),
        "more than 3 question marks": text.count("?") > 3,
        "more than 3 exclamation marks": text.count("!") > 3,
        "more than 2 ellipses": text.count("...") > 2,
        "more than 3 words in capitals": len(re.findall(r"[A-Z]{3,}", text)) > 3,
        "more than 5 line breaks": text.count("\n") > 5,
        "more than 30 % capitals": bool(text) and sum(c.isupper() for c in text) / len(text) > 0.3,
        "a character three times in a row": re.search(r"(\w)\1{2,}", text) is not None,
        "boilerplate": any(b in plain for b in BOILERPLATE),
    }.items() if wrong]


# ---- (9)


def alike(texts: list[str], threshold: float = 0.85) -> tuple[list, float]:
    """Pairs above the threshold, and how far cosines are from those of scikit-learn's own stop words and choice of features."""
    if len(texts) < 2:
        return [], 0.0
    counts = CountVectorizer(stop_words=STOP, ngram_range=(1, 2)).fit(texts)
    totals = np.asarray(counts.transform(texts).sum(axis=0)).ravel()
    names = counts.get_feature_names_out()
    chosen = sorted(range(len(names)), key=lambda i: (-totals[i], names[i]))[:5000]
    given = TfidfVectorizer(stop_words=STOP, ngram_range=(1, 2), vocabulary=[names[i] for i in chosen])
    cosines = cosine_similarity(given.fit_transform(texts))
    own = cosine_similarity(TfidfVectorizer(max_features=5000, stop_words="english", ngram_range=(1, 2)).fit_transform(texts))
    pairs = [[i, j, float(cosines[i, j])] for j in range(len(texts)) for i in range(j) if cosines[i, j] > threshold]
    if threshold == 0.85:
        assert len(pairs) == int((np.triu(own, 1) > threshold).sum())
    return pairs, float(np.abs(cosines - own).max())


# ---- the whole


def sound_fields(row: dict) -> bool:
    text = lambda f: isinstance(row.get(f), str) and row[f].strip() and len(row[f].encode("utf-16-le", "surrogatepass")) <= 100_000  # noqa: E731
    maybe = lambda f: row.get(f) is None or (isinstance(row[f], str) and len(row[f].encode("utf-16-le", "surrogatepass")) <= 100_000)  # noqa: E731

    def number(f: str) -> bool:
        try:
            return not isinstance(row.get(f), bool) and np.isfinite(float(row[f]))
        except (KeyError, TypeError, ValueError):
            return False

    return bool(text("body") and text("title") and maybe("selftext") and maybe("subreddit") and all(map(number, SCORES)))


SCORES = ["z_score", "combined_score", "comment_normalized_score"]


def run(rows: list[dict]) -> dict:
    frame = pd.DataFrame([{**{"selftext": None, "subreddit": None}, **row} for row in rows if sound_fields(row)],
                         index=[i for i, row in enumerate(rows) if sound_fields(row)], dtype=object)
    frame[SCORES] = frame[SCORES].astype(float)
    steps = [("fields", frame.index)]
    frame["answer"] = frame["body"].map(clean)
    scores = [{"row": int(i), "quality": quality(a), "complexity": complexity(a), "relevance": relevance(a),
               "entities": entity_score(a)[1], "entityScore": entity_score(a)[0], "similarity": similarity(a), "kinds": kinds(a),
               "profane": PROFANITY.search(a) is not None, "faults": faults(a), "characters": len(a),
               "cleaned": digest(a), "unmarked": digest(clean(frame["body"][i], "unmark"))} for i, a in frame["answer"].items()]
    frame = frame.join(pd.DataFrame(scores).set_index("row"))
    every, difference = alike(frame["answer"].tolist(), 0.1 if len(rows) < 100 else 0.3)
    frame = frame[np.all([frame[c] > frame[c].quantile(0.2) for c in SCORES], axis=0)]
    steps.append(("percentile", frame.index))
    frame = frame[(frame["answer"] != "") & (frame["title"].map(clean) != "")]
    steps.append(("cleaned", frame.index))
    for name, keep in [
        ("quality", lambda f: f["quality"] > 0.6), ("complexity", lambda f: f["complexity"] > 0.3),
        ("relevance", lambda f: f["relevance"] > 0.2), ("spoken", lambda f: f["kinds"].map(len) >= 2),
        ("profanity", lambda f: ~f["profane"].astype(bool)), ("characters", lambda f: f["characters"].between(50, 2000)),
    ]:
        frame = frame[keep(frame)]
        steps.append((name, frame.index))
    pairs, _ = alike(frame["answer"].tolist())
    frame = frame.drop(index=frame.index[sorted({j for _, j, _ in pairs})])
    steps.append(("alike", frame.index))
    frame = frame[frame["faults"].map(len) == 0]
    steps.append(("sound", frame.index))
    return {"rows": len(rows), "steps": [{"step": n, "after": len(kept), "kept": [int(i) for i in kept]} for n, kept in steps],
            "scores": scores, "cosines": every, "sklearn": difference}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# ---- posts of our own

SAID = [
    "I think you should pay off the credit card first, because its interest of 24% beats any fund.",
    "An index fund with low fees is what I would recommend to most investors.",
    "My bank charged me $35 in fees last month, and they didn't even tell me why!",
    "Keep in mind that bonds lose value when interest rates rise.",
    "We moved our savings to Vanguard in 2019 and the dividends have been steady since.",
    "Honestly, don't buy options before you understand volatility and margin.",
    "The Fed raised rates by 25 basis points, so mortgage payments went up across the US.",
    "Consider a Roth IRA if you expect higher taxes in retirement.",
    "Your emergency fund should cover 3 to 6 months of expenses.",
    "Is a REIT the same as owning property?", "Short sellers borrow shares and sell them, hoping that the price falls.",
    "Under the Dodd-Frank Act, banks have to hold more capital.", "Diversification reduces idiosyncratic risk, not systematic risk.",
    "My cousin moved to Texas and he loves the weather there.", "We had pizza and watched the game with friends all evening.",
    "The dog next door barks at everyone who walks past the garden.", "it's 3.5% vs. 4.1% a year, i.e. not much, e.g. for $10,000.",
    "Deutsche Bank and Goldman Sachs cut their forecasts for Germany.", "I bought 100 shares of $GME at 40 dollars and held.",
]
FIXED = [
    {"body": "lol"}, {"body": "So what the hell is a stock? I think you know my budget and my loan are gone."},
    {"body": "**Bold** and *italic* and _under_ and ~~gone~~ and x^2 of your [funds](https://a.b/c?d=1), see https://x.y/z?q=%20 #stonks"},
    {"body": "&gt; you said stocks\n\nI &lt;3 bonds &amp; stocks, my friend. Buy them and hold.\n\n**Edit:** thanks for the gold!"},
    {"body": "> quoted money\n# A heading about stocks\nEDIT 2: my credit: good.\nTL;DR: buy the index\nKeep your bonds, I think."},
    {"body": "TO THE MOON!!! STOCKS AND BONDS AND FUNDS FOR YOU AND ME. BUY THEM ALL NOW. I THINK."},
    {"body": "Sooo you want my money? I think your loan of $1000 is fine, and the bank agrees with the interest rate."},
    {"body": "This is not financial advice, but I think your stocks and bonds are worth keeping for the market to recover."},
    {"body": "\u200b\u00a0 \ufeff \x00\x07\x1b \t"}, {"body": "\ud83d\ude80\ud83d\ude80 \ud83d money\x00 bank\x85 loan \u2028 I think you can’t lose your stocks."},
    {"body": "Îles et marchés: l'économie française, crédit à 3,5 %. Ça va? I think my bank and your loan are fine."},
    {"body": "株価は上昇した。債券は下落した。 bank loan I think you stock."}, {"body": "[[[[" * 40 + " ((( stocks and bonds, I think you"},
    {"body": "'Tis my loan, 'twas your bank. \"Rates\" -- they'll rise... won't they? (I think so.) Cash's king; gotta save."},
    {"body": "?"}, {"body": "A. B. C. D. E. F."}, {"body": "1,000,000,000,000,000,000,000,000.00 dollars, 5 % and 5%5%5 percent per cent 20bps Q3 2021"},
    {"body": "May 2021 was when JPMorgan Chase and Acme Widgets Inc and the Fair Credit Reporting Act met Chapter 11 in New York."},
    {"body": "I think my bank is fine and your loan too. " * 60},
    {"body": 5}, {"body": None}, {}, {"body": "no scores", "z_score": "high"}, {"body": "numbers as text, I think your bank", "z_score": "1.5"},
    {"body": "no title here", "title": " "}, {"body": "selftext is a number", "selftext": 7},
    {"body": "A title of a link only, said my bank to your loan.", "title": "[x](https://y.z)", **{s: 9.0 for s in SCORES}},
]


def posts() -> list[dict]:
    rng = random.Random(17)
    found = []
    for i in range(90):
        body = " ".join(rng.sample(SAID, rng.randrange(1, 7)))
        if i % 9 == 4:
            words = found[i - 3]["body"].split()
            body = " ".join(words[:-1] + ["indeed."])
        found.append({"body": body})
    return [{"id": f"p{i}", "title": "Pay the loan or invest?", "selftext": None if i % 3 else "I have $5,000 and a loan at 7%.",
             "subreddit": "investing", **{s: round(rng.gauss(1, 1), 6) for s in SCORES}, **post} for i, post in enumerate(found + FIXED)]


def main() -> None:
    out = HERE / "reddit"
    out.mkdir(exist_ok=True)
    (out / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts()))
    own = [json.loads(line) for line in (out / "posts.jsonl").read_text().splitlines()]
    real = [json.loads(line) for line in (Path(sys.argv[1]) / "data/reddit_finance/sample.jsonl").read_text().splitlines()]
    for name, rows in [("posts", own), ("sample", real)]:
        result = run(rows)
        (out / f"{name}.json").write_text(json.dumps(result) + "\n")
        print(name, result["rows"], [(s["step"], s["after"]) for s in result["steps"]], len(result["cosines"]), result["sklearn"])


main()
