"""The adapter's factors: fp32 masters for the optimizer, and fused copies for the products.

For a projection y = W x the adapter adds (alpha / rank) B A x. Projections that read the same input share one product:
their A's stand under each other (`down`), their B's on the diagonal of one matrix that is otherwise 0 (`up`), with the
scale multiplied in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from trainer.model.errors import ModelError
from trainer.model.shape import GROUPS, ModelShape, Projection
from trainer.settings.schema import LoraSettings


class Group(NamedTuple):
    """The fused factors of one group of projections in one block."""

    down: torch.Tensor  # [k, inputs]: k is the number of projections times the padded rank
    up: torch.Tensor  # [outputs, k]


class Place(NamedTuple):
    """Where one projection's factors are."""

    name: str  # model.layers.0.self_attn.q_proj
    block: int
    group: int
    down_rows: slice  # of Group.down
    up_rows: slice  # of Group.up
    up_columns: slice


class Factors:
    """All factors of an adapter."""

    def __init__(
        self,
        shape: ModelShape,
        lora: LoraSettings,
        *,
        device: torch.device,
        dtype: torch.dtype,
        padded_rank: int,
        generator: torch.Generator | None = None,
    ) -> None:
        """First weights as peft's: A uniform in ±1/sqrt(inputs), from `generator` (on the CPU); B zero.

        padded_rank: at least the rank; the rest is zeros that nothing trains (kernels want multiples of 16).
        """
        self.rank, self._scale = lora.rank, lora.alpha / lora.rank
        named = {projection.name: projection for projection in shape.projections}
        adapted = {projection.name for projection in shape.targeted(lora)}
        self.places: list[Place] = []
        self.masters: list[torch.nn.Parameter] = []  # A and B of each place, in turn
        self.blocks: list[list[Group]] = []
        for block in range(shape.layers):
            groups = []
            for index, names in enumerate(GROUPS):
                parts = [named[name] for name in names]
                groups.append(_empty(parts, padded_rank, device, dtype))
                row = 0
                for order, part in enumerate(parts):
                    if part.name in adapted:
                        first = order * padded_rank
                        columns = slice(first, first + lora.rank)
                        rows = slice(row, row + part.outputs)
                        name = f"model.layers.{block}.{part.path}"
                        self.places.append(Place(name, block, index, columns, rows, columns))
                        bound = part.inputs**-0.5
                        a = torch.empty(lora.rank, part.inputs).uniform_(-bound, bound, generator=generator)
                        self.masters.append(torch.nn.Parameter(a.to(device)))
                        self.masters.append(torch.nn.Parameter(torch.zeros(part.outputs, lora.rank, device=device)))
                    row += part.outputs
            self.blocks.append(groups)
        self._views = [view for place in self.places for view in self._views_of(place)]

    def refresh(self) -> None:
        """Bring the fused copies up to date with the masters. To be called after every optimizer step."""
        with torch.no_grad():
            # In two calls: where all arrays of a call are contiguous it is one launch.
            torch._foreach_copy_(self._views[0::2], self.masters[0::2])
            torch._foreach_copy_(self._views[1::2], torch._foreach_mul(self.masters[1::2], self._scale))

    def gradients(self, blocks: Sequence[Sequence[Group]]) -> list[torch.Tensor]:
        """Gradients of the fused copies -> of the masters, fp32, in their order."""
        given = []
        for place in self.places:
            group = blocks[place.block][place.group]
            given += [group.down[place.down_rows], group.up[place.up_rows, place.up_columns]]
        found = [torch.empty(part.shape, dtype=torch.float32, device=part.device) for part in given]
        torch._foreach_copy_(found[0::2], given[0::2])
        torch._foreach_copy_(found[1::2], given[1::2])
        torch._foreach_mul_(found[1::2], self._scale)
        return found

    def state(self) -> dict[str, torch.Tensor]:
        """On the CPU, under peft's names."""
        names = [f"base_model.model.{place.name}.lora_{side}.weight" for place in self.places for side in "AB"]
        copies = (master.detach().to("cpu", copy=True).contiguous() for master in self.masters)
        return dict(sorted(zip(names, copies, strict=True)))

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """The reverse of `state`. Raises `ModelError` where names or shapes differ."""
        wanted = self.state()
        if wanted.keys() != state.keys():
            odd = sorted(wanted.keys() ^ state.keys())
            raise ModelError(f"the saved factors are not this adapter's: {len(odd)} names differ ({odd[0]}, …)")
        for place, index in zip(self.places, range(0, len(self.masters), 2), strict=True):
            for side, master in zip("AB", self.masters[index : index + 2], strict=True):
                given = state[f"base_model.model.{place.name}.lora_{side}.weight"]
                if given.shape != master.shape:
                    raise ModelError(
                        f"{place.name}: the saved factor {side} is {tuple(given.shape)}, this adapter's is "
                        f"{tuple(master.shape)}: it was trained with another rank or base"
                    )
                with torch.no_grad():
                    master.copy_(given)

    def _views_of(self, place: Place) -> tuple[torch.Tensor, torch.Tensor]:
        group = self.blocks[place.block][place.group]
        return group.down[place.down_rows], group.up[place.up_rows, place.up_columns]


def _empty(parts: Sequence[Projection], padded_rank: int, device: torch.device, dtype: torch.dtype) -> Group:
    width, outputs = padded_rank * len(parts), sum(part.outputs for part in parts)
    return Group(
        torch.zeros(width, parts[0].inputs, device=device, dtype=dtype),
        torch.zeros(outputs, width, device=device, dtype=dtype),
    )
