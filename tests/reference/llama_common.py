"""Shared by the llama*.py scripts: small random models, float64 copies, losses, gradients and AdamW traces.

Every number is computed twice, by transformers + peft in float32 and in float64; the float64 one is stored
(as float32), and the largest difference between both is written beside it.
"""
import ctypes
import json
import os
import shutil
from pathlib import Path

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # compiled kernels may contract a*b+c into one rounding
os.environ["HF_HUB_OFFLINE"] = "1"


def refuse(path: str) -> None:
    raise OSError("native kernels are left out, so that bitsandbytes takes its PyTorch path")


# bitsandbytes' own CPU kernels read a wrong absmax in some shapes and treat exact ties differently. Without the library,
# Linear4bit doesn't turn to bfloat16 in evaluation mode either, as it does where the processor has AVX512-BF16.
load_library, ctypes.cdll.LoadLibrary = ctypes.cdll.LoadLibrary, refuse
import bitsandbytes  # noqa: E402

ctypes.cdll.LoadLibrary = load_library
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM  # noqa: E402
from transformers.models.gemma import modeling_gemma  # noqa: E402
from transformers.models.llama import modeling_llama  # noqa: E402
from transformers.models.mistral import modeling_mistral  # noqa: E402
from transformers.models.qwen2 import modeling_qwen2  # noqa: E402
from transformers.models.qwen3 import modeling_qwen3  # noqa: E402

torch.set_num_threads(1)
HERE = Path(__file__).parent
ADAM = {"betas": [0.9, 0.999], "eps": 1e-8}
MAX_GRAD_NORM = 1.0


def exact_norm(self, x: torch.Tensor) -> torch.Tensor:
    """LlamaRMSNorm computes in float32 whatever it is given; a float64 model must not."""
    wide = x if x.dtype == torch.float64 else x.float()
    return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)).to(x.dtype)


def exact_rope(self, x: torch.Tensor, position_ids: torch.Tensor):
    """The same for the angles; the inverse frequencies stay the float32 values of transformers."""
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    angles = position_ids[..., None].to(wide) * self.inv_freq.to(wide)
    angles = torch.cat((angles, angles), dim=-1)
    return (angles.cos() * self.attention_scaling).to(x.dtype), (angles.sin() * self.attention_scaling).to(x.dtype)


def exact_gemma_norm(self, x: torch.Tensor) -> torch.Tensor:
    wide = x if x.dtype == torch.float64 else x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps) * (1 + self.weight.to(wide.dtype))).to(x.dtype)


for norm in (modeling_llama.LlamaRMSNorm, modeling_mistral.MistralRMSNorm, modeling_qwen2.Qwen2RMSNorm,
             modeling_qwen3.Qwen3RMSNorm):
    norm.forward = exact_norm
modeling_gemma.GemmaRMSNorm.forward = exact_gemma_norm
ROTARY = (modeling_llama.LlamaRotaryEmbedding, modeling_mistral.MistralRotaryEmbedding,
          modeling_qwen2.Qwen2RotaryEmbedding, modeling_qwen3.Qwen3RotaryEmbedding, modeling_gemma.GemmaRotaryEmbedding)
for rotary in ROTARY:
    rotary.forward = torch.no_grad()(exact_rope)


def random_model(config: dict, seed: int, dtype: torch.dtype, model_type: str = "llama"):
    """Larger weights than at a usual start, so that attention is sharp and gradients have some size."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **config), dtype=torch.float32)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.3)
            elif weight.dim() == 1:
                weight.copy_(float(model_type != "gemma") + 0.2 * torch.randn_like(weight))
            elif "embed_tokens" in name or "lm_head" in name:
                weight.normal_(0, 0.1 if model_type == "gemma" else 0.35)  # Gemma multiplies by sqrt(width)
            else:
                weight.normal_(0, 1.2 / weight.shape[1] ** 0.5)
    return model.to(dtype)


def load(folder: Path, dtype: torch.dtype, **options):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
    for module in model.modules():  # inverse frequencies in transformers' float32, also for the float64 model
        if isinstance(module, ROTARY):
            module.inv_freq = module.inv_freq.float()
    return model.to(dtype) if dtype != torch.float32 else model


def widen(model):
    return model.double()


def random_rows(seed: int, vocab: int, lengths: list[int], prompts: list[int]) -> list[dict]:
    """Token ids with the first `prompts[i]` labels masked, as instruction rows are."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for length, prompt in zip(lengths, prompts, strict=True):
        ids = [1] + torch.randint(5, vocab, (length - 1,), generator=generator).tolist()
        rows.append({"inputIds": ids, "labels": [-100] * prompt + ids[prompt:]})
    return rows


def trained_tokens(rows: list[dict]) -> int:
    return sum(label != -100 for row in rows for label in row["labels"][1:])


def row_logits(model, row: dict) -> torch.Tensor:
    return model(input_ids=torch.tensor([row["inputIds"]]), use_cache=False).logits[0]


def loss_of(model, rows: list[dict]) -> torch.Tensor:
    """Each row alone, the shift of transformers; the sum over all trained tokens divided by their number."""
    total = 0
    for row in rows:
        logits = row_logits(model, row)
        total = total + F.cross_entropy(logits[:-1], torch.tensor(row["labels"][1:]), ignore_index=-100, reduction="sum")
    return total / trained_tokens(rows)


def public_name(name: str) -> str:
    """PEFT's name in memory -> the name in adapter_model.safetensors."""
    return name.replace(".default.", ".")


def gradients_of(model, rows: list[dict]) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = loss_of(model, rows)
    loss.backward()
    found = {public_name(n): p.grad.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    return loss.item(), found


def largest_difference(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return max((a[name].double() - b[name].double()).abs().max().item() for name in b)


def trace(model, rows: list[dict], batches: list[list[int]], rates: list[float], groups: list[dict]) -> dict:
    """AdamW over fixed batches: the loss of each step (before its update) and the norm before clipping."""
    optimizer = torch.optim.AdamW(groups, lr=1.0, betas=tuple(ADAM["betas"]), eps=ADAM["eps"])
    parameters = [p for group in groups for p in group["params"]]
    losses, norms = [], []
    for batch, rate in zip(batches, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = loss_of(model, [rows[i] for i in batch])
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM).item())
        optimizer.step()
        losses.append(loss.item())
    return {"loss": losses, "gradNorm": norms}


def linear_rates(peak: float, warmup: int, total: int, first_zero: bool) -> list[float]:
    """transformers' linear schedule; without its first step of 0 it is the same line, one step further on."""
    def at(step: int, end: int) -> float:
        return peak * (step / warmup if step < warmup else (end - step) / (end - warmup))
    return [at(s, total) if first_zero else at(s + 1, total + 1) for s in range(total)]


def both_traces(make, rows, batches, rates, groups_of) -> tuple[dict, float]:
    """The trace in float64 and float32, and the largest difference of their losses."""
    runs = {}
    for name, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        model = make(dtype)
        runs[name] = trace(model, rows, batches, rates, groups_of(model))
    gap = max(abs(a - b) for a, b in zip(runs["float64"]["loss"], runs["float32"]["loss"]))
    return {"learningRates": rates, "float64": runs["float64"], "float32": runs["float32"], "largestDifference": gap}, gap


def one_group(decay: float):
    return lambda model: [{"params": [p for p in model.parameters() if p.requires_grad], "weight_decay": decay}]


def random_adapter(base, seed: int, **options):
    """A LoRA model with PEFT's own start of A and a random B (a zero B would hide the gradient of A)."""
    torch.manual_seed(seed)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **options))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.05)
    return model


def save_adapter(model, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = None  # otherwise a path of this machine
    config["target_modules"] = config["target_modules"] if isinstance(config["target_modules"], str) else sorted(config["target_modules"])
    write_json(folder / "adapter_config.json", config)


def write_json(path: Path, value) -> None:
    """Indented, but with lists of plain values on one line each."""
    def render(v, indent: str) -> str:
        if isinstance(v, dict) and v:
            inner = ",\n".join(f"{indent}  {json.dumps(str(k))}: {render(x, indent + '  ')}" for k, x in v.items())
            return "{\n" + inner + "\n" + indent + "}"
        if isinstance(v, list) and any(isinstance(x, dict) for x in v):
            return "[\n" + ",\n".join(indent + "  " + render(x, indent + "  ") for x in v) + "\n" + indent + "]"
        return json.dumps(v, ensure_ascii=False)
    path.write_text(render(value, "") + "\n")


def store(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file({n: t.detach().contiguous().to(torch.float32 if t.is_floating_point() else t.dtype) for n, t in tensors.items()}, path)


def classic_config(config: dict, dtype: str) -> dict:
    """config.json as transformers 4 wrote it (and as most of the Hub has it)."""
    rope = dict(config.pop("rope_parameters", None) or {})
    config["rope_theta"] = rope.pop("rope_theta", 10000.0)
    config["rope_scaling"] = rope if rope.get("rope_type", "default") != "default" else None
    config.pop("dtype", None)
    return {**config, "torch_dtype": dtype, "transformers_version": "4.46.0"}


def greedy(model, prompt: list[int], count: int, pad: int, **options) -> tuple[list[int], float]:
    """New tokens of transformers' greedy search, and the smallest lead of a chosen token over the next best."""
    out = model.generate(input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                         max_new_tokens=count, do_sample=False, pad_token_id=pad, return_dict_in_generate=True,
                         output_scores=True, **options)
    lead = min((s[0].topk(2).values[0] - s[0].topk(2).values[1]).item() for s in out.scores)
    return out.sequences[0, len(prompt):].tolist(), lead


def padded_greedy(model, prompts: list[list[int]], count: int, pad: int) -> list[list[int]]:
    """The same in one batch padded on the left; the pads after an EOS are cut off."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    eos = model.generation_config.eos_token_id
    out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=count, do_sample=False, pad_token_id=pad)
    rows = []
    for row in out[:, width:].tolist():
        stop = next((i for i, t in enumerate(row) if t in eos), len(row) - 1)
        rows.append(row[: stop + 1])
    return rows


def generation_cases(folder: Path, vocab: int, pad: int, repeat: dict) -> tuple[dict, float]:
    model = load(folder, torch.float32).eval()
    generator = torch.Generator().manual_seed(7)
    prompts = [[1] + torch.randint(5, vocab, (n,), generator=generator).tolist() for n in (3, 8, 14)]
    model.generation_config.eos_token_id = None
    free = [greedy(model, p, 16, pad) for p in prompts]
    # the first token that only the second prompt gives becomes an EOS: one answer ends early, the others run on
    others = set(free[0][0]) | set(free[2][0])
    stop = next((t for t in free[1][0][3:] if t not in others and t not in (1, 2, pad)), 2)
    model.generation_config.eos_token_id = [2, stop]
    model.generation_config.bos_token_id, model.generation_config.pad_token_id = 1, pad
    write_json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": [2, stop], "pad_token_id": pad,
                                                   "do_sample": False})
    stopped = [greedy(model, p, 16, pad) for p in prompts]
    penal = [greedy(model, p, 16, pad, **repeat) for p in prompts]
    assert padded_greedy(model, prompts, 16, pad) == [ids for ids, _ in stopped], "left padding changed an answer"
    lead = min(lead for _, lead in free + stopped + penal)
    return {"prompts": prompts, "maxNewTokens": 16, "greedyIgnoringEos": [ids for ids, _ in free],
            "eosIds": [2, stop], "greedy": [ids for ids, _ in stopped],
            "repetition": {"repetitionPenalty": repeat["repetition_penalty"], "noRepeatNgramSize": repeat["no_repeat_ngram_size"],
                           "greedy": [ids for ids, _ in penal]},
            "smallestLead": lead}, lead
