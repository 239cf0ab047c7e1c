"""An index in a folder: `manifest.json`, and the two files that it names with their hashes.

    manifest.json           {"manifest": {...}, "files": {"chunks": {"name", "sha256"}, "vectors": {...} or absent}}
    chunks-<hash>.json      the chunks, ordered by id
    vectors-<hash>.npy      float32 [chunks, dimensions], in the same order

The data's names hold their hashes and the manifest is put in place last: whoever opens the folder gets the old index
or the new one whole; one that is replaced while it is read is an error, and reads well the next time. Whoever writes
keeps other writers waiting, and takes away what an earlier one that was killed has left. Files that are none of an
index's are never touched.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from trainer.retrieval.chunk import Chunk
from trainer.retrieval.manifest import Manifest, MismatchError, corpus_hash
from trainer.retrieval.store import StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MANIFEST_FILE = "manifest.json"
MOST_BYTES = 4 << 30
"""Of one file: all of it is held in memory."""
_MOST_MANIFEST_BYTES = 1 << 20
_AGAIN = "make the index again"
_DATA = re.compile(r"(chunks-[0-9a-f]{16}\.json|vectors-[0-9a-f]{16}\.npy)")
_UNFINISHED = re.compile(rf"\.({_DATA.pattern}|manifest\.json)\.\d+\.unfinished")

Written = tuple[int, int, int]


class _File(msgspec.Struct, frozen=True):
    name: str
    sha256: str


class _Head(msgspec.Struct, frozen=True):
    manifest: Manifest
    files: dict[str, _File]


@dataclass
class IndexFiles:
    """The folder, and the state of its manifest when the index was read or written."""

    folder: Path
    written: Written

    def require_unchanged(self, manifest: Manifest) -> None:
        """Raises MismatchError where the folder holds another index by now, StoreError where it holds none."""
        written = _written(self.folder)
        if written == self.written:
            return
        now = _head(self.folder).manifest
        if now != manifest:
            what = next(name for name in Manifest.__struct_fields__ if getattr(now, name) != getattr(manifest, name))
            raise MismatchError(
                f"the index in {self.folder} was made again: its {what} is {getattr(now, what)!r} and was "
                f"{getattr(manifest, what)!r} when it was opened: open it again"
            )
        self.written = written


def write_index(
    folder: Path, manifest: Manifest, chunks: Sequence[Chunk], vectors: NDArray[np.float32] | None
) -> IndexFiles:
    """Write all files, the manifest last, and take the older index's data away. Raises StoreError where the folder
    holds what is no index's, and OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with _one_writer(folder):
        _require_ours(folder)
        files = {"chunks": _put(folder, "chunks", "json", msgspec.json.encode(chunks))}
        if vectors is not None:
            files["vectors"] = _put(folder, "vectors", "npy", _npy(vectors))
        head = msgspec.json.format(msgspec.json.encode(_Head(manifest, files)), indent=1) + b"\n"
        _write(folder / MANIFEST_FILE, head)
        kept = {file.name for file in files.values()}
        for old in list(folder.iterdir()):
            if old.name not in kept and (_DATA.fullmatch(old.name) or _UNFINISHED.fullmatch(old.name)):
                old.unlink(missing_ok=True)
        return IndexFiles(folder, _written(folder))


@contextmanager
def _one_writer(folder: Path) -> Iterator[None]:
    """Another one's turn is waited for: two at once would take each other's files away."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # closing it lets go of it
        yield
    finally:
        os.close(descriptor)


def _require_ours(folder: Path) -> None:
    """Raises StoreError where the folder is not empty, holds no index, nor what is left of one that was begun."""
    manifest = folder / MANIFEST_FILE
    if not manifest.exists():
        if all(_DATA.fullmatch(file.name) or _UNFINISHED.fullmatch(file.name) for file in folder.iterdir()):
            return
        raise StoreError(f"{folder} holds files and no index: give a folder of its own, or an empty one")
    try:
        with manifest.open("rb") as file:
            head = msgspec.json.decode(file.read(_MOST_MANIFEST_BYTES), type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        head = {}
    if not {"manifest", "files"} <= head.keys():
        raise StoreError(
            f"{manifest} is no index's manifest: give a folder of its own, or take the file away if it was one"
        )


def read_index(folder: Path) -> tuple[Manifest, list[Chunk], NDArray[np.float32] | None, IndexFiles]:
    """Everything in the folder, its hashes checked. Raises StoreError."""
    files = IndexFiles(folder, _written(folder))
    head = _head(folder)
    manifest = head.manifest
    try:
        chunks = msgspec.json.decode(_get(folder, head, "chunks"), type=list[Chunk])
    except msgspec.MsgspecError as error:
        raise StoreError(f"the chunks in {folder} cannot be read ({str(error)[:200]}): {_AGAIN}") from None
    for what, found, wanted in (
        ("number of chunks", len(chunks), manifest.chunks),
        ("corpus hash", corpus_hash(chunks), manifest.corpus_sha256),
    ):
        if found != wanted:
            raise StoreError(f"the {what} in {folder} is {found} and its manifest says {wanted}: {_AGAIN}")
    vectors = None if manifest.mode == "bm25" else _vectors(folder, head)
    return manifest, chunks, vectors, files


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone, to find the embedder that an index needs. Raises StoreError."""
    return _head(folder).manifest


def _head(folder: Path) -> _Head:
    path = folder / MANIFEST_FILE
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MOST_MANIFEST_BYTES), type=_Head)
    except OSError as error:
        raise StoreError(f"{folder} holds no index ({path.name}: {error.strerror}): make one there") from None
    except msgspec.MsgspecError as error:
        raise StoreError(f"{path} cannot be read as an index's manifest ({str(error)[:200]}): {_AGAIN}") from None


def _written(folder: Path) -> Written:
    try:
        stat = (folder / MANIFEST_FILE).stat()
    except OSError as error:
        raise StoreError(f"{folder} holds no index ({MANIFEST_FILE}: {error.strerror}): make one there") from None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _get(folder: Path, head: _Head, kind: str) -> bytes:
    file = head.files.get(kind)
    if file is None or file.name != Path(file.name).name:
        raise StoreError(f"the manifest in {folder} names no file of {kind} in its folder: {_AGAIN}")
    path = folder / file.name
    try:
        if path.stat().st_size > MOST_BYTES:
            raise StoreError(f"{path} has {path.stat().st_size:,} bytes and the limit is {MOST_BYTES:,}")
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}): {_AGAIN}") from None
    found = sha256(content).hexdigest()
    if found != file.sha256:
        raise StoreError(f"{path} has the hash {found[:12]} and the manifest says {file.sha256[:12]}: {_AGAIN}")
    return content


def _vectors(folder: Path, head: _Head) -> NDArray[np.float32]:
    library = numpy()
    try:
        vectors: NDArray[np.float32] = library.load(io.BytesIO(_get(folder, head, "vectors")), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise StoreError(f"the vectors in {folder} cannot be read ({error}): {_AGAIN}") from None
    wanted = (head.manifest.chunks, head.manifest.dimensions)
    if vectors.shape != wanted or vectors.dtype != library.float32 or not library.isfinite(vectors).all():
        found = f"{vectors.dtype} {vectors.shape}"
        raise StoreError(f"the vectors in {folder} are {found} and not finite float32 {wanted}: {_AGAIN}")
    return vectors


def numpy() -> Any:
    """numpy, where it is installed; StoreError says how to install it."""
    try:
        import numpy
    except ImportError:
        raise StoreError("vectors need numpy: pip install 'crossover[retrieval]', or use mode bm25") from None
    return numpy


def _npy(vectors: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    numpy().save(buffer, vectors, allow_pickle=False)
    return buffer.getvalue()


def _put(folder: Path, kind: str, ending: str, content: bytes) -> _File:
    digest = sha256(content).hexdigest()
    name = f"{kind}-{digest[:16]}.{ending}"
    _write(folder / name, content)
    return _File(name, digest)


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
