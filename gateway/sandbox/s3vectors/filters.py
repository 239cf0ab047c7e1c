"""The metadata filter of QueryVectors: its grammar, its errors, and which metadata fits. Pure.

A filter is one condition: `{field: value}`, `{field: {operator: operand, ...}}`, `{"$and": [condition, ...]}` or `$or`.
An object with two fields side by side is refused, as AWS refuses it: join them with `$and`. A type that differs is no
error: it matches nothing. AWS says `Invalid filter` and nothing more; here the reason follows a colon.
Sources: S3 User Guide, "Metadata filtering"; what others measured and what is only believed: docs/sandbox-s3vectors.md.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.s3vectors.errors import VectorsError, invalid

MAX_ENHANCED_CONSTRAINTS = 100
"""Of one filter under ENHANCED behaviour; every value that is compared counts as one."""
MAX_CONSTRAINTS = 1_000
"""The sandbox's own bound, for CLASSIC; AWS names none."""
MAX_DEPTH = 16
"""How deep `$and` and `$or` may nest; the sandbox's own bound, AWS names none."""

Metadata = Mapping[str, Any]
Predicate = Callable[[Metadata], bool]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_LOGIC: dict[str, Callable[[Any], bool]] = {"$and": all, "$or": any}
OPERATORS = ("$eq", "$ne", *_COMPARISONS, "$in", "$nin", "$exists", "$startsWith")


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was understood. `constraints`: how many values it compares."""

    matches: Predicate
    constraints: int


def compile_filter(given: Any, non_filterable: Collection[str], *, enhanced: bool) -> Filter:
    """Raises VectorsError (ValidationException) with the place of what is wrong.

    `non_filterable`: keys that the index cannot filter by. `enhanced`: the query filters before it searches, so that
    `$startsWith` is known and at most 100 values may be compared."""
    compiler = _Compiler(frozenset(non_filterable), enhanced)
    matches = compiler.condition(given, "filter", 1)
    limit = MAX_ENHANCED_CONSTRAINTS if enhanced else MAX_CONSTRAINTS
    if compiler.constraints > limit:
        raise _wrong(f"it has {compiler.constraints} constraints, and at most {limit} are allowed", "filter")
    return Filter(matches, compiler.constraints)


class _Compiler:
    def __init__(self, non_filterable: frozenset[str], enhanced: bool) -> None:
        self.non_filterable = non_filterable
        self.enhanced = enhanced
        self.constraints = 0

    def condition(self, given: Any, path: str, depth: int) -> Predicate:
        if depth > MAX_DEPTH:
            raise _wrong(f"$and and $or nest more than {MAX_DEPTH} deep", path)
        if not isinstance(given, dict):
            raise _wrong(f"a condition must be an object, not {_named(given)}", path)
        if len(given) != 1:
            raise _wrong(
                "a condition must hold a field; it is empty"
                if not given
                else f"a condition holds exactly one field or one of $and, $or, and this has {len(given)}: join them "
                "with $and",
                path,
            )
        [(key, value)] = given.items()
        if key in _LOGIC:
            return self._logic(key, value, f"{path}.{key}", depth)
        if key.startswith("$"):
            raise _wrong(f"{key} is not an operator that can stand here: only $and and $or can", f"{path}.{key}")
        if key in self.non_filterable:
            raise _wrong(f"the key '{key}' is non-filterable in this index", f"{path}.{key}")
        return self._field(key, value, f"{path}.{key}")

    def _logic(self, name: str, value: Any, path: str, depth: int) -> Predicate:
        if not isinstance(value, list) or not value:
            raise _wrong(f"{name} takes a list of at least one condition, not {_named(value)}", path)
        parts = [self.condition(part, f"{path}[{index}]", depth + 1) for index, part in enumerate(value)]
        joined = _LOGIC[name]
        return lambda metadata: joined(part(metadata) for part in parts)

    def _field(self, key: str, value: Any, path: str) -> Predicate:
        if not isinstance(value, dict):
            value = {"$eq": value}
        if not value:
            raise _wrong(f"the operators of '{key}' are empty", path)
        tests = [self._operator(name, operand, f"{path}.{name}") for name, operand in value.items()]
        return lambda metadata: all(test(metadata.get(key)) for test in tests)

    def _operator(self, name: str, operand: Any, path: str) -> Callable[[Any], bool]:
        """A test of a key's value; None is a key that is not there."""
        if name not in OPERATORS:
            raise _wrong(f"{name} is not an operator: known are {', '.join(OPERATORS)}", path)
        self.constraints += len(operand) if name in ("$in", "$nin") and isinstance(operand, list) else 1
        if name in ("$eq", "$ne"):
            if not _primitive(operand):
                raise _wrong(f"{name} takes a string, a number or a boolean, not {_named(operand)}", path)
            return _equals_any([operand], negated=name == "$ne")
        if name in ("$in", "$nin"):
            if not isinstance(operand, list) or not operand or not all(map(_primitive, operand)):
                raise _wrong(f"{name} takes a list of at least one string, number or boolean", path)
            return _equals_any(operand, negated=name == "$nin")
        if name == "$exists":
            if not isinstance(operand, bool):
                raise _wrong(f"$exists takes true or false, not {_named(operand)}", path)
            return lambda value: (value is not None) is operand
        if name == "$startsWith":
            if not self.enhanced:
                raise _wrong("$startsWith needs queryMode ENHANCED, or an index in that mode", path)
            if not isinstance(operand, str):
                raise _wrong(f"$startsWith takes a string, not {_named(operand)}", path)
            return lambda value: any(isinstance(item, str) and item.startswith(operand) for item in _elements(value))
        if not _number(operand):
            raise _wrong(f"{name} takes a number, not {_named(operand)}", path)
        holds = _COMPARISONS[name]
        return lambda value: any(_number(item) and holds(item, operand) for item in _elements(value))


def _equals_any(operands: list[Any], *, negated: bool) -> Callable[[Any], bool]:
    # Tagged with what they are, because to Python True equals 1.
    wanted = {(isinstance(operand, bool), operand) for operand in operands}

    def test(value: Any) -> bool:
        return any((isinstance(item, bool), item) in wanted for item in _elements(value)) is not negated

    return test


def _elements(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _primitive(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _named(value: Any) -> str:
    names: dict[type, str] = {
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "null",
        list: "a list" if value else "an empty list",
        dict: "an object",
    }
    return names[type(value)]


def _wrong(reason: str, path: str) -> VectorsError:
    return invalid(f"Invalid filter: {reason} (at {path}).", "filter", f"{path}: {reason}")
