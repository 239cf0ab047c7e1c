"""What is kept of an experiment: its account in one page, and the reports of its gates."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import msgspec

from trainer.gate.experiment.run import Outcome
from trainer.gate.experiment.settings import ExperimentError
from trainer.gate.report.hostile import markdown as escaped
from trainer.gate.run_folder import MARKDOWN, PAGE, PLAN, VERDICT

KEPT = (PLAN, VERDICT, MARKDOWN, PAGE)
FOLDERS = {"gate": "gate", "easy questions": "easy", "gate the worse one": "worse"}
"""Of the gates' runs: step, and the folder's name."""


def require_folder(folder: Path) -> None:
    """Makes the folder. Raises ExperimentError where nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise ExperimentError(
            f"nothing can be kept in {folder} ({error.strerror}): give a folder that can be written"
        ) from None


def keep(found: Outcome, folder: Path) -> None:
    """Into `folder`: README.md, experiment.json, and of each gate its plan, verdict and report. What an earlier
    experiment kept there of a gate that this one has not run is taken away."""
    folder.mkdir(parents=True, exist_ok=True)
    for step, name in FOLDERS.items():
        target = folder / name
        if step not in found.folders:
            for file in KEPT:
                (target / file).unlink(missing_ok=True)
            continue
        target.mkdir(exist_ok=True)
        for file in KEPT:
            shutil.copyfile(Path(found.folders[step]) / file, target / file)
    facts = {name: value for name, value in msgspec.to_builtins(found).items() if name != "folders"}
    (folder / "experiment.json").write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n")
    (folder / "README.md").write_text("\n".join(account(found)) + "\n", encoding="utf-8")


def account(found: Outcome) -> Iterator[str]:
    """The experiment in words, for people."""
    yield "# The experiment"
    yield ""
    yield f"{escaped(found.model)} on {found.machine}, {found.made_at}."
    yield ""
    yield (
        f"{found.questions} frozen questions about a handbook that was made up for this, so that the base model cannot "
        "know it; the same passages for the base model and the tuned one. On one machine's CPU: a real "
        f"vLLM{' and real training' * found.trained}; Bedrock, where it is named, is the local sandbox (simulated). "
        "The judges are rules of this program, not models."
    )
    if found.trained:
        yield ""
        yield (
            "Checked before anything was asked: no training row holds one of these questions or one of their answers, "
            "neither to be learned nor among the passages that are only read."
        )
    yield from ("", f"- Control alone, before any training: {escaped(found.control)}.")
    if found.killed:
        yield "- The kill criterion fired: the base model with retrieval clears the bar. Nothing was trained."
    if found.verdict is not None:
        rates = ", ".join(f"{escaped(name)} {rate}" for name, rate in found.accepted.items())
        p = "" if found.p is None else f"; exact McNemar p = {found.p:.2g}"
        said = escaped(found.why or "")
        yield f"- Verdict on {escaped(found.version or '')}: **{found.verdict}** ({rates}{p}). {said}"
        yield f"- Publication: {escaped(found.publication or '')}."
        yield "- Report: [gate/report.md](gate/report.md), and as one page [gate/report.html](gate/report.html)."
    if found.easy is not None:
        said = "the kill criterion fires. " if found.easy_killed else ""
        yield (
            f"- On easy questions (picked because the base model answers them): {said}{escaped(found.easy)} "
            "([easy/report.md](easy/report.md))"
        )
    if found.worse is not None:
        yield (
            f"- An adapter that learned wrong answers: **{found.worse_verdict}**; {escaped(found.worse)} "
            "([worse/report.md](worse/report.md))"
        )
    yield from ("", "| step | minutes |", "|---|---:|")
    for step, seconds in found.seconds.items():
        yield f"| {escaped(step)} | {seconds / 60:.1f} |"
    yield f"| **together** | {sum(found.seconds.values()) / 60:.1f} |"
