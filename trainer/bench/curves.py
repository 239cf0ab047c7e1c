"""Are a variant's losses on real text those of plain bfloat16? `python -m trainer.bench.curves --model DIR`

Each variant trains the same adapter on the same docstrings, once for each seed; a seed decides the first weights and
the order of the text. The adapter that comes out is then judged where it will be used, on the plain bfloat16 model:
its loss on held-out text. `summarize` says when a variant counts as equal.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from trainer.bench.cases import Case
from trainer.bench.measure import free, open_variant, take_step
from trainer.bench.text import docstrings
from trainer.model.batch import DeviceBatch, to_device
from trainer.model.lean.weights import from_folder
from trainer.model.open import TrainableModel
from trainer.model.shape import ModelShape


def main() -> int:
    given = _arguments().parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape = ModelShape.read(given.model)
    read = from_folder(given.model)
    held_out, rows = _rows(given, device)
    print(f"{len(rows)} sequences to learn, {len(held_out)} batches held out", flush=True)
    runs: list[dict[str, Any]] = []
    for variant in given.variants.split(","):
        for seed in range(given.seeds):
            began = time.perf_counter()
            case = Case(variant, sequences=given.sequences, tokens=given.tokens, rank=given.rank)
            model = open_variant(case, shape, device, seed, read)
            start = _first_weights(shape, given.rank, seed)
            model.load_adapter_state(start)
            run = _train(model, rows, held_out, seed, given)
            trained = model.adapter_state()
            del model
            free(device)
            plain = open_variant(Case("plain", rank=given.rank), shape, device, seed, read)
            plain.load_adapter_state(trained)
            run |= {"variant": variant, "seed": seed, "on_plain": _evaluate(plain, held_out)}
            if not runs:
                plain.load_adapter_state(start)
                print(f"untrained: {_evaluate(plain, held_out):.4f} nats a token", flush=True)
            del plain
            free(device)
            runs.append(run)
            print(
                f"{variant:18} seed {seed}: held out {run['on_plain']:.4f} on plain bfloat16, "
                f"last losses {statistics.fmean(run['losses'][-10:]):.4f}, {time.perf_counter() - began:.1f} s",
                flush=True,
            )
            if given.json is not None:  # after each: what was measured is kept if the next one ends the program
                record = {"schema": 1, "arguments": _plain(vars(given)), "runs": runs, "summary": summarize(runs)}
                given.json.write_text(json.dumps(record))
    for line in summarize(runs):
        print(json.dumps(line))
    return 0


def summarize(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each variant: its held-out loss, how far it is from plain, seed by seed, and whether that is noise.

    A variant is equal to plain if it differs from it by less on average than plain differs from itself between seeds;
    or, where plain-fp32 ran, if it is no farther from fp32 than plain is: bfloat16 rounds plain's losses too.
    """
    by_variant: dict[str, dict[int, dict[str, Any]]] = {}
    for run in runs:
        by_variant.setdefault(run["variant"], {})[run["seed"]] = run
    plain, exact = by_variant.get("plain", {}), by_variant.get("plain-fp32", {})
    spread = statistics.stdev(run["on_plain"] for run in plain.values()) if len(plain) > 1 else None
    allowed = abs(_mean_difference(plain, exact) or 0.0)
    lines = []
    for variant, seeds in by_variant.items():
        from_plain, from_exact = _mean_difference(seeds, plain), _mean_difference(seeds, exact)
        curve = [
            statistics.fmean(abs(a - b) for a, b in zip(run["losses"], plain[seed]["losses"], strict=True))
            for seed, run in seeds.items()
            if seed in plain
        ]
        equal = None
        if from_plain is not None and spread is not None:
            equal = abs(from_plain) < spread or (from_exact is not None and abs(from_exact) <= allowed)
        lines.append(
            {
                "variant": variant,
                "held_out": statistics.fmean(run["on_plain"] for run in seeds.values()),
                "differs_from_plain": from_plain,
                "differs_from_fp32": from_exact,
                "curve_differs_by": statistics.fmean(curve) if curve else None,
                "spread_of_plain": spread,
                "equal": equal,
            }
        )
    return lines


def _mean_difference(one: dict[int, dict[str, Any]], other: dict[int, dict[str, Any]]) -> float | None:
    pairs = [run["on_plain"] - other[seed]["on_plain"] for seed, run in one.items() if seed in other]
    return statistics.fmean(pairs) if pairs else None


def _train(
    model: TrainableModel, rows: list[Any], held_out: list[DeviceBatch], seed: int, given: argparse.Namespace
) -> dict[str, Any]:
    device = model.trainable()[0].device
    optimizer = torch.optim.AdamW(model.trainable(), lr=given.learning_rate, weight_decay=0.0)
    order = np.random.default_rng(seed).permutation(len(rows))
    losses, evaluations = [], []
    for step in range(given.steps):
        chosen = [rows[order[(step * given.sequences + place) % len(rows)]] for place in range(given.sequences)]
        for group in optimizer.param_groups:
            rising, falling = min(1.0, (step + 1) / 5), (given.steps - step) / given.steps
            group["lr"] = given.learning_rate * min(rising, falling)
        losses.append(take_step(model, optimizer, _stack(chosen, device)))
        if (step + 1) % given.every == 0:
            evaluations.append([step + 1, _evaluate(model, held_out)])
    return {"losses": [float(loss) for loss in losses], "evaluations": evaluations}


def _evaluate(model: TrainableModel, batches: list[DeviceBatch]) -> float:
    model.eval()
    with torch.no_grad():
        total = sum(float(model.loss_sum(batch)) for batch in batches)
    model.train()
    return total / sum(batch.learned_tokens for batch in batches)


def _first_weights(shape: ModelShape, rank: int, seed: int) -> dict[str, torch.Tensor]:
    """The same for every variant."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, torch.Tensor] = {}
    for layer in range(shape.layers):
        for part in shape.projections:
            name, bound = f"base_model.model.model.layers.{layer}.{part.path}", part.inputs**-0.5
            first = torch.empty(rank, part.inputs).uniform_(-bound, bound, generator=generator)
            state |= {f"{name}.lora_A.weight": first, f"{name}.lora_B.weight": torch.zeros(part.outputs, rank)}
    return state


def _rows(given: argparse.Namespace, device: torch.device) -> tuple[list[DeviceBatch], list[Any]]:
    """(held-out batches, sequences to learn). Texts longer than a sequence are left out; a tenth is held out."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(given.model, local_files_only=True)
    needed = (given.steps * given.sequences + given.held_out) * given.tokens
    texts = docstrings(int(needed * 4.5))
    ids = [[*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for text in texts]
    rows: list[list[list[int]]] = [[]]
    for document in ids:
        if len(document) > given.tokens:
            continue
        if sum(map(len, rows[-1])) + len(document) > given.tokens:
            rows.append([])
        rows[-1].append(document)
    packed = [_pack(row, given.tokens) for row in rows]
    if len(packed) <= given.held_out:
        sys.exit(f"there is text for {len(packed)} sequences, and --held-out alone takes {given.held_out}")
    held = packed[: given.held_out]
    batches = [_stack(held[at : at + given.sequences], device) for at in range(0, len(held), given.sequences)]
    return batches, packed[given.held_out :]


def _pack(documents: list[list[int]], width: int) -> Any:
    tokens, targets = np.zeros(width, int), np.full(width, -100)
    positions, numbers, place = np.zeros(width, int), np.full(width, -1), 0
    for number, ids in enumerate(documents):
        part = slice(place, place + len(ids))
        tokens[part], positions[part], numbers[part] = ids, np.arange(len(ids)), number
        targets[place : place + len(ids) - 1] = ids[1:]
        place += len(ids)
    return SimpleNamespace(tokens=tokens, targets=targets, positions=positions, documents=numbers)


def _stack(rows: list[Any], device: torch.device) -> DeviceBatch:
    fields = ("tokens", "targets", "positions", "documents")
    batch: Any = SimpleNamespace(**{name: np.stack([getattr(row, name) for row in rows]) for name in fields})
    return to_device(batch, device)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.bench.curves", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a small Llama-like model")
    parser.add_argument(
        "--variants", default="plain,plain-fp32,lean,lean-fp8-backward,lean-fp8", help="comma-separated"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--every", type=int, default=25, help="steps between evaluations")
    parser.add_argument("--sequences", type=int, default=8, help="of a step")
    parser.add_argument("--tokens", type=int, default=1024, help="of a sequence")
    parser.add_argument("--held-out", type=int, default=32, help="sequences")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=5e-4, help="AdamW's peak; it falls to 0 on a line")
    parser.add_argument("--json", type=Path, help="file for all losses")
    return parser


if __name__ == "__main__":
    sys.exit(main())
