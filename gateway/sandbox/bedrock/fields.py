"""Reading fields of a request body: each returns the value, or refuses it by name."""

from __future__ import annotations

from typing import Any

from gateway.sandbox.bedrock.errors import invalid


def text_of(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise invalid(f"{key} must be a string that is not empty.")
    return value


def number(body: dict[str, Any], key: str, low: float, high: float) -> float | None:
    """A number in `low..high`; None when it is absent."""
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(f"Malformed input request: #/{key}: expected type: Number, found: {type(value).__name__}.")
    if not low <= value <= high:
        raise invalid(f"Malformed input request: #/{key}: {value} is not between {low} and {high}.")
    return float(value)


def integer(body: dict[str, Any], key: str, low: int, high: int) -> int | None:
    """A whole number in `low..high`; None when it is absent."""
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(f"Malformed input request: #/{key}: expected type: Integer, found: {type(value).__name__}.")
    if not low <= value <= high:
        raise invalid(f"Malformed input request: #/{key}: {value} is not between {low} and {high}.")
    return value


def stop_list(body: dict[str, Any], key: str = "stop") -> tuple[str, ...]:
    value = body.get(key) or ()
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
        raise invalid(f"{key} must be a string or a list of strings that are not empty.")
    return tuple(value)
