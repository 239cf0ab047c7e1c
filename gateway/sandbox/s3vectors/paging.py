"""Page tokens: opaque to the caller, and good only for the list that gave them."""

from __future__ import annotations

import base64
import json
from typing import Any, TypeVar

from gateway.sandbox.s3vectors.errors import invalid

Position = TypeVar("Position", str, int)


def encode(position: str | int, *of: Any) -> str:
    """A token for what follows `position` in the list that `of` describes."""
    return base64.urlsafe_b64encode(json.dumps([position, *of]).encode()).decode()


def decode(token: str, kind: type[Position], *of: Any) -> Position:
    """The position, of this kind. VectorsError (ValidationException) for a token of another list, or of none."""
    try:
        position, *given = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError):
        given, position = [None], None
    if given != list(of) or type(position) is not kind:
        raise invalid("Invalid nextToken: it is not of this list", "nextToken")
    return position
