"""What metadata a vector may carry, and how its size is counted.

The size is that of the compact JSON in UTF-8 plus 5 bytes: measured at both limits by others against the service, see
docs/sandbox-s3vectors.md. The texts are the service's.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

MAX_KEYS = 50
MAX_BYTES = 40_960
MAX_FILTERABLE_BYTES = 2_048
OVERHEAD_BYTES = 5


def size_bytes(metadata: dict[str, Any]) -> int:
    """As the limits count it."""
    return len(json.dumps(metadata, separators=(",", ":"), ensure_ascii=False).encode()) + OVERHEAD_BYTES


def fault_of(metadata: Any, non_filterable: Collection[str]) -> str | None:
    """Why the service would not store this, or None."""
    if not isinstance(metadata, dict):
        return "Metadata must be a JSON object"
    for value in metadata.values():
        fault = _value_fault(value)
        if fault is not None:
            return fault
    if len(metadata) > MAX_KEYS:
        return f"Metadata object must have at most {MAX_KEYS} keys"
    if size_bytes(metadata) > MAX_BYTES:
        return f"Metadata object must have at most {MAX_BYTES} bytes"
    filterable = {key: value for key, value in metadata.items() if key not in non_filterable}
    if size_bytes(filterable) > MAX_FILTERABLE_BYTES:
        return f"Filterable metadata must have at most {MAX_FILTERABLE_BYTES} bytes"
    return None


def _value_fault(value: Any) -> str | None:
    if isinstance(value, str | bool | int | float):
        return None
    if not isinstance(value, list):
        return "Metadata values must be strings, numbers, booleans, or arrays"
    if not value:
        return "Empty arrays are not allowed in metadata"
    strings = sum(isinstance(item, str) for item in value)
    numbers = sum(isinstance(item, int | float) and not isinstance(item, bool) for item in value)
    if len(value) not in (strings, numbers):
        return "Metadata array values must be strings or numbers"
    return None
