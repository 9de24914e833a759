"""Writes statistics/cases.json: conversations and what transformers' tokenizer and numpy count in them, in both ways.

    python3 tests/reference/conversation_statistics.py      (transformers, numpy; needs tests/reference/tiny_tokenizer)

"alone": every message rendered as a conversation of its own and summed; "once": every conversation rendered once. The chat
template has a default system turn, as SmolLM2's has, which is what makes the first figure the larger one.
"""
import json
import random
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a careful adviser.<|im_end|>\\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
)
WORDS = "the bond yields 4.5% and a loan costs more when rates rise, says Müller; why? 株 risk is paid for over time".split()


def conversations() -> list[list[dict]]:
    rng = random.Random(11)
    say = lambda: " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 40)))  # noqa: E731
    found = []
    for i in range(41):
        turns = [("user", "assistant")[t % 2] for t in range(rng.randrange(1, 8))]
        roles = (["system"] if i % 3 == 0 else []) + turns + (["tool"] if i % 10 == 4 else [])
        found.append([{"role": role, "content": "" if rng.random() < 0.03 else say()} for role in roles])
    return found


def main() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE / "tiny_tokenizer/tokenizer.json"), eos_token="</s>")
    tokenizer.chat_template = TEMPLATE
    count = lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])  # noqa: E731
    rendered = lambda messages: count(tokenizer.apply_chat_template(messages, tokenize=False))  # noqa: E731
    rows, roles = conversations(), {}
    once = [rendered(messages) for messages in rows]
    alone = [sum(rendered([message]) for message in messages) for messages in rows]
    for message in (message for messages in rows for message in messages):
        roles.setdefault(message["role"], []).append((rendered([message]), count(message["content"])))
    shape = lambda x: {"tokens": sum(x), "mean": np.mean(x), "p95": np.percentile(x, 95), "max": max(x)}  # noqa: E731
    expected = {"conversations": len(rows), "messages": sum(map(len, rows)), "once": shape(once), "alone": shape(alone),
                "roles": [{"role": role, "messages": len(c), "alone": np.mean(c, axis=0)[0], "content": np.mean(c, axis=0)[1]}
                          for role, c in roles.items()]}
    (HERE / "statistics").mkdir(exist_ok=True)
    text = json.dumps({"template": TEMPLATE, "rows": [{"messages": m} for m in rows], "expected": expected}, ensure_ascii=False)
    (HERE / "statistics/cases.json").write_text(text + "\n")
    print(expected)


main()
