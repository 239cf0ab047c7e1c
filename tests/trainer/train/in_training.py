"""Whole runs of the trainer on a tiny model, for test_training_runs.py. Runs in the training environment:

    python -m tests.trainer.train.in_training MODEL DATA FOLDER

torch is imported once; each run is a fork of this process, so that it can be killed and costs no import. Ends with one
line of JSON: what each run left.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

import trainer.train.__main__ as program
import trainer.train.loop
import trainer.train.plot  # noqa: F401
from trainer.data.rendering import Renderer
from trainer.data.rows import read_rows
from trainer.data.split import split
from trainer.train.finished import finished_run

MODEL, DATA, ROOT = (Path(argument).absolute() for argument in sys.argv[1:4])
SETTINGS: dict[str, Any] = {
    "version": 1,
    "name": "tiny",
    "base": {"model": str(MODEL)},
    "data": {"train": str(DATA), "evaluation_share": 0.2},
    "sequence": {"max_tokens": 96},
    "lora": {"rank": 4, "alpha": 8, "dropout": 0.1},
    "optimizer": {"learning_rate": 0.02},
    "batch": {"sequences_per_step": 4, "sequences_at_once": 2},
    "length": {"epochs": None, "max_steps": 8},
    "evaluation": {"every_steps": 3},
    "checkpoint": {"every_steps": 2},
    "device": {"kind": "cpu", "dtype": "float32"},
}


def settings_file(name: str, **changes: dict[str, Any]) -> Path:
    """Settings in a folder of their own; a change is laid over its section."""
    folder = ROOT / name
    folder.mkdir(parents=True, exist_ok=True)
    settings = SETTINGS | {key: SETTINGS.get(key, {}) | change for key, change in changes.items()}
    (folder / "train.yaml").write_text(json.dumps(settings))
    return folder / "train.yaml"


def start(
    config: Path, *arguments: str, environment: dict[str, str] | None = None, largest_file_bytes: int | None = None
) -> int:
    """Fork a run; what it prints is added to out.jsonl and err.txt beside its settings."""
    child = os.fork()
    if child:
        return child
    try:
        os.environ.update(environment or {})
        for number, name in ((1, "out.jsonl"), (2, "err.txt")):
            os.dup2(os.open(config.parent / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
        if largest_file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes, largest_file_bytes))
        sys.argv = ["train", "--config", str(config), "--json", *arguments]
        status = program.main()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
        status = 70
    os._exit(status)


def wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def events(config: Path) -> list[dict[str, Any]]:
    file = config.parent / "out.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def until(child: int, config: Path, seen: Callable[[list[dict[str, Any]]], bool]) -> None:
    limit = time.monotonic() + 60
    while not seen(events(config)):
        if time.monotonic() > limit or os.waitpid(child, os.WNOHANG)[0]:
            raise SystemExit(f"{config}: {(config.parent / 'err.txt').read_text()} {events(config)[-3:]}")
        time.sleep(0.005)


def at_step(number: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda found: any(event["event"] == "step" and event["step"] >= number for event in found)


def folder_of(config: Path) -> Path:
    return next((config.parent / "runs").glob("tiny-*"))


def left(config: Path, status: int) -> dict[str, Any]:
    """What a run left: exit status, events, record, the files in its folder."""
    found: dict[str, Any] = {
        "status": status,
        "events": events(config),
        "errors": (config.parent / "err.txt").read_text(),
        "folders": sorted(path.name for path in (config.parent / "runs").glob("*")),
    }
    if found["folders"]:
        folder = folder_of(config)
        found["files"] = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        found["record"] = json.loads((folder / "run.json").read_text()) if (folder / "run.json").exists() else None
    return found


def loss_with_peft(adapter: Path, held_out_share: float) -> float:
    """The held-out loss by transformers and peft alone, one row at a time: nothing of the trainer's but the rows."""
    _, rows = split(read_rows(DATA), held_out_share)
    renderer = Renderer(AutoTokenizer.from_pretrained(MODEL))
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32), adapter)
    total = count = 0.0
    with torch.no_grad():
        for row in renderer.render(rows):
            ids = torch.tensor([list(row.ids)])
            losses = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="none")
            total += float(losses[row.learned_from - 1 :].sum())
            count += len(row.ids) - row.learned_from
    return total / count


def main() -> None:
    results: dict[str, Any] = {}
    whole = settings_file("whole")
    named = {"CROSSOVER_RUN_FILE": str(ROOT / "run.txt")}
    results["whole"] = left(whole, wait(start(whole, environment=named)))
    results["named"] = [(ROOT / "run.txt").read_text(), f"{folder_of(whole)}\n"]
    finished = finished_run(folder_of(whole))
    results["handed_on"] = {
        "name": finished.name, "data": finished.data, "base": str(finished.base), "versions": finished.versions,
        "rank": finished.settings["lora.rank"], "source": finished.provenance["lora.rank"],
        "files": [str(path.name) for path in finished.files], "run": sorted(finished.run),
        "loss_with_peft": loss_with_peft(finished.adapter, 0.2),
    }  # fmt: skip
    (ROOT / "run.txt").unlink()
    results["again"] = left(whole, wait(start(whole, environment=named)))
    results["named"].append((ROOT / "run.txt").read_text())

    stopped = settings_file("stopped")
    child = start(stopped)
    until(child, stopped, at_step(2))
    for _ in range(2):  # as from a terminal: one of its own, and one passed on by the parent
        os.kill(child, signal.SIGTERM)
        time.sleep(0.02)
    results["stopped"] = left(stopped, wait(child))
    child = start(stopped)
    until(child, stopped, lambda found: any(e["event"] == "checkpoint" and e["step"] >= 4 for e in found))
    os.kill(child, signal.SIGKILL)
    wait(child)
    (folder_of(stopped) / "loss.png").mkdir()  # so that the picture cannot be drawn
    results["went_on"] = left(stopped, wait(start(stopped)))

    killed = settings_file("killed")
    child = start(killed)
    until(child, killed, at_step(6))
    os.kill(child, signal.SIGKILL)
    wait(child)
    newest = max((folder_of(killed) / "checkpoints").glob("step-*")) / "state.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    results["killed"] = left(killed, -9)
    results["resumed"] = left(killed, wait(start(killed, "--resume")))

    # Dropout draws other numbers in each process, so this run and the one it is held against have none.
    results["one"] = left(one := settings_file("one", lora={"dropout": 0.0}, length={"max_steps": 4}), wait(start(one)))
    two = settings_file("two", lora={"dropout": 0.0}, length={"max_steps": 4})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [
        start(two, environment={"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank,
                                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
        for rank in "01"
    ]  # fmt: skip
    results["two"] = left(two, max(map(wait, processes)))

    early = settings_file("early", optimizer={"learning_rate": 0.5, "schedule": "constant"}, length={"max_steps": 30},
                          evaluation={"every_steps": 1, "patience": 2}, checkpoint={"keep": 1})  # fmt: skip
    results["early"] = left(early, wait(start(early)))
    results["early"]["loss_with_peft"] = loss_with_peft(folder_of(early) / "adapter", 0.2)
    timed = settings_file("timed", data={"evaluation_share": 0.0}, length={"max_seconds": 1e-6})
    results["timed"] = left(timed, wait(start(timed)))
    diverged = settings_file("diverged", optimizer={"learning_rate": 1e30})
    results["diverged"] = left(diverged, wait(start(diverged)))
    worse = settings_file("worse", optimizer={"learning_rate": 1e30}, evaluation={"every_steps": 1})
    results["worse"] = left(worse, wait(start(worse)))
    full = settings_file("full", lora={"rank": 16})
    results["full"] = left(full, wait(start(full, largest_file_bytes=64 * 1024)))
    refused = settings_file("refused", sequence={"max_tokens": 32})
    results["refused"] = left(refused, wait(start(refused)))
    print(msgspec.json.encode(results).decode())


main()
