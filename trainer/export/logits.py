"""Compare a merged model with its base and adapter on real prompts, in a process that has torch and peft:

    python -m trainer.export.logits --base DIR --adapter DIR --merged DIR --result FILE [--rows FILE]

Everything is computed in float32, so that the only difference is how the merged weights were rounded when they were
stored. Two questions are asked:

- Weight by weight: is each stored weight the nearest number, in its format, to peft's own merge in float32?
- Logit by logit: is the error no larger than rounding makes it? The yardstick is peft's merge rounded at random up or
  down to the same format (its error is sqrt(2) times that of rounding to nearest): the error may be twice as large.
  A merge with a wrong scale or a lost layer errs by the adapter's effect, which is reported beside it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel
from safetensors import safe_open
from torch.nn.functional import kl_div, log_softmax
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from trainer.export.layout import read_weights
from trainer.export.prompts import PROMPTS

_MOST_TOKENS = 256
_MOST_ROWS = 8
_TIMES_RANDOM_ROUNDING = 2.0
_FLOAT32_NOISE = 1e-5  # of the logits' own size, where nothing is rounded
_HALF_STEP = {"BF16": 2.0**-8, "F16": 2.0**-11, "F32": 0.0}  # the largest relative error of rounding to nearest


def compare(base: Path, adapter: Path, merged: Path, rows: Path | None, device: torch.device) -> dict[str, Any]:
    """What the merge did to the answers, and whether that is rounding alone (`ok`, with `problems` if not)."""
    started = time.perf_counter()
    inputs = _inputs(base, rows)
    if inputs != _inputs(merged, rows):
        return {"ok": False, "problems": ["the merged folder's tokenizer gives other tokens than the base's"]}

    with torch.no_grad():
        tuned = PeftModel.from_pretrained(_load(base, device), str(adapter)).eval()
        reference = _logits(tuned, inputs)
        with tuned.disable_adapter():
            without = _logits(tuned, inputs)
        plain = tuned.merge_and_unload()
        formats = {name: entry.dtype for name, entry in read_weights(merged).tensors.items()}
        exact, worst = _against_peft(plain, merged)
        _round_at_random(plain, formats)
        at_random = _logits(plain, inputs)
        del tuned, plain
        gc.collect()
        stored = _logits(_load(merged, device), inputs)

    size = _rms(reference, None)
    error, yardstick, effect = _rms(stored, reference), _rms(at_random, reference), _rms(without, reference)
    bound = max(_TIMES_RANDOM_ROUNDING * yardstick, _FLOAT32_NOISE * size)
    problems = []
    if worst > 1.0:
        problems.append(f"a stored weight is {worst:.1f} times as far from peft's merge as rounding can bring it")
    if not error <= bound:
        problems.append(f"the logits differ by {error:.2e} (RMS), and rounding explains {bound:.2e} at most")
    agree = sum(int((one.argmax(-1) == other.argmax(-1)).sum()) for one, other in zip(stored, reference, strict=True))
    positions = sum(len(ids) for ids in inputs)
    return {
        "ok": not problems,
        "problems": problems,
        "prompts": len(inputs),
        "positions": positions,
        "logits_rms": size,
        "error_rms": error,
        "error_max": max(float((one - other).abs().max()) for one, other in zip(stored, reference, strict=True)),
        "bound_rms": bound,
        "random_rounding_rms": yardstick,
        "adapter_effect_rms": effect,
        "error_of_effect": error / effect if effect else None,
        "top1_agreement": agree / positions,
        "kl_mean_nats": _kl(reference, stored) / positions,
        "weights_as_peft": exact,
        "weights_worst_of_rounding": worst,
        "seconds": round(time.perf_counter() - started, 3),
        "device": str(device),
    }


def _inputs(folder: Path, rows: Path | None) -> list[list[int]]:
    """Token ids of the prompts, in the chat form where there is one, and of the first of the rows."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    chats: list[list[dict[str, str]]] = [[{"role": "user", "content": text}] for text in PROMPTS]
    texts: list[str] = []
    for row in _rows(rows):
        if isinstance(row.get("messages"), list):
            chats.append(row["messages"])
        elif isinstance(row.get("prompt"), str):
            texts.append(row["prompt"] + str(row.get("completion", "")))
    if tokenizer.chat_template:
        texts += [
            tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=chat[-1]["role"] == "user")
            for chat in chats
        ]
    else:
        texts += ["\n".join(str(message["content"]) for message in chat) for chat in chats]
    return [tokenizer(text, add_special_tokens=False)["input_ids"][:_MOST_TOKENS] for text in texts]


def _rows(file: Path | None) -> Iterable[dict[str, Any]]:
    if file is None:
        return []
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line, _ in zip(lines, range(_MOST_ROWS), strict=False) if line.strip()]


def _load(folder: Path, device: torch.device) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    return model.to(device).eval()


def _logits(model: Any, inputs: list[list[int]]) -> list[torch.Tensor]:
    return [model(torch.tensor([ids], device=model.device)).logits[0].float().cpu() for ids in inputs]


def _against_peft(model: Any, merged: Path) -> tuple[float, float]:
    """(share of stored weights that are peft's merge rounded to nearest, the worst distance in units of rounding)."""
    weights = read_weights(merged)
    parameters = dict(model.named_parameters())
    same = total = 0
    worst = 0.0
    for file in weights.files.values():
        with safe_open(file.path, framework="pt") as stored:
            for name, entry in file.tensors.items():
                if name not in parameters:
                    continue
                wanted, found = parameters[name].detach().cpu(), stored.get_tensor(name)
                same += int((wanted.to(found.dtype) == found).sum())
                total += found.numel()
                # The sums of peft and of the merge are in float32, in another order: one part in a million.
                allowed = wanted.abs() * _HALF_STEP[entry.dtype] + 1e-6 * wanted.abs().max() + 1e-30
                worst = max(worst, float(((found.float() - wanted).abs() / allowed).max()))
    return same / max(1, total), worst


def _round_at_random(model: Any, formats: dict[str, str]) -> None:
    """Round the changed weights to their stored format, up or down with the chance of the distance. In place."""
    generator = torch.Generator().manual_seed(0)
    types = {"BF16": torch.bfloat16, "F16": torch.float16}
    for name, parameter in model.named_parameters():
        kind = types.get(formats.get(name, ""))
        if kind is None or parameter.dim() != 2:
            continue
        exact = parameter.detach().cpu()
        near = exact.to(kind)
        # The neighbour on the other side of the exact number.
        away = torch.where(exact > near.float(), torch.inf, -torch.inf).to(kind)
        other = torch.nextafter(near, away)
        gap = (other.float() - near.float()).abs().clamp_min(1e-38)
        chance = (exact - near.float()).abs() / gap
        take = torch.rand(exact.shape, generator=generator) < chance
        parameter.data.copy_(torch.where(take, other, near).float())


def _rms(one: list[torch.Tensor], other: list[torch.Tensor] | None) -> float:
    pairs = zip(one, other if other is not None else [torch.zeros(())] * len(one), strict=True)
    total = sum(float((a - b).double().square().sum()) for a, b in pairs)
    return float((total / sum(part.numel() for part in one)) ** 0.5)


def _kl(reference: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """Nats over all positions, of the reference's distribution against the other's."""
    return sum(
        float(kl_div(log_softmax(b, -1), log_softmax(a, -1), reduction="sum", log_target=True))
        for a, b in zip(reference, other, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--merged", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True, help="JSON file to write when it is done")
    parser.add_argument("--rows", type=Path, help="training rows: the first of them are compared as well")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="the models are held in float32")
    given = parser.parse_args()
    disable_progress_bar()
    result = compare(given.base, given.adapter, given.merged, given.rows, torch.device(given.device))
    given.result.write_text(json.dumps(result, indent=2) + "\n")
    for problem in result["problems"]:
        print(f"error: {problem}", file=sys.stderr)
    raise SystemExit(0 if result["ok"] else 3)


if __name__ == "__main__":
    main()
