"""A batch of packed sequences as tensors on a device."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

NOT_LEARNED = -100


class PackedBatch(Protocol):
    """What `trainer.data.batches` gives: arrays of shape [sequences, tokens]."""

    @property
    def tokens(self) -> Any: ...
    @property
    def targets(self) -> Any: ...
    @property
    def positions(self) -> Any: ...
    @property
    def documents(self) -> Any: ...


class DeviceBatch(NamedTuple):
    """`B` sequences of `S` tokens. Everything that would make the device wait for the host is worked out here."""

    tokens: torch.Tensor  # int64 [B, S]
    positions: torch.Tensor  # int64 [B, S], from 0 in each document
    documents: torch.Tensor  # int64 [B, S], -1 is padding
    learned: torch.Tensor  # int64 [learned_tokens]: places in the flattened batch whose next token is learned
    targets: torch.Tensor  # int64 [learned_tokens]: those tokens
    boundaries: torch.Tensor  # int32 [documents + 1]: where documents begin in the flattened batch, and its length
    boundaries_host: tuple[int, ...]  # the same numbers, for attention on a CPU
    longest_document: int  # tokens; the padding behind the documents counts as one
    longest_real_document: int  # tokens
    one_document_each: bool  # each sequence is a single document without padding
    real_tokens: int
    learned_tokens: int


def to_device(batch: PackedBatch, device: torch.device) -> DeviceBatch:
    """Copy `batch` to `device` and index what the model needs. Padding counts as a document that nobody learns."""
    targets = np.asarray(batch.targets).reshape(-1)
    documents = np.asarray(batch.documents)
    rows, width = documents.shape
    starts = np.ones((rows, width), dtype=bool)
    starts[:, 1:] = documents[:, 1:] != documents[:, :-1]
    boundaries = np.append(np.flatnonzero(starts), rows * width).astype(np.int32)
    sizes = np.diff(boundaries)
    learned = np.flatnonzero(targets != NOT_LEARNED)

    def tensor(values: Any, dtype: Any) -> torch.Tensor:
        host = torch.from_numpy(np.ascontiguousarray(values, dtype=dtype))
        return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host

    return DeviceBatch(
        tokens=tensor(batch.tokens, np.int64),
        positions=tensor(batch.positions, np.int64),
        documents=tensor(documents, np.int64),
        learned=tensor(learned, np.int64),
        targets=tensor(targets[learned], np.int64),
        boundaries=tensor(boundaries, np.int32),
        boundaries_host=tuple(boundaries.tolist()),
        longest_document=int(sizes.max()),
        longest_real_document=int(sizes[documents.reshape(-1)[boundaries[:-1]] >= 0].max(initial=0)),
        one_document_each=len(boundaries) == rows + 1 and bool((documents >= 0).all()),
        real_tokens=int((documents >= 0).sum()),
        learned_tokens=len(learned),
    )
