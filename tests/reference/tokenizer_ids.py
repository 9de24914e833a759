"""Token ids of about 200 hard strings under real tokenizer.json files, by the Rust library (pip: tokenizers==0.23.3).

    python3 tests/reference/tokenizer_ids.py ../shared

writes tokenizer_ids/strings.json and one tokenizer_ids/<name>.json a tokenizer: for each string its ids without special
tokens, and its decoded form; and rows.json: for real rows, rendered as recipe 2 does, the number of tokens and the
SHA-256 of all ids. Truncation and padding settings of the files are switched off, as this project does.
"""
import hashlib
import json
import pathlib
import random
import sys

from tokenizers import Tokenizer

NAMES = ["tinyllama", "smollm2", "qwen2.5", "mistral-v0.3", "flan-t5"]

FINANCE = [
    "EBITDA rose 12.5% to $4,321.09 million in FY2023 (vs. €3.9bn a year ago).",
    "### Question: What is a bond?\n\n### Answer: A loan to a company or a government.",
    "Q3'24: EPS of $1.07; P/E = 23.4x; D/E ratio 0.85:1",
    "$AAPL -2.3% after-hours, $TSLA +5%!!! #stocks",
    "If you invest $1,000 at 5% for 10 years: 1000 × 1.05^10 = $1,628.89.",
    "10-K, 10-Q and 8-K filings (SEC, 17 CFR § 229.303)",
    "¥12,345 £678.90 €0.01 ₹1,00,000 ₿0.5 ₩900 ¢99",
    "NPV = Σ CFₜ / (1 + r)ᵗ − I₀",
    "1½ points, ¾ %, x², CO₂ credits, 10⁻³, Ⅳ quarter, ① first",
    "USD/JPY 149.35–149.40; EUR/USD≈1.0832±0.0005",
    "the S&P 500® index, the Dow™, the company’s “fair value”",
    "ISIN US0378331005, CUSIP 037833100, LEI HWUPKR0MPOU8FGXBT394",
    "30/360, ACT/365; T+1 settlement... 25bps; 0.25pp",
    "net income\t1,234\t(567)\n-----\ntotal\t667\n",
    "http://finance.example.com/?q=AAPL&range=1y#chart",
    "Mr. O'Neil's 401(k) isn't vested; they'd've rolled it over, we'll see, I'm sure, you're right",
    "MR. O'NEIL'S 401(K) ISN'T VESTED; WE'LL SEE, I'M SURE, YOU'RE RIGHT",
    "a 7/1 ARM at 6.125% with 1.5 points",
    "2024-03-31T23:59:59Z",
    "(1,234,567.89)",
]
LANGUAGES = [
    "分析金融文本风险，输出JSON。", "株価は前日比３％上昇しました。", "한국은행이 기준금리를 동결했다.", "Банк повысил ставку до 16 %.",
    "Η τράπεζα αύξησε τα επιτόκια.", "ارتفعت أسعار النفط ٣٫٥٪ اليوم", "मुद्रास्फीति ५.७% पर पहुँच गई", "อัตราดอกเบี้ยนโยบาย ๒.๕๐",
    "Größenwahn, Übernahme, Straße", "L’intérêt composé : 3,5 %", "naïve café résumé", "naïve café résumé",
    "¿Qué es un bono?", "İstanbul ıssız", "ﬁnance ﬂow ﬀ", "ＡＢＣ　１２３", "Ω Ω K K Å Å", "ß ẞ ſ", "'ſ it'S 'LL'll",
    "ⅷ ↉ ⅓ 〇 三十 ㊿ ㉈ ꠰ 𐄇 𝟘𝟙 𑁦 ٠١٢ ۴۵ ߁ ௧௰ ൰ ༪",
]
SYMBOLS = [
    "😀", "👨‍👩‍👧‍👦 family", "🇺🇸🇪🇺", "👍🏽 up", "a😀b", "📈📉💰", "☃️❤️", "→ ← ↑ ↓ ⇒", "∑∏√∞≈≠≤≥", "─│┌┐└┘", "★☆•◦‣", "…—–‒―", "‘’“”«»‹›",
    "\u200b", "a\u200bb", "a\u200db", "\ufeff", "\ufeffBOM first", "a\ufeffb", "\u2060", "soft\u00adhyphen", "\u202eright to left\u202c", "\ufffd",
    "e\u0301\u0302\u0303", "\u0301alone", "\x00", "\x01\x02\x1f", "\x7f", "\u0080\u009f", "\u2028\u2029", "\U0010ffff", "\U000e0041",
]
SPACES = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\n\n\n", "\r\n", "\r", "\r\n\r\n", " \n", "\n ", "\t\t", "\u00a0", "\u3000", "\u2003", "\u0085", "a\u0085b", "a\u00a0b",
    "a\u3000b", "a\u2009b", "a\u180eb", "a\x0bb", "a\x0cb", "a\x1cb", " a", "  a", "   a", "a ", "a  ", "a   b", "a    b     c", "\ta", "a\tb", "a\n", "\na", "a\nb", "a \n b",
    "a\n\n\nb", "a \t b", "\n\n  indented\n    more\n", "trailing   \n   spaces   ", "a\r\nb\rc", " \u00a0 ", "x" + " " * 40 + "y", "▁", "▁a", "a▁b", "a ▁ b", "Ġ", "Ċa",
]
DIGITS = [
    "0", "1", "12", "123", "1234", "12345678901234567890", "0.1", "1,000", "-1", "+1", "1e10", "0x1F", "1 2 3", "a1b2c3", "½", "x²", "H₂O", "²", "₂", "1²", "²1", "1½", "½ ½",
    "Ⅻ", "①②③", "٣٤", "１２３", "㊿", "10%", "$10", "10$", "1/2", "1-2", "v2.0", "3D", "2nd", "007", "1_000", "½a", "a½", " ½", " 5", "  5", "5 ", "\n5",
]
CODE = [
    "{\"risk\": \"High\", \"entity\": null}", "def f(x):\n    return x**2  # square\n", "SELECT COUNT(*) FROM head WHERE age > 56", "<b>bold</b> &amp; <br/>",
    "a_b-c.d:e;f,g", "!!!???...", "((()))", "[[[]]]", "\\n \\t \\\\", "`code` ~~~ ```", "C:\\path\\to", "@user #tag", "a'b''c", "\"\"\"", "'s", "''", "don't", "%%%", "^_^", "|=|",
    "user@example.com", "A.B.C.", "e.g., i.e., etc.", "x=y; y==z; a!=b", "<|not_special|>", "<0x41>", "[INST] hi [/INST", "< s >", "</ s>", "<unk", "|>", "<|",
]
PLAIN = [
    "a", "A", "Hello", "hello world", "Hello, world!", "The quick brown fox jumps over the lazy dog.", "supercalifragilisticexpialidocious", "camelCaseAndPascalCase",
    "ALLCAPS TEXT", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abababababababababababababababababababababab", "a b c d e f g h i j", "hyphen-ated well-known", "it's", "its'",
    "What are 'business fundamentals'?", "Below is an instruction that describes a task.\n\n### Instruction:\nDefine beta.\n\n### Response:\n",
    "zzzzqqqqxxxxjjjj", "The the THE tHe", "one, two; three: four. five! six? seven",
]


def mixtures(count: int) -> list[str]:
    """Random joins of the pieces above: places where one kind of character meets another."""
    draw = random.Random(7)
    pool = [text for text in FINANCE + LANGUAGES + SYMBOLS + SPACES + DIGITS + CODE + PLAIN if 0 < len(text) < 30]
    return ["".join(draw.choice(pool) for _ in range(draw.randint(2, 5))) for _ in range(count)]


def rows(data: pathlib.Path) -> list[str]:
    """All FiQA and Alpaca rows as "### Question: ..." texts."""
    fiqa = [json.loads(line) for line in (data / "fiqa_pairs.jsonl").read_text().splitlines()]
    alpaca = json.loads((data / "alpaca_en_demo.json").read_text())
    return [
        f"### Question: {row['instruction']}{chr(10) * 2 + row['input'] if row['input'] else ''}\n\n### Answer: {row['output']}"
        for row in fiqa + alpaca
    ]


def main() -> None:
    shared, out = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent / "tokenizer_ids"
    strings = FINANCE + LANGUAGES + SYMBOLS + SPACES + DIGITS + CODE + PLAIN + mixtures(40)
    lines = ",\n".join(json.dumps(text) for text in strings)
    (out / "strings.json").write_text(f"[\n{lines}\n]\n")
    texts, totals = rows(shared / "data" / "finance_alpaca"), {}
    for name in NAMES:
        tokenizer = Tokenizer.from_file(str(shared / "tokenizers" / name / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        found = []
        for text in strings:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            found.append(json.dumps([ids, tokenizer.decode(ids, skip_special_tokens=False)], separators=(",", ":")))
        (out / f"{name}.json").write_text("[\n" + ",\n".join(found) + "\n]\n")
        encoded = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        digest = hashlib.sha256(" ".join(str(i) for ids in encoded for i in ids).encode()).hexdigest()
        totals[name] = {"tokens": sum(map(len, encoded)), "sha256": digest}
    (out / "rows.json").write_text(json.dumps(totals, indent=1) + "\n")


main()
