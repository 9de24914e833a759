"""The rival for decoding: greedy generation by transformers, N streams in one batch.

    python transformers_decode.py --model FOLDER [--rows PROMPTS.json] [--streams 1] [--prompt-length 64] [--new-tokens 64]
                                  [--dtype f32|bf16] [--threads 2] [--seed 0]

PROMPTS.json: a list of token-id lists (or an object with one in "rows"); the first N are padded on the left. Without it,
random ids. No stream stops early. Prints one JSON object; decode speed leaves out the first token (the prefill).
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
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--prompt-length", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


options = arguments()
import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402


def prompts(vocabulary: int) -> tuple[torch.Tensor, torch.Tensor]:
    if options.rows is None:
        ids = torch.randint(5, vocabulary, (options.streams, options.prompt_length))
        return ids, torch.ones_like(ids)
    rows = json.loads(options.rows.read_text())
    rows = (rows["rows"] if isinstance(rows, dict) else rows)[: options.streams]
    rows = [row if isinstance(row, list) else row["inputIds"] for row in rows]
    if len(rows) < options.streams:
        raise SystemExit(f"{options.rows} has {len(rows)} rows, {options.streams} streams were asked for")
    width = max(map(len, rows))
    return (torch.tensor([[0] * (width - len(row)) + row for row in rows]),
            torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows]))


def main() -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype).eval()
    model.generation_config.eos_token_id = None  # not min_new_tokens: it would forbid the token, which our side may pick
    ids, mask = prompts(model.config.vocab_size)

    def timed(count: int) -> tuple[float, torch.Tensor]:
        began = time.perf_counter()
        out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=count, do_sample=False, pad_token_id=0)
        return time.perf_counter() - began, out

    timed(2)  # first use sets up memory
    prefill, _ = timed(1)
    total, out = timed(options.new_tokens)
    print(json.dumps({
        "rival": "transformers", "torch": torch.__version__, "threads": options.threads, "dtype": options.dtype, "streams": options.streams,
        "promptTokens": int(mask.sum()), "newTokens": options.new_tokens, "prefillSeconds": prefill, "totalSeconds": total,
        "decodeTokensPerSecond": options.streams * (options.new_tokens - 1) / (total - prefill),
        "tokensPerSecond": options.streams * options.new_tokens / total, "prefillTokensPerSecond": int(mask.sum()) / prefill,
        "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "outputIds": out[:, ids.shape[1]:].tolist()}))


if __name__ == "__main__":
    main()
