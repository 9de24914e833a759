"""The rival for training: PyTorch + PEFT, LoRA r=16 alpha=32 on q, k, v and o.

    python peft_train.py --model FOLDER [--rows ROWS.json] [--batch-size 4] [--max-length 512] [--steps 8] [--dtype f32|bf16]
                         [--pad longest|concat] [--gradient-checkpointing] [--adapter FOLDER] [--quantize nf4] [--threads 2]
                         [--seed 0]

ROWS.json: a list of token-id lists, or of {"inputIds", "labels"?}, or an object with either in "rows"; without it, random rows of
max-length tokens. `longest` pads the batch-size rows of a step to the longest of them; `concat` joins all rows and cuts
blocks of max-length (rows then see one another). `--adapter` starts from a saved adapter instead of a random one. A step beyond the last row begins again with the first.
Prints one JSON object; the first step is kept out of the speed (it sets up memory). tokens = real, unpadded.
"""
import argparse
import json
import os
import resource
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--pad", choices=["longest", "concat"], default="longest")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--quantize", choices=["nf4"])
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


options = arguments()
import torch  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig  # noqa: E402


def read_rows(vocabulary: int) -> list[tuple[list[int], list[int]]]:
    """(ids, labels) of each row, cut at max-length."""
    if options.rows is None:
        ids = torch.randint(5, vocabulary, (4 * options.batch_size, options.max_length)).tolist()
        return [(row, row) for row in ids]
    rows = json.loads(options.rows.read_text())
    rows = rows["rows"] if isinstance(rows, dict) else rows
    pairs = [(row, row) if isinstance(row, list) else (row["inputIds"], row.get("labels", row["inputIds"])) for row in rows]
    return [(ids[: options.max_length], labels[: options.max_length]) for ids, labels in pairs]


def joined(rows: list[tuple[list[int], list[int]]]) -> list[tuple[list[int], list[int]]]:
    ids, labels = ([t for row in rows for t in row[part]] for part in (0, 1))
    return [(ids[i : i + options.max_length], labels[i : i + options.max_length]) for i in range(0, len(ids), options.max_length)]


def padded(batch: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    width = max(len(ids) for ids, _ in batch)
    fill = lambda values, value: torch.tensor([v + [value] * (width - len(v)) for v in values])  # noqa: E731
    return {"input_ids": fill([ids for ids, _ in batch], 0), "labels": fill([labels for _, labels in batch], -100),
            "attention_mask": fill([[1] * len(ids) for ids, _ in batch], 0)}


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    config = AutoConfig.from_pretrained(options.model)
    rows = read_rows(config.vocab_size)
    rows = joined(rows) if options.pad == "concat" else rows
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
    four_bit = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    loading = {"quantization_config": four_bit, "device_map": "cpu"} if options.quantize else {}
    began = time.perf_counter()
    base = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype, **loading)
    load_seconds = time.perf_counter() - began
    if options.adapter:
        model = PeftModel.from_pretrained(base, options.adapter, is_trainable=True)
    else:
        model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=0.0,
                                                target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]))
    if options.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.config.use_cache = False
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=options.learning_rate)
    loaded = peak_bytes()

    seconds, tokens, positions, losses = [], [], [], []
    for step in range(options.steps):
        batch = [rows[(step * options.batch_size + i) % len(rows)] for i in range(options.batch_size)]
        began = time.perf_counter()
        inputs = padded(batch)
        loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - began)
        tokens.append(sum(len(ids) for ids, _ in batch))
        positions.append(inputs["input_ids"].numel())
    first = 1 if options.steps > 1 else 0
    print(json.dumps({
        "rival": "pytorch+peft", "torch": torch.__version__, "threads": options.threads, "dtype": options.dtype, "pad": options.pad,
        "gradientCheckpointing": options.gradient_checkpointing, "steps": options.steps, "batchSize": options.batch_size,
        "maxLength": options.max_length, "trainableParameters": sum(p.numel() for p in trained),
        "tokensPerSecond": sum(tokens[first:]) / sum(seconds[first:]), "secondsPerStep": sum(seconds[first:]) / len(seconds[first:]),
        "firstStepSeconds": seconds[0], "tokens": sum(tokens), "positions": sum(positions), "filled": sum(tokens) / sum(positions),
        "totalSeconds": sum(seconds), "peakBytes": peak_bytes(), "loadedBytes": loaded, "loadSeconds": load_seconds, "losses": losses}))


if __name__ == "__main__":
    main()
