"""Whether Bedrock Custom Model Import would read a folder as it is meant. Plain Python: no torch, no transformers.

The import is documented against transformers 4.51.3, which reads files of transformers 5 without a word and wrongly:
`rope_theta` under its new name is not found, and the default is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.export.bounded_json import read_json
from trainer.export.config_checks import check_config
from trainer.export.finding import Finding, error, warning
from trainer.export.tokenizer_checks import check_tokenizer
from trainer.export.weights_checks import check_weights


def check(folder: Path, base: Path | None = None) -> list[Finding]:
    """All findings about a folder of merged weights (or a base, before anything is merged), errors first.

    With `base`, also that nothing but the weights' values differs from it.
    """
    return sorted(_check(folder, base), key=lambda finding: finding.severity)


def other_files(folder: Path) -> list[str]:
    """The files of a model's folder that an export takes over byte for byte: all but weights and hidden ones."""
    not_taken = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack")
    return sorted(
        file.name
        for file in folder.iterdir()
        if file.is_file() and not file.name.startswith(".") and not file.name.endswith(not_taken)
    )


def _check(folder: Path, base: Path | None) -> Iterator[Finding]:
    if not folder.is_dir():
        yield error("folder", f"{folder} is not a folder", "there is nothing to import", "name the model's folder")
        return
    config = _json(folder / "config.json")
    if not isinstance(config, dict):
        yield error(
            "missing-file",
            f"there is no readable config.json in {folder}",
            "Bedrock needs it",
            "name the model's folder, or take the file from the base's original snapshot",
        )
        config = {}
    else:
        yield from check_config(config)
    yield from _links(folder)
    yield from check_tokenizer(folder, config)
    yield from _generation(folder)
    if config:
        yield from check_weights(folder, config, base)
    if base is not None:
        for name in other_files(base):
            if not (folder / name).is_file() or (folder / name).read_bytes() != (base / name).read_bytes():
                yield error(
                    "file-differs",
                    f"{name} is not the base's, byte for byte",
                    "everything but the weights' values must be the base's own",
                    "export again",
                )


def _links(folder: Path) -> Iterator[Finding]:
    """Links that leave the model: what they point at would be copied, and sent away. A snapshot's blobs are its own."""
    own = folder.resolve()
    places = [own, own.parent.parent / "blobs"] if own.parent.name == "snapshots" else [own]
    for name in other_files(folder):
        target = (folder / name).resolve()
        if not any(target.is_relative_to(place) for place in places):
            yield error(
                "link",
                f"{name} is a link to {target}, outside the model's folder",
                "the file there would be copied into the export, and uploaded with it",
                "put the file itself there if it is the model's, or remove the link",
            )


def _generation(folder: Path) -> Iterator[Finding]:
    file = folder / "generation_config.json"
    if not file.exists():
        yield warning(
            "no-generation-config",
            "there is no generation_config.json",
            "where answers end is then read from config.json alone",
            "take it from the base's original snapshot, if it has one",
        )
    elif not isinstance(_json(file), dict):
        yield error(
            "unreadable-file", f"{file.name} is not a JSON object", "the reader would end there", "mend the base"
        )


def _json(file: Path) -> Any:
    try:
        return read_json(file)
    except (OSError, ValueError):
        return None
