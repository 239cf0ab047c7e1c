"""The settings classes laid over raw data: which class describes the mapping at a path, and which keys it knows."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr

from gateway.policy.base import Settings
from gateway.policy.problem import PathInPolicy


@dataclass(frozen=True, slots=True)
class Described:
    """A mapping of the file and the class that describes it; `given` has misspelt keys under their likely names."""

    path: PathInPolicy
    settings: type[Settings]
    given: dict[str, Any]


def described(annotation: Any, value: Any, path: PathInPolicy = ()) -> Iterator[Described]:
    """Every mapping under `value` that a settings class describes, from the outside in."""
    kind = _resolve(annotation, value)
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, Settings) and isinstance(value, dict):
        given = {closest(key, kind.model_fields) or key: item for key, item in value.items()}
        given |= {key: item for key, item in value.items() if key in kind.model_fields}
        yield Described(path, kind, given)
        for key, item in value.items():
            name = closest(key, kind.model_fields)
            if name is not None:
                yield from described(kind.model_fields[name].annotation, item, (*path, key))
    elif origin is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from described(get_args(kind)[1], item, (*path, key))
    elif origin is tuple and isinstance(value, list):
        for index, item in enumerate(value):
            yield from described(get_args(kind)[0], item, (*path, index))


def holds_secret(settings: type[Settings], name: str) -> bool:
    """Whether the setting is a secret, or a place where someone may have pasted one."""
    field = settings.model_fields.get(name)
    return field is None or SecretStr in _parts(field.annotation) or name in ("sha256", "env")


def closest(word: str, known: Iterable[str]) -> str | None:
    """`word` itself if it is known, else the one that was probably meant."""
    known = list(known)
    if word in known:
        return word
    matches = difflib.get_close_matches(word.lower().replace("-", "_"), known, n=1, cutoff=0.7)
    return matches[0] if matches else None


def _parts(annotation: Any) -> tuple[Any, ...]:
    annotation = _bare(annotation)
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _resolve(annotation: Any, value: Any) -> Any:
    """The one type of a union that `value` is meant to be: by its `kind` where the union is one of cost kinds."""
    candidates: list[Any] = []
    for part in _parts(annotation):
        candidates += [_bare(inner) for inner in _parts(part)]
    candidates = [candidate for candidate in candidates if candidate is not type(None)]
    if len(candidates) == 1:
        return candidates[0]
    kind = value.get("kind") if isinstance(value, dict) else None
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, Settings) and "kind" in candidate.model_fields:
            literal = _bare(candidate.model_fields["kind"].annotation)
            if get_origin(literal) is Literal and kind in get_args(literal):
                return candidate
    return None
