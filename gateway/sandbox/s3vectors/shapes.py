"""Requests held against botocore's own model of the service: the ranges, names and types that the installed SDK knows.

Texts follow what AWS answers ("1 validation error detected. Value at '/dimension' failed to satisfy constraint: Member
must be between 1 and 4096, inclusive"); every violation of a request is told at once, and listed in `fieldList`.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Literal

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

from gateway.sandbox.s3vectors.errors import VectorsError

SERVICE: Literal["s3vectors"] = "s3vectors"
_FLOAT_NAMES = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool,), "integer": (int,), "long": (int,)}
_WORDS = {"string": "String", "boolean": "Boolean", "integer": "Integer", "long": "Long", "float": "Float"}


@functools.cache
def service_model() -> Any:
    """The newest model of the service that the installed botocore carries."""
    return ServiceModel(Loader().load_service_model(SERVICE, "service-2"), SERVICE)


def checked(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """The request with its floats read. VectorsError: SerializationException for a wrong type, ValidationException."""
    shape = service_model().operation_model(operation).input_shape
    found: list[tuple[str, str]] = []
    request = _structure(shape, request, "", found)
    if found:
        count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected. "
        raise VectorsError("ValidationException", count + "; ".join(text for _, text in found), found)
    return request


def _check(shape: Shape, value: Any, path: str, found: list[tuple[str, str]]) -> Any:
    if shape.type_name == "structure":
        if shape.metadata.get("document"):
            require_unicode(value, path)
            return value
        if not isinstance(value, dict):
            raise _unreadable(path, "Object", value)
        return _structure(shape, value, path, found)
    if shape.type_name == "list":
        return _list(shape, value, path, found)
    if shape.type_name == "map":
        if not isinstance(value, dict):
            raise _unreadable(path, "Object", value)
        for key, entry in value.items():
            _check(shape.key, key, f"{path}/{key}", found)
            _check(shape.value, entry, f"{path}/{key}", found)
        return value
    if shape.type_name == "float":
        return _floats([value], path)[0]
    kinds = _TYPES[shape.type_name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise _unreadable(path, _WORDS[shape.type_name], value)
    _scalar(shape, value, path, found)
    return value


def _structure(shape: Shape, value: dict[str, Any], path: str, found: list[tuple[str, str]]) -> dict[str, Any]:
    # Unknown members are ignored and null is absence, as restJson1 has it.
    read = {}
    for name, member in shape.members.items():
        if value.get(name) is not None:
            read[name] = _check(member, value[name], f"{path}/{name}", found)
        elif name in shape.required_members:
            found.append((f"{path}/{name}", _fails(f"{path}/{name}", "Member must not be null")))
    if shape.metadata.get("union") and len(read) != 1:
        found.append((path, _fails(path, f"Exactly one member must be set of {', '.join(shape.members)}")))
    return read


def _list(shape: Shape, value: Any, path: str, found: list[tuple[str, str]]) -> Any:
    if not isinstance(value, list):
        raise _unreadable(path, "List", value)
    _length(shape, len(value), path, found)
    if len(value) > shape.metadata.get("max", len(value)):
        return value  # too long already: its members are not looked at
    if shape.member.type_name == "float":
        return _floats(value, path)
    return [_check(shape.member, entry, f"{path}/{index}", found) for index, entry in enumerate(value)]


def _floats(values: list[Any], path: str) -> list[float]:
    kinds = set(map(type, values))
    if kinds <= {int, float}:
        return values
    if not kinds <= {int, float, str}:
        raise _unreadable(path, "Float", next(v for v in values if type(v) not in (int, float, str)))
    try:
        return [_FLOAT_NAMES[v] if isinstance(v, str) else v for v in values]
    except KeyError as error:
        raise _unreadable(path, "Float", error.args[0]) from None


def _scalar(shape: Shape, value: Any, path: str, found: list[tuple[str, str]]) -> None:
    limits = shape.metadata
    if isinstance(value, str):
        require_unicode(value, path)
        _length(shape, len(value), path, found)
        if "enum" in limits and value not in limits["enum"]:
            found.append((path, _fails(path, f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]")))
        pattern = _pattern(limits["pattern"]) if "pattern" in limits else None
        if pattern is not None and pattern.fullmatch(value) is None:
            found.append((path, _fails(path, f"Member must satisfy regular expression pattern: {limits['pattern']}")))
        return
    low, high = limits.get("min"), limits.get("max")
    if high is not None and not low <= value <= high:
        found.append((path, _fails(path, f"Member must be between {low} and {high}, inclusive")))
    elif high is None and low is not None and value < low:
        found.append((path, _fails(path, f"Member must be greater than or equal to {low}")))


def _length(shape: Shape, length: int, path: str, found: list[tuple[str, str]]) -> None:
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max")
    if high is not None and not low <= length <= high:
        found.append(
            (
                path,
                _fails(path, f"Member must have length between {low} and {high}, inclusive", f" with length {length}"),
            )
        )


@functools.cache
def _pattern(pattern: str) -> re.Pattern[str] | None:
    """None for a pattern in Java's dialect (`\\p{L}`), which tags have: their characters are not looked at."""
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _fails(path: str, constraint: str, length: str = "") -> str:
    return f"Value{length} at '{path}' failed to satisfy constraint: {constraint}"


def require_unicode(value: Any, path: str) -> None:
    """VectorsError (SerializationException) for half of a surrogate pair, or a number that JSON does not have."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise VectorsError(
                "SerializationException", f"{path} holds half of a surrogate pair at character {error.start}."
            ) from None
    elif isinstance(value, dict):
        for key, entry in value.items():
            require_unicode(key, path)
            require_unicode(entry, path)
    elif isinstance(value, list):
        for entry in value:
            require_unicode(entry, path)
    elif isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise VectorsError("SerializationException", f"{path} holds {value}, which is no JSON number.")


def _unreadable(path: str, wanted: str, value: Any) -> VectorsError:
    return VectorsError(
        "SerializationException", f"{path or 'the body'}: {wanted} expected, got {type(value).__name__}."
    )
