"""The other side of the adapter tests: the real PEFT loads what fintune saved, and makes what fintune loads.

    python peft_interop.py logits --base MODEL --rows ROWS.json --out OUT.safetensors [--adapter ADAPTER]
    python peft_interop.py make   --base MODEL --rows ROWS.json --out OUT.safetensors --adapter ADAPTER
                                  [--r 4] [--alpha 8] [--targets q_proj,v_proj | all-linear] [--rslora] [--steps 3] [--seed 0]

ROWS.json is a list of {"inputIds": [...], "labels": [...]} or an object with such a list in "rows"; labels (with
-100 for tokens that are not trained) are needed by `make` only. `make` starts from a random B, takes some AdamW
steps (learning rate 0.01, all rows) and saves ADAPTER in PEFT's format. Both write float32 logits [tokens, vocabulary] of
each row alone as "logits.<row>" and print one line of JSON: rows, parameters of the adapter, versions and, with
labels, the loss over all trained tokens. Needs no network.
"""
import argparse
import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import peft  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
import transformers  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from safetensors.torch import save_file  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    logits, make = commands.add_parser("logits"), commands.add_parser("make")
    for command in (logits, make):
        command.add_argument("--base", type=Path, required=True)
        command.add_argument("--rows", type=Path, required=True)
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--adapter", type=Path, required=command is make)
    make.add_argument("--r", type=int, default=4)
    make.add_argument("--alpha", type=int, default=8)
    make.add_argument("--targets", default="q_proj,k_proj,v_proj,o_proj")
    make.add_argument("--rslora", action="store_true")
    make.add_argument("--steps", type=int, default=3)
    make.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def row_logits(model, row: dict) -> torch.Tensor:
    ids = torch.tensor([row["inputIds"]])
    if not model.config.is_encoder_decoder:
        return model(input_ids=ids).logits[0]
    answer = [0] + [0 if label == -100 else label for label in row["labels"][:-1]]  # behind T5's start token
    return model(input_ids=ids, decoder_input_ids=torch.tensor([answer]), use_cache=False).logits[0]


def loss_of(model, rows: list[dict]) -> torch.Tensor:
    """The sum over all trained tokens of all rows, each row alone, divided by their number."""
    total, count = 0, 0
    for row in rows:
        logits, labels = row_logits(model, row), torch.tensor(row["labels"])
        if not model.config.is_encoder_decoder:  # a decoder's label is the next position's token
            logits, labels = logits[:-1], labels[1:]
        total = total + F.cross_entropy(logits, labels, ignore_index=-100, reduction="sum")
        count += int((labels != -100).sum())
    return total / count


def make_adapter(base, rows: list[dict], options: argparse.Namespace):
    torch.manual_seed(options.seed)
    targets = options.targets if options.targets == "all-linear" else options.targets.split(",")
    task = "SEQ_2_SEQ_LM" if base.config.is_encoder_decoder else "CAUSAL_LM"
    model = get_peft_model(base, LoraConfig(task_type=task, r=options.r, lora_alpha=options.alpha,
                                            target_modules=targets, use_rslora=options.rslora))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.05)  # a zero B would make every adapter equal to its base
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(options.steps):
        optimizer.zero_grad()
        loss_of(model, rows).backward()
        optimizer.step()
    model.save_pretrained(options.adapter)
    return model


def main() -> None:
    options = arguments()
    rows = json.loads(options.rows.read_text())
    rows = rows["rows"] if isinstance(rows, dict) else rows
    is_pair = transformers.AutoConfig.from_pretrained(options.base).is_encoder_decoder
    family = transformers.AutoModelForSeq2SeqLM if is_pair else transformers.AutoModelForCausalLM
    model = family.from_pretrained(options.base, dtype=torch.float32)
    if options.command == "make":
        model = make_adapter(model, rows, options)
    elif options.adapter:
        model = PeftModel.from_pretrained(model, options.adapter, is_trainable=True)
    model.eval()
    with torch.no_grad():
        save_file({f"logits.{i}": row_logits(model, row).contiguous() for i, row in enumerate(rows)}, options.out)
        loss = loss_of(model, rows).item() if all("labels" in row for row in rows) else None
    adapter = sum(p.numel() for p in model.parameters() if p.requires_grad) if isinstance(model, PeftModel) else 0
    print(json.dumps({"rows": len(rows), "adapterParameters": adapter, "loss": loss, "torch": torch.__version__,
                      "transformers": transformers.__version__, "peft": peft.__version__}))


if __name__ == "__main__":
    main()
