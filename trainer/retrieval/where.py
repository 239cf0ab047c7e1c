"""Filters over labels, in the grammar of Amazon S3 Vectors, and whether a chunk's labels fit one.

    {"department": "travel"}                                equal, or an element of a list that is equal
    {"edition": {"$gte": 2024, "$lt": 2026}}                every operator of a label must hold
    {"$or": [{"audience": {"$in": ["staff", "drivers"]}}, {"public": {"$exists": false}}]}

Source: Amazon S3 User Guide, "Metadata filtering" of S3 Vectors. It does not say what `$ne` and `$nin` do where the
label is missing, or a list; here they are the opposites of `$eq` and `$in`, as in MongoDB's language, which it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.retrieval.chunk import Label

Where = Mapping[str, Any]

MOST_VALUES = 100
"""Compared in one filter, as S3 Vectors counts them: each value of a list is one."""
MOST_DEPTH = 10

_NUMBER_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "$gt": lambda has, wanted: has > wanted,
    "$gte": lambda has, wanted: has >= wanted,
    "$lt": lambda has, wanted: has < wanted,
    "$lte": lambda has, wanted: has <= wanted,
}
OPERATORS = ("$eq", "$ne", *_NUMBER_OPERATORS, "$in", "$nin", "$exists")
_JOINS = ("$and", "$or")


class WhereError(ValueError):
    """A filter that cannot be evaluated; the message names the place in it and what may stand there."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one label."""

    label: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Group:
    """`$and`: all parts hold. `$or`: at least one."""

    join: str
    parts: tuple[Condition | Group, ...]


Clause = Condition | Group


def parse_where(where: Where, filterable: Iterable[str] | None = None) -> Clause:
    """The filter as a tree. `filterable`: the labels that there are; None: any name will do. Raises WhereError."""
    known = None if filterable is None else frozenset(filterable)
    clause = _clause(where, "where", known, 1)
    values = _values(clause)
    if values > MOST_VALUES:
        raise WhereError(f"where compares {values} values: give at most {MOST_VALUES}")
    return clause


def matches(clause: Clause, labels: Mapping[str, Label]) -> bool:
    """Do these labels fit? The whole chunk is meant: there is no score, and no nearly."""
    if isinstance(clause, Group):
        results = (matches(part, labels) for part in clause.parts)
        return all(results) if clause.join == "$and" else any(results)
    has, operator, wanted = labels.get(clause.label), clause.operator, clause.value
    if operator == "$exists":
        return (has is not None) is wanted
    elements: Sequence[Label] = has if isinstance(has, list) else [] if has is None else [has]
    if operator in ("$eq", "$in"):
        return _any_equal(elements, wanted if operator == "$in" else [wanted])
    if operator in ("$ne", "$nin"):
        return not _any_equal(elements, wanted if operator == "$nin" else [wanted])
    compare = _NUMBER_OPERATORS[operator]
    return any(compare(element, wanted) for element in elements if _is_number(element))  # type: ignore[arg-type]


def as_filter(clause: Clause) -> dict[str, Any]:
    """The same filter in its most explicit form, one operator a condition: what is sent to S3 Vectors."""
    if isinstance(clause, Group):
        return {clause.join: [as_filter(part) for part in clause.parts]}
    return {clause.label: {clause.operator: clause.value}}


def _clause(where: Any, place: str, known: frozenset[str] | None, depth: int) -> Clause:
    if depth > MOST_DEPTH:
        raise WhereError(f"{place} nests more than {MOST_DEPTH} deep")
    if not isinstance(where, Mapping) or not where:
        raise WhereError(f'{place} is {_kind(where)}: give labels and values, like {{"department": "travel"}}')
    parts: list[Clause] = []
    for key, value in where.items():
        here = f"{place}.{key}"
        if key in _JOINS:
            if not isinstance(value, list) or not value:
                raise WhereError(f"{here} is {_kind(value)}: give a list of at least one filter")
            inner = tuple(_clause(each, f"{here}[{n}]", known, depth + 1) for n, each in enumerate(value))
            parts.append(Group(key, inner))
        elif not isinstance(key, str) or key.startswith("$"):
            raise WhereError(f"{here} is no operator that can stand here: {', '.join(_JOINS)}, or a label's name")
        else:
            if known is not None and key not in known:
                raise WhereError(f"{here}: no chunk of the index has this label; it has {_listed(known)}")
            parts += _conditions(key, value, here)
    return parts[0] if len(parts) == 1 else Group("$and", tuple(parts))


def _conditions(label: str, value: Any, place: str) -> list[Condition]:
    if not isinstance(value, Mapping):
        value = {"$eq": value}
    if not value:
        raise WhereError(f"{place} is an empty object: give a value, or an operator: {', '.join(OPERATORS)}")
    found = []
    for operator, wanted in value.items():
        here = f"{place}.{operator}"
        if operator in ("$eq", "$ne"):
            right, may_be = _is_value(wanted), "text, a number, true or false"
        elif operator in _NUMBER_OPERATORS:
            right, may_be = _is_number(wanted), "a number"
        elif operator in ("$in", "$nin"):
            right = isinstance(wanted, list) and bool(wanted) and all(map(_is_value, wanted))
            may_be = "a list of at least one text, number, true or false"
        elif operator == "$exists":
            right, may_be = isinstance(wanted, bool), "true or false"
        else:
            raise WhereError(f"{here} is no operator: the operators are {', '.join(OPERATORS)}")
        if not right:
            raise WhereError(f"{here} is {_kind(wanted)}: give {may_be}")
        found.append(Condition(label, operator, wanted))
    return found


def _any_equal(elements: Sequence[Label], wanted: Sequence[Any]) -> bool:
    return any(_equal(element, value) for element in elements for value in wanted)


def _equal(has: Any, wanted: Any) -> bool:
    if isinstance(has, bool) or isinstance(wanted, bool):  # to Python, True equals 1
        return has is wanted
    return bool(has == wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) != _INFINITE


_INFINITE = float("inf")


def _is_value(value: Any) -> bool:
    return isinstance(value, str | bool) or _is_number(value)


def _values(clause: Clause) -> int:
    if isinstance(clause, Group):
        return sum(map(_values, clause.parts))
    return len(clause.value) if isinstance(clause.value, list) else 1


def _listed(known: frozenset[str]) -> str:
    return ", ".join(sorted(known)[:20]) + (", ..." if len(known) > 20 else "") if known else "none"


def _kind(value: Any) -> str:
    if isinstance(value, Mapping | list) and not value:
        return "empty"
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "text", type(None): "null"}
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return kinds.get(type(value), type(value).__name__)
