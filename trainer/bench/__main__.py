"""Measure training: `python -m trainer.bench --case plain --case lean`."""

from __future__ import annotations

import argparse
import platform
import sys
import traceback
from pathlib import Path

import msgspec
import torch

from trainer.bench.cases import DEFAULT, LLAMA_8B, VARIANTS, Result, judge, parse_case
from trainer.bench.measure import free, measure
from trainer.bench.report import Report, print_report
from trainer.estimate.probe import probe
from trainer.model.shape import ModelShape


def main() -> int:
    given = _arguments().parse_args()
    try:
        cases = [parse_case(text) for text in given.case or DEFAULT]
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    has_gpu = torch.cuda.is_available()
    if given.device == "cuda" and not has_gpu:
        print("--device is cuda, and torch sees no CUDA device: say cpu, or install a CUDA build", file=sys.stderr)
        return 2
    device = torch.device("cuda" if has_gpu and given.device != "cpu" else "cpu")
    shape = LLAMA_8B if given.config is None else ModelShape.read(given.config)
    if given.layers:
        shape = msgspec.structs.replace(shape, layers=given.layers)
    measured = probe(device, torch.bfloat16 if device.type == "cuda" else torch.float32)
    results: list[Result] = []
    start: dict[str, torch.Tensor] = {}
    for case in cases:
        print(f"… {case.name}", file=sys.stderr, flush=True)
        try:
            found = measure(
                case,
                shape,
                device,
                start=start,
                steps=given.steps,
                warmup=given.warmup,
                seed=given.seed,
                learning_rate=given.learning_rate,
                matmul_flops=measured.matmul_flops,
                fresh=given.fresh,
                profile=given.profile,
            )
        except Exception as problem:
            if given.verbose:
                traceback.print_exc()
            found = Result(case, "failed", problem=f"{type(problem).__name__}: {problem}"[:600])
        results.append(found)
        free(device)
        versions = {"python": platform.python_version(), "torch": str(torch.__version__)}
        for name in ("transformers", "peft", "triton", "liger_kernel"):
            module = sys.modules.get(name)
            if module is not None:
                versions[name] = str(getattr(module, "__version__", "?"))
        judged = msgspec.convert(msgspec.to_builtins(results), list[Result])
        judge(judged)
        report = Report(device=measured, shape=shape, versions=versions, steps=given.steps, results=judged)
        if given.json is not None:  # after every case: what was measured is kept if the next one ends the program
            given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
    print_report(report)
    return 0 if all(found.verdict in ("ok", "not compared") for found in report.results) else 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.bench", description=__doc__)
    known = "; ".join(f"{name}: {text}" for name, text in VARIANTS.items())
    parser.add_argument(
        "--case",
        action="append",
        help="VARIANT[,sequences=4][,tokens=2048][,documents=1][,rank=16][,checkpointing=on]; may be given again; "
        f"left out: every variant but plain-fp32. {known}",
    )
    parser.add_argument("--config", type=Path, help="a config.json whose shape is used; left out: Llama 3.1 8B's")
    parser.add_argument("--layers", type=int, default=0, help="blocks of the model; 0: as the shape says")
    parser.add_argument("--device", choices=["auto", "cuda", "cpu"], default="auto")
    parser.add_argument("--steps", type=int, default=10, help="steps that are timed")
    parser.add_argument("--warmup", type=int, default=4, help="steps before them")
    parser.add_argument("--seed", type=int, default=0, help="of weights and tokens")
    parser.add_argument("--learning-rate", type=float, default=2e-4, help="AdamW's, constant")
    parser.add_argument("--fresh", action="store_true", help="begin with a fresh adapter, whose B's are zero")
    parser.add_argument("--profile", action="store_true", help="also where a step's time goes, by kind of kernel")
    parser.add_argument("--verbose", action="store_true", help="the whole traceback of a case that fails")
    parser.add_argument("--json", type=Path, help="file for everything measured")
    return parser


if __name__ == "__main__":
    sys.exit(main())
