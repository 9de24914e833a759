"""Chat templates in the styles of the field's models, and what transformers 5.23 makes of them: text, token ids and the mask of
apply_chat_template(return_assistant_tokens_mask=True), which TRL's assistant_only_loss trains on.

    python3 tests/reference/chat_templates.py

writes chat_templates/cases.json. The templates are written for this test; {% generation %} stands around what the model
itself writes: the answer and the token that ends its turn. Tests take the marks out, and must find the same mask.
"""
import json
import pathlib

from transformers import PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent
GEN, END = "{% generation %}", "{% endgeneration %}"
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}{% if message.role == 'assistant' %}"
    + GEN + "{{ message.content + '<|im_end|>' }}" + END
    + "{% else %}{{ message.content + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "qwen2.5": "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}{% endif %}" + CHATML,
    "llama3": (
        "{{ bos_token }}{% if not date_string is defined %}{% if strftime_now is defined %}"
        "{% set date_string = strftime_now('%d %b %Y') %}{% else %}{% set date_string = '26 Jul 2024' %}{% endif %}{% endif %}"
        "{{ '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: ' + date_string + '\\n\\n' }}"
        "{% if messages[0].role == 'system' %}{{ messages[0].content | trim }}{% endif %}{{ '<|eot_id|>' }}"
        "{% for message in messages %}{% if message.role != 'system' %}"
        "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}"
        "{% if message.role == 'assistant' %}" + GEN + "{{ message.content | trim + '<|eot_id|>' }}" + END
        + "{% else %}{{ message.content | trim + '<|eot_id|>' }}{% endif %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
    ),
    "gemma": (
        "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for message in messages %}{% if message.role == 'assistant' %}{{ '<start_of_turn>model\\n' }}"
        + GEN + "{{ message.content | trim + '<end_of_turn>' }}" + END + "{{ '\\n' }}"
        "{% else %}{{ '<start_of_turn>' + message.role + '\\n' + message.content | trim + '<end_of_turn>\\n' }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
    ),
    "mistral": (
        "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set turns = messages[1:] %}"
        "{% else %}{% set turns = messages %}{% endif %}{{ bos_token }}{% for message in turns %}"
        "{% if message.role == 'user' %}{% if loop.last and system is defined %}"
        "{{ '[INST] ' + system + '\\n\\n' + message.content + '[/INST]' }}{% else %}"
        "{{ '[INST] ' + message.content + '[/INST]' }}{% endif %}{% else %}"
        + GEN + "{{ ' ' + message.content | trim + eos_token }}" + END + "{% endif %}{% endfor %}"
    ),
    "llama2": (
        "{% for message in messages %}{% if message.role == 'user' %}{{ bos_token + '[INST] ' + message.content | trim + ' [/INST]' }}"
        "{% elif message.role == 'assistant' %}" + GEN + "{{ ' ' + message.content | trim + ' ' + eos_token }}" + END
        + "{% endif %}{% endfor %}"
    ),
    "zephyr": (
        "{% for message in messages %}{{ '<|' + message.role + '|>\\n' }}{% if message.role == 'assistant' %}"
        + GEN + "{{ message.content + eos_token }}" + END + "{% else %}{{ message.content + eos_token }}{% endif %}{{ '\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
    ),
    # As Qwen3: thoughts of earlier turns are left out, the last turn has an empty thought where there is none.
    "qwen3": (
        "{% set ns = namespace(last=0) %}{% for message in messages %}{% if message.role == 'user' %}{% set ns.last = loop.index0 %}"
        "{% endif %}{% endfor %}{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
        "{% if message.role == 'assistant' %}" + GEN + "{% set content = message.content %}{% set thought = '' %}"
        "{% if '</think>' in content %}{% set thought = content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}"
        "{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
        "{% if loop.index0 > ns.last %}{{ '<think>\\n' + thought + '\\n</think>\\n\\n' }}{% endif %}"
        "{{ content + '<|im_end|>' }}" + END + "{% else %}{{ message.content + '<|im_end|>' }}{% endif %}{{ '\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
}
SPECIALS = [
    "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
]
CONVERSATIONS = [
    ["What is a bond?", "A loan to a company."],
    ["Bond?", "A loan.", "Share?", "A part of\na company.", "Both?", "Yes: 5 % of 100 is 5."],
    ["Odd ends?", "  spaces around  ", "Lines?", "\n- one\n- two\n", "Ünï?", "½ é 😀 分析"],
    ["Tokens in text?", "The end is <|im_end|> or </s>, said twice: <|im_end|>", "Repeat.", "Repeat."],
    ["Thoughts?", "<think>\nWell, a loan.\n</think>\n\nA loan.", "More?", "<think>\nHm.\n</think>\n\nA part."],
]


def main() -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(HERE / "tiny_tokenizer" / "tokenizer.json"), bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    tokenizer.add_tokens(SPECIALS, special_tokens=True)
    cases = []
    for name, template in TEMPLATES.items():
        for texts in CONVERSATIONS:
            for system in ([], ["Be brief."]):
                if system and name in ("gemma", "mistral", "llama2"):
                    continue  # refused, moved or left out by the template; tested by hand
                messages = [{"role": "system", "content": text} for text in system]
                messages += [{"role": ["user", "assistant"][i % 2], "content": text} for i, text in enumerate(texts)]
                given = {"chat_template": template, "date_string": "26 Jul 2024"}
                out = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True, **given)
                cases.append({
                    "template": name,
                    "messages": messages,
                    "text": tokenizer.apply_chat_template(messages, tokenize=False, **given),
                    "ids": out["input_ids"],
                    "mask": "".join(map(str, out["assistant_masks"])),
                })
    specials = {str(tokenizer.convert_tokens_to_ids(token)): token for token in SPECIALS}
    rows = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases)
    head = json.dumps({"templates": TEMPLATES, "specials": specials}, indent=1, ensure_ascii=False)
    (HERE / "chat_templates" / "cases.json").write_text(head[:-2] + ',\n "cases": [\n' + rows + "\n]}\n")


main()
