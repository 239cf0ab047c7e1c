"""MiniLM as an embedder: 384 dimensions, 256 tokens, English above all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.retrieval.embedder import EmbedderError, Progress
from trainer.retrieval.minilm.weights import FILES, WEIGHTS_FILE, weights_hash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_TOKENS = 256
"""What all-MiniLM-L6-v2 was made to read; further tokens are cut off."""


class MiniLm:
    """The model of a folder with `config.json`, `tokenizer.json` and `model.safetensors`. Needs numpy."""

    def __init__(self, folder: Path) -> None:
        """Raises EmbedderError where a file is missing or no BERT, or where numpy is."""
        require_numpy()
        from trainer.retrieval.minilm.bert import Bert
        from trainer.retrieval.minilm.wordpiece import read_wordpiece

        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise EmbedderError(f"{folder} has no {', '.join(missing)}: give the folder of a MiniLM model")
        try:
            self._tokenizer = read_wordpiece(folder / "tokenizer.json")
            self._bert = Bert(folder)
            low, high = self._tokenizer.range()
            if low < 0 or high >= self._bert.vocabulary:
                raise ValueError(f"its tokenizer has ids {low} to {high} and its model {self._bert.vocabulary} words")
            tokenizer_hash = sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
            both = sha256(f"{weights_hash(folder / WEIGHTS_FILE)} {tokenizer_hash}".encode()).hexdigest()
        except (OSError, ValueError, KeyError) as error:
            raise EmbedderError(f"the model in {folder} cannot be read: {error}") from None
        self._name = f"minilm:{both[:16]}"
        self._longest = min(LONGEST_TOKENS, self._bert.positions)

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimensions(self) -> int:
        return self._bert.dimensions

    @property
    def normalised(self) -> bool:
        return True

    @property
    def longest(self) -> int:
        """Tokens, the two marks included."""
        return self._longest

    def length(self, text: str) -> int:
        return len(self._tokenizer.ids(text))

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        import numpy as np

        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for number, text in enumerate(texts):
            vectors[number] = self._bert.vector(self._tokenizer.ids(text, self._longest))
            if progress:
                progress(1)
        return vectors


def require_numpy() -> None:
    """Raises EmbedderError where it is not installed."""
    try:
        with _one_thread():
            import numpy  # noqa: F401
    except ImportError as error:
        raise EmbedderError(f"MiniLM needs numpy ({error}): pip install 'crossover[retrieval]'") from None


_THREADS = "OPENBLAS_NUM_THREADS"


@contextmanager
def _one_thread() -> Iterator[None]:
    """numpy's matrix library reads its number of threads once, when it is loaded here.

    Products of one short text are too small to share: with two threads on a busy machine of two cores, 59 pages took
    11 s of CPU, waiting for each other, and 2.5 s with one. What the environment says already is left as it is.
    """
    if _THREADS in os.environ or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ[_THREADS] = "1"
    try:
        yield
    finally:
        del os.environ[_THREADS]
