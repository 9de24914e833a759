"""A tiny byte-level BPE tokenizer of our own making, and Rust's ids for some strings (pip: tokenizers==0.23.3).

    python3 tests/reference/tiny_tokenizer.py

writes tiny_tokenizer/: the files of a model folder (BOS added by the post-processor, digits one by one, truncation and
padding settings that a loader must ignore) and ids.json: [text, ids with special tokens, decoded without them].
"""
import json
import pathlib

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

OUT = pathlib.Path(__file__).parent / "tiny_tokenizer"
TEXT = [
    "### Question: What is a bond?\n\n### Answer: A bond is a loan to a company or a government that pays interest.",
    "### Question: What is a share?\n\n### Answer: A share is a small part of a company; its owner may get a dividend.",
    "### Question: A loan of $1,000 at 5% for 2 years: what is the interest?\n\n### Answer: 1,000 x 0.05 x 2 = $100.",
    "### Question: Compare stocks and bonds.\n\n### Answer: Stocks may grow more, bonds pay more steadily.",
    "Below is an instruction. ### Instruction: ### Input: ### Response: The price, the rate, the yield and the risk.",
]
CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
STRINGS = [
    "", "a", "What is a bond?", TEXT[0], TEXT[2], " two  spaces ", "1234", "½ ½ x² H₂O", "naïve 日本 😀", "a\u0085b\ufeffc", "line\n\nline",
    "<|im_start|>user\nHi<|im_end|>\n", "zebra quartz",
]


def main() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    ))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    rows = [[text, tokenizer.encode(text).ids] for text in STRINGS]
    lines = ",\n".join(json.dumps([*row, tokenizer.decode(row[1])]) for row in rows)
    (OUT / "ids.json").write_text(f"[\n{lines}\n]\n")
    tokenizer.enable_truncation(max_length=8)
    tokenizer.enable_padding(length=8)
    (OUT / "tokenizer.json").write_text(tokenizer.to_str() + "\n")
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "clean_up_tokenization_spaces": False,
              "chat_template": [{"name": "tool_use", "template": "unused"}, {"name": "default", "template": CHAT}]}
    (OUT / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    (OUT / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<pad>"}) + "\n")
    (OUT / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 4]}) + "\n")


main()
