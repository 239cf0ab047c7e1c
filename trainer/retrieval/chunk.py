"""A piece of the corpus, and what a store answers with. Plain values: nothing here needs numpy or a network."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

Label = str | int | float | bool | list[str | int | float]
"""What a label may be, here and in S3 Vectors: text, a number, true or false, a list of texts or one of numbers."""


class Chunk(msgspec.Struct, frozen=True):
    """A page, or a part of a page that is too long for its embedder."""

    id: str
    """The page's own id; the second part of a page is `page-id#2`."""
    text: str
    labels: dict[str, Label]


class Hit(msgspec.Struct, frozen=True):
    """A chunk that answers a query. `score`: higher is nearer; it compares hits of one query and of one store only."""

    id: str
    text: str
    score: float
    labels: dict[str, Label]


def page_of(chunk_id: str) -> str:
    """The id of the page that a chunk is a part of: `travel-03#2` is of `travel-03`."""
    return chunk_id.partition("#")[0]


def labels_as_text(labels: Mapping[str, Label]) -> dict[str, str]:
    """Labels for people and for files: `true`, `2026`, `staff, drivers`."""
    return {key: _text(value) for key, value in labels.items()}


def _text(value: Label) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(_text(element) for element in value)
    return str(value)
