"""Merge an adapter into its base, tensor by tensor, in a process that has torch:

    python -m trainer.export.merge --base DIR --adapter DIR --output DIR --result FILE

Each weight becomes W + scale * B @ A, computed in float32 and rounded once to the base's own number format. Shards,
their headers and every tensor that the adapter leaves alone come out byte for byte as in the base. At no time more than
a block of rows is in memory. The base's shards and the new ones are hashed on the way.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias

import torch

from trainer.export.layout import FileLayout, LayoutError, TensorEntry, read_file, read_weights
from trainer.export.updates import MergeError, Update, updates

_BLOCK_ELEMENTS = 1 << 20  # 4 MiB of float32: it stays in a processor's cache
_SECONDS_BETWEEN_LINES = 5.0
Buffer: TypeAlias = bytes | bytearray | memoryview
_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def merge(base: Path, adapter: Path, output: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Write the merged shards into the empty folder `output`. `progress` takes bytes done and bytes in all.

    Raises MergeError, LayoutError, OSError; MergeError also when a merged weight is not a finite number.
    """
    started = time.perf_counter()
    config = json.loads((base / "config.json").read_text())
    weights, factors = read_weights(base), read_file(adapter / "adapter_model.safetensors")
    adapter_config = json.loads((adapter / "adapter_config.json").read_text())
    todo = updates(adapter_config, factors, weights, tied=bool(config.get("tie_word_embeddings")))
    total = sum(file.path.stat().st_size for file in weights.files.values())
    done = 0
    hashes: dict[str, dict[str, str]] = {"base": {}, "merged": {}}
    sums = {"weights": 0.0, "delta": 0.0, "rounding": 0.0}

    with (adapter / "adapter_model.safetensors").open("rb") as adapter_file:
        for name, file in sorted(weights.files.items()):
            before, after = hashlib.sha256(), hashlib.sha256()
            with file.path.open("rb") as source, (output / name).open("xb") as target:
                head = source.read(8 + len(file.header))
                for old, new in _blocks(head, file, source, adapter_file, factors, todo, sums):
                    before.update(old)
                    after.update(new)
                    target.write(new)
                    done += memoryview(old).nbytes
                    progress(done, total)
                target.flush()
                os.fsync(target.fileno())
            hashes["base"][name], hashes["merged"][name] = before.hexdigest(), after.hexdigest()

    changed = max(1.0, sums["weights"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "bytes": done,
        "tensors": len(weights.file_of),
        "tensors_changed": len(todo),
        "weights_changed": int(sums["weights"]),
        "delta_rms": (sums["delta"] / changed) ** 0.5,
        "rounding_rms": (sums["rounding"] / changed) ** 0.5,
        "seconds": round(time.perf_counter() - started, 3),
        "peak_bytes": peak,
        "torch": torch.__version__,
        "base_sha256": hashes["base"],
        "merged_sha256": hashes["merged"],
    }


def _blocks(
    head: bytes,
    file: FileLayout,
    source: IO[bytes],
    adapter_file: IO[bytes],
    factors: FileLayout,
    todo: dict[str, Update],
    sums: dict[str, float],
) -> Iterator[tuple[Buffer, Buffer]]:
    """The file as it is and as it will be, piece by piece."""
    yield head, head
    at = len(head)
    for name, entry in sorted(file.tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != at:
            raise LayoutError(f"{file.path}: a gap of {entry.start - at} bytes lies before {name}")
        at = entry.end
        update = todo.get(name)
        if update is None:
            rest = entry.bytes
            while rest:
                block = source.read(min(rest, 16 << 20))
                if not block:
                    raise LayoutError(f"{file.path} is shorter than it was: {rest} bytes of {name} are missing")
                rest -= len(block)
                yield block, block
        else:
            a = _tensor(adapter_file, factors.tensors[update.a])
            b = _tensor(adapter_file, factors.tensors[update.b]) * update.scale
            yield from _merged(file.path, source, entry, a, b, update, sums)


def _merged(
    path: Path,
    source: IO[bytes],
    entry: TensorEntry,
    a: torch.Tensor,
    b: torch.Tensor,
    update: Update,
    sums: dict[str, float],
) -> Iterator[tuple[Buffer, Buffer]]:
    rows, columns = entry.shape
    row_bytes = entry.bytes // rows
    step = max(1, _BLOCK_ELEMENTS // columns)
    for first in range(0, rows, step):
        count = min(step, rows - first)
        old = bytearray(count * row_bytes)
        if source.readinto(old) != len(old):  # type: ignore[attr-defined]
            raise LayoutError(f"{path} is shorter than it was: rows of {update.tensor} are missing")
        weight = torch.frombuffer(old, dtype=_TYPES[entry.dtype]).view(count, columns)
        delta = b[first : first + count] @ a
        sums["weights"] += delta.numel()
        sums["delta"] += float(torch.linalg.vector_norm(delta)) ** 2
        exact = delta.add_(weight)
        rounded = exact.to(weight.dtype)
        error = float(torch.linalg.vector_norm(exact.sub_(rounded))) ** 2
        if not math.isfinite(error):  # of an infinite or undefined weight, however it came about
            raise MergeError([f"{update.tensor} is not finite after the merge: the adapter holds NaN, or overflows"])
        sums["rounding"] += error
        yield old, rounded.view(torch.uint8).numpy().data


def _tensor(file: IO[bytes], entry: TensorEntry) -> torch.Tensor:
    file.seek(entry.start)
    content = bytearray(file.read(entry.bytes))
    return torch.frombuffer(content, dtype=_TYPES[entry.dtype]).view(entry.shape).to(torch.float32)


def _progress() -> Callable[[int, int], None]:
    """A bar on a terminal; elsewhere a line now and then."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        bar = Progress(
            "merging", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
            console=Console(stderr=True),
        )  # fmt: skip
        task = bar.add_task("merging", total=None)
        bar.start()

        def draw(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if done == total:
                bar.stop()

        return draw
    said = time.perf_counter()

    def say(done: int, total: int) -> None:
        nonlocal said
        if time.perf_counter() - said > _SECONDS_BETWEEN_LINES:
            said = time.perf_counter()
            print(f"merging {done / total:.0%} of {total / 1e9:.2f} GB", file=sys.stderr, flush=True)

    return say


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--adapter", type=Path, required=True, help="folder of the adapter, in peft's form")
    parser.add_argument("--output", type=Path, required=True, help="empty folder for the merged shards")
    parser.add_argument("--result", type=Path, required=True, help="JSON file to write when it is done")
    given = parser.parse_args()
    try:
        result = merge(given.base, given.adapter, given.output, _progress())
    except (MergeError, LayoutError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    given.result.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
