"""A small corpus on disk, and the same as chunks."""

from __future__ import annotations

from pathlib import Path

from trainer.retrieval.chunk import Chunk, Label

CHUNKS = [
    Chunk(
        "leave-01", "A parent may take twenty weeks of leave after a birth.", {"department": "people", "edition": 2025}
    ),
    Chunk("travel-01", "Dinner on the road is paid up to 31 euros.", {"department": "travel", "edition": 2026}),
    Chunk(
        "travel-02",
        "A night train is booked in a cabin of one's own.",
        {"department": "travel", "edition": 2024, "audience": ["staff", "drivers"], "public": True},
    ),
    Chunk("yard-01", "The gate of the yard is locked at nine in the evening.", {"department": "yard", "edition": 2026}),
]


def write_pages(folder: Path, chunks: list[Chunk] = CHUNKS) -> Path:
    """One file for each chunk."""
    folder.mkdir(parents=True, exist_ok=True)
    for chunk in chunks:
        labels = "".join(f"{key}: {_yaml(value)}\n" for key, value in chunk.labels.items())
        (folder / f"{chunk.id}.md").write_text(f"---\nid: {chunk.id}\n{labels}---\n{chunk.text}\n")
    return folder


def _yaml(value: Label) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
