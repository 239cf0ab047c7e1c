"""What an attempt used: tokens in and out, and how surely that is known."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Certainty: TypeAlias = Literal["exact", "estimated", "missing"]


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one attempt: `exact` came from the backend, `estimated` was counted here, `missing` is not known.

    An explicit 0 from the backend is exact; `missing` has no numbers, and is never read as 0 in a price per token.
    """

    input_tokens: int
    output_tokens: int
    certainty: Certainty


MISSING = Usage(0, 0, "missing")
