"""What tells one base model from another: its files by what they hold, the weights by samples. No torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from trainer.registry.durable import sha256_of_file

_WHOLE = (
    "config.json", "tokenizer*", "chat_template*", "generation_config*", "vocab*", "merges.txt", "added_tokens.json",
    "special_tokens_map.json",
)  # fmt: skip
"""Small files that decide how a row is rendered and what the model computes: hashed whole."""
BLOCK_BYTES = 64 * 1024
BLOCKS = 16
"""Of each file of weights: hashing 16 GB whole would take longer than many a run."""
_MOST_HEADER_BYTES = 100_000_000
"""The format's own limit for a header."""


def base_identity(folder: Path) -> dict[str, str]:
    """Each file of the model with a hash of what it holds. Raises OSError.

    Of weights: their size, the header (names, shapes, dtypes, places) and BLOCKS blocks spread over the file, so that
    other weights of the same shapes are told apart; a change of a few numbers between the blocks is not.
    """
    small = {file for pattern in _WHOLE for file in folder.glob(pattern) if file.is_file()}
    found = {file.name: sha256_of_file(file) for file in small}
    found |= {file.name: _sampled(file) for file in folder.glob("*.safetensors")}
    return dict(sorted(found.items()))


def _sampled(path: Path) -> str:
    size = path.stat().st_size
    if size <= BLOCKS * BLOCK_BYTES:
        return sha256_of_file(path)
    digest = hashlib.sha256(f"{size}:".encode())
    with path.open("rb") as file:
        head = file.read(8)
        digest.update(head + file.read(min(int.from_bytes(head, "little"), _MOST_HEADER_BYTES)))
        first = file.tell()
        for index in range(BLOCKS):
            file.seek(first + max(0, size - first - BLOCK_BYTES) * index // (BLOCKS - 1))
            digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()
