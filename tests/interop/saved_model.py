"""What transformers (and PEFT) make of folders that saveModel and saveAdapter wrote.

    python saved_model.py JOBS.json OUT.safetensors

JOBS.json is a list of {"base": folder, "adapter"?: folder, "prompts"?: [{"ids": [...], "count": n}], "rows"?: [{"inputIds": [...],
"labels": [...]}], "texts"?: [...], "talks"?: [[{"role": ..., "content": ...}]]}. Prints one line of JSON, a list with an object for
each job: "answers", greedy tokens to each prompt (up to `count`; an end ends them and is among them); "margins", along each answer
the smallest distance of the likeliest token's logit from the next one's; "ids", AutoTokenizer's of each text; "chats", each talk by
the chat template; "ends", generation_config's; "dtypes" and "shards" of the weights. OUT gets
"<job>.<row>", the logits of each row in float32. Needs no network.
"""
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
import transformers  # noqa: E402
from peft import PeftModel  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer  # noqa: E402

torch.set_num_threads(1)  # the models are small
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def load(job: dict):
    is_pair = AutoConfig.from_pretrained(job["base"]).is_encoder_decoder
    family = AutoModelForSeq2SeqLM if is_pair else AutoModelForCausalLM
    model, info = family.from_pretrained(job["base"], dtype=torch.float32, output_loading_info=True)
    problems = {key: found for key, found in info.items() if found}
    assert not problems, (job["base"], problems)
    return (PeftModel.from_pretrained(model, job["adapter"]) if "adapter" in job else model).eval()


def answer(model, ids: list[int], count: int) -> tuple[list[int], float]:
    inputs = torch.tensor([ids])
    made = model.generate(input_ids=inputs, attention_mask=torch.ones_like(inputs), do_sample=False, num_beams=1, max_new_tokens=count,
                          return_dict_in_generate=True, output_logits=True)
    first, second = torch.cat(made.logits).topk(2).values.unbind(1)
    return made.sequences[0, 1 if model.config.is_encoder_decoder else len(ids):].tolist(), (first - second).min().item()


def row_logits(model, row: dict) -> torch.Tensor:
    ids = torch.tensor([row["inputIds"]])
    if not model.config.is_encoder_decoder:
        return model(input_ids=ids).logits[0]
    behind = [0] + [0 if label == -100 else label for label in row["labels"][:-1]]  # T5's start token
    return model(input_ids=ids, decoder_input_ids=torch.tensor([behind])).logits[0]


def stored(folder: str) -> dict:
    """The dtypes of a folder's weights, and how many files they are in."""
    dtypes, shards = set(), sorted(Path(folder).glob("model*.safetensors"))
    for shard in shards:
        with safe_open(shard, "pt") as file:
            dtypes |= {file.get_slice(name).get_dtype() for name in file.keys()}
    return {"dtypes": sorted(dtypes), "shards": len(shards)}


def main() -> None:
    jobs, found, logits = json.loads(Path(sys.argv[1]).read_text()), [], {}
    for number, job in enumerate(jobs):
        model = load(job)
        ends = model.generation_config.eos_token_id
        made = [answer(model, prompt["ids"], prompt["count"]) for prompt in job.get("prompts", [])]
        result = {**stored(job["base"]), "ends": ends if isinstance(ends, list) else [ends],
                  "answers": [tokens for tokens, _ in made], "margins": [margin for _, margin in made]}
        with torch.no_grad():
            logits |= {f"{number}.{i}": row_logits(model, row).contiguous() for i, row in enumerate(job.get("rows", []))}
        if "texts" in job:
            tokenizer = AutoTokenizer.from_pretrained(job["base"])
            result["ids"] = [tokenizer(text)["input_ids"] for text in job["texts"]]
            result["chats"] = [tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True) for talk in job.get("talks", [])]
        found.append(result)
    save_file(logits, sys.argv[2])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
