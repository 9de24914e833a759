"""Token ids of the tiny model's tokenizer by the Rust library `tokenizers`, for 500 strings.

Run in the repository's root after the model was made: python tests/reference/tiny_bpe.py
Writes tests/reference/tiny_bpe/ids.json: a list of [text, ids] with the special tokens that the tokenizer adds.
"""

import json
import pathlib
import random

from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).parent
tokenizer = Tokenizer.from_file("examples/tiny/model/tokenizer.json")
draw = random.Random(0)

odd = [
    "", " ", "  two  spaces ", "\n\n### Answer:", "tab\there", "line\r\nend \n", "it's, we'll, I'd", "A.B.C-d_e/f",
    "½ ² ₂ ① ٣ 五", "3.14% of €2,500.00", "naïve café Grüße", "東京の株価", "🙂👍🏽", "some <s> and </s> inside", "<pad>",
    "\u00a0no break", "\u200bzero width", "é e\u0301", "ﬁ ligature", "x" * 40, "1234567890", " -5 + 7 = 2",
]
glossary = pathlib.Path("examples/tiny/terms.txt").read_text(encoding="utf-8").split("\n")
lines = [line for line in glossary if line and not line.startswith("#")]
texts = odd + draw.sample(lines, 238)
while len(texts) < 500:
    # Tokens in a random order: merges meet neighbours that no sentence has.
    ids = [draw.randrange(3, tokenizer.get_vocab_size()) for _ in range(draw.randint(2, 8))]
    text = tokenizer.decode(ids)
    if "\ufffd" not in text:
        texts.append(text)

rows = [[text, tokenizer.encode(text).ids] for text in texts]
out = ROOT / "tiny_bpe"
out.mkdir(exist_ok=True)
body = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
(out / "ids.json").write_text(f"[\n{body}\n]\n", encoding="utf-8")
print(len(rows), "strings")
