"""The header of a safetensors file: what each tensor is called, its type, its shape and where it lies. No torch needed.

A file is 8 bytes (the header's length, little-endian), the header in JSON, then the tensors' bytes without gaps
(the format's description: huggingface/safetensors, README, "Format").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.export.bounded_json import parse, read_json

INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"

BYTES_OF = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_MAX_HEADER_BYTES = 100_000_000  # the reference reader's own limit
_MAX_INDEX_BYTES = 64 << 20
_MAX_SIDES = 16
_MAX_NUMBER = 2**63  # of a side or an offset: readers keep them in 64 bits


class LayoutError(ValueError):
    """A weights file, or the index over several, that no reader would load; the message names it."""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor: its type in the format's own words (`BF16`), its shape, and its bytes' place within the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def bytes(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class FileLayout:
    """A safetensors file. `header` is the exact header as written; offsets of tensors count from the file's start."""

    path: Path
    tensors: dict[str, TensorEntry]
    metadata: dict[str, str]
    header: bytes


@dataclass(frozen=True)
class WeightsLayout:
    """All weights of a model folder, over its shards. `file_of` names the shard that holds a tensor."""

    folder: Path
    files: dict[str, FileLayout]
    file_of: dict[str, str]

    @property
    def tensors(self) -> dict[str, TensorEntry]:
        return {name: self.files[file].tensors[name] for name, file in self.file_of.items()}

    @property
    def bytes(self) -> int:
        return sum(tensor.bytes for tensor in self.tensors.values())


def read_file(path: Path) -> FileLayout:
    """The layout of one file. Raises LayoutError for a header that is broken or that does not cover the file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(_MAX_HEADER_BYTES, size - 8):
                raise LayoutError(f"{path} is not a safetensors file: its header would be {length} bytes of {size}")
            raw = file.read(length)
        header = parse(raw)
    except LayoutError:
        raise
    except (OSError, ValueError) as error:
        raise LayoutError(f"{path} cannot be read as a safetensors file: {error}") from None
    if not isinstance(header, dict):
        raise LayoutError(f"{path} is not a safetensors file: its header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    tensors = {name: _entry(path, name, entry, 8 + length) for name, entry in header.items()}
    ends = 8 + length
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != ends:
            how = "overlaps the tensor before it" if tensor.start < ends else "leaves a gap before it"
            raise LayoutError(f"{path}: tensor {name} {how}: it starts at byte {tensor.start}, not {ends}")
        ends = tensor.end
    if ends != size:
        word = "cut short" if ends > size else "longer than its header says"
        raise LayoutError(f"{path} is {word}: {size} bytes, and its tensors end at {ends}")
    return FileLayout(path, tensors, metadata if isinstance(metadata, dict) else {}, raw)


def read_weights(folder: Path) -> WeightsLayout:
    """The layout of a model folder: one file, or the shards of an index. Raises LayoutError."""
    file_of = _file_of(folder)
    if file_of is None:
        layout = read_file(folder / SINGLE_FILE)
        return WeightsLayout(folder, {SINGLE_FILE: layout}, dict.fromkeys(layout.tensors, SINGLE_FILE))
    index = folder / INDEX_FILE
    files = {name: read_file(folder / name) for name in sorted(set(file_of.values()))}
    problems = [f"{name} (said to be in {file})" for name, file in file_of.items() if name not in files[file].tensors]
    problems += [
        f"{name} (in {file}, not in the index)"
        for file, layout in files.items()
        for name in layout.tensors
        if file_of.get(name) != file
    ]
    if problems:
        raise LayoutError(f"{index} does not agree with its shards about {len(problems)} tensors: {problems[0]}")
    return WeightsLayout(folder, files, file_of)


def weight_files(folder: Path) -> list[str]:
    """Names of the files that hold a model's weights as `read_weights` reads them; others beside them do not count.

    Raises LayoutError when there are none in this form.
    """
    file_of = _file_of(folder)
    return [SINGLE_FILE] if file_of is None else sorted(set(file_of.values()))


def _file_of(folder: Path) -> dict[str, str] | None:
    """The index's shard of each tensor; None when all weights are in one file."""
    if (folder / SINGLE_FILE).exists():  # first, as transformers looks for it
        return None
    if not (folder / INDEX_FILE).exists():
        raise LayoutError(f"{folder} has neither {SINGLE_FILE} nor {INDEX_FILE}: no weights to read")
    return _weight_map(folder / INDEX_FILE)


def _weight_map(index: Path) -> dict[str, str]:
    try:
        content = read_json(index, _MAX_INDEX_BYTES)
        weight_map = content["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LayoutError(f"{index} cannot be read as an index of shards: {error!r}") from None
    if not isinstance(weight_map, Mapping) or not all(
        isinstance(file, str) and file == Path(file).name for file in weight_map.values()
    ):
        raise LayoutError(f"{index}: weight_map must name a file of the same folder for each tensor")
    return dict(weight_map)


def _entry(path: Path, name: str, entry: Any, data_start: int) -> TensorEntry:
    try:
        dtype, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        if not isinstance(dtype, str) or len(shape) > _MAX_SIDES:
            raise ValueError(f"{dtype!r} with {len(shape)} sides")
        count = 1
        for side in (*shape, start, end):
            if type(side) is not int or not 0 <= side < _MAX_NUMBER:
                raise ValueError(f"{side!r} is no side or offset")
        for side in shape:
            count *= side
        wanted = count * BYTES_OF.get(dtype, 0)
        if start > end or (dtype in BYTES_OF and end - start != wanted):
            raise LayoutError(f"{path}: tensor {name} takes {end - start} bytes; {dtype} {list(shape)} needs {wanted}")
        return TensorEntry(dtype, shape, data_start + start, data_start + end)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, LayoutError):
            raise
        raise LayoutError(f"{path}: tensor {name} is not described as the format wants: {error!r}") from None
