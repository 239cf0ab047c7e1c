"""What turns texts into vectors. The two that ship: MiniLM on this machine, and Titan on Amazon Bedrock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from trainer.retrieval.bm25 import words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Progress = Callable[[int], None]
"""Called with the number of texts embedded since the last call."""

LONGEST_WITHOUT_EMBEDDER = 200
"""Words of a chunk where nothing embeds it: about what MiniLM reads."""


class EmbedderError(RuntimeError):
    """Texts cannot be embedded: weights are missing or broken, or the service refused; the message says the mend."""


class Embedder(Protocol):
    """`name` holds whatever decides its vectors: two embedders of one name give the same vectors."""

    @property
    def name(self) -> str: ...
    @property
    def dimensions(self) -> int: ...
    @property
    def normalised(self) -> bool:
        """Does every vector have the length 1?"""
        ...

    @property
    def longest(self) -> int:
        """The most that it reads of a text, in units of `length`."""
        ...

    def length(self, text: str) -> int: ...

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        """Vectors of shape [texts, dimensions], in the order of the texts. Raises EmbedderError."""
        ...


def length_in_words(text: str) -> int:
    return len(words(text))
