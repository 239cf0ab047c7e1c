"""What if: a policy with some of its settings changed. `backends.box.cost.usd_per_month=100,200` or a name for several.

A value is written as in the policy file, or as a factor of what is there: `x0.5`, `x2`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import Any, TypeAlias

import yaml
from pydantic import SecretStr, ValidationError

from gateway.policy.schema import AmortizedSettings, Policy
from gateway.policy.walk import closest

MOST_VARIATIONS = 64
DEFAULTS = ("boxes=0,1,2", "import_price=x0.5,x2", "ceilings=x0.5,x2", "capacity=x0.5,x2")
Data: TypeAlias = dict[str, Any]


class VariationError(ValueError):
    """A variation that cannot be made of this policy: says what, and the mend."""


@dataclass(frozen=True, slots=True)
class Change:
    """One setting and one value of it, both as written: ('boxes', '2')."""

    setting: str
    value: str
    option: str = "--vary"
    """How it was asked for: errors name it."""

    def __str__(self) -> str:
        return f"{self.setting} {self.value}"


@dataclass(frozen=True, slots=True)
class Variation:
    """`changes` empty: the policy as it stands."""

    changes: tuple[Change, ...]
    policy: Policy

    @property
    def name(self) -> str:
        return ", ".join(map(str, self.changes)) or "today"


def variations(policy: Policy, written: Sequence[str], *, grid: bool = False) -> tuple[list[Variation], list[str]]:
    """The policy as it stands, then one variation for each value; with `grid` one for each combination of values.

    A default that the policy has nothing for is left out, and so is a value that is what the policy has: the second
    list says so. Raises VariationError for one that was asked for.
    """
    asked, notes = bool(written), []
    rows = [_written(text, "--vary") for text in written or DEFAULTS]
    combinations: Iterator[tuple[Change, ...]] = product(*rows) if grid else ((one,) for row in rows for one in row)
    made = [Variation((), policy)]
    for changes in combinations:
        try:
            varied = _varied(policy, changes)
        except VariationError as error:
            if asked:
                raise
            notes.append(f"left out: {error}")
            continue
        if any(varied == one.policy for one in made):
            continue
        made.append(Variation(changes, varied))
        if len(made) > MOST_VARIATIONS:
            raise VariationError(f"more than {MOST_VARIATIONS} variations: give fewer values, or leave --grid out")
    return made, notes


def changed(policy: Policy, written: Sequence[str]) -> Policy:
    """The policy with all these changes, each `setting=value`. Raises VariationError."""
    changes: list[Change] = []
    for text in written:
        found = _written(text, "--set")
        if len(found) > 1:
            raise VariationError(f"--set {text!r}: one value, please; `crossover plan --vary` compares several")
        changes += found
    return _varied(policy, changes) if changes else policy


def _written(text: str, option: str) -> list[Change]:
    setting, equals, values = text.partition("=")
    found = [value.strip() for value in values.split(",")]
    if not equals or not all(found):
        like = "its value, as in backends.box.cost.usd_per_month=100"
        if option == "--vary":
            like = "its values, as in backends.box.cost.usd_per_month=100,200"
        raise VariationError(f"{option} {text!r}: write a setting, = and {like}")
    return [Change(setting.strip(), value, option) for value in found]


def _varied(policy: Policy, changes: Sequence[Change]) -> Policy:
    data = _plain(policy.model_dump())
    for change in changes:
        NAMED.get(change.setting, _set)(data, change)
    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise VariationError(f"{', '.join(map(str, changes))}: {where}: {first['msg']}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


# -- any setting, by its path ------------------------------------------------------------------------------------------


def _set(data: Data, change: Change) -> None:
    path = change.setting.split(".")
    here: Any = data
    while path:
        if not isinstance(here, dict):
            raise VariationError(
                f"{change.option} {change.setting}: {path[0]!r} is below a setting that holds no others"
            )
        # A name may hold dots of its own (an alias `llama3.1`): the longest that fits.
        lengths = range(len(path), 0, -1)
        length = next((n for n in lengths if ".".join(path[:n]) in here), 0)
        name = ".".join(path[:length])
        if not length:
            meant = closest(path[0], here)
            hint = f"did you mean {meant}?" if meant else f"there are {', '.join(here)}; or one of {', '.join(NAMED)}"
            raise VariationError(f"{change.option} {change.setting}: no {path[0]!r} in the policy; {hint}")
        path = path[length:]
        if not path:
            here[name] = _value(change, here.get(name))
        else:
            here = here[name]


def _value(change: Change, present: Any) -> Any:
    if (factor := _factor(change)) is None:
        return yaml.safe_load(change.value)
    if present is None or isinstance(present, bool | str | dict | list):
        raise VariationError(f"{change.option} {change.setting}={change.value}: there is no number there to multiply")
    scaled = Decimal(str(present)) * factor
    return int(scaled) if isinstance(present, int) and scaled == int(scaled) else scaled


def _factor(change: Change) -> Decimal | None:
    if not change.value.startswith("x"):
        return None
    try:
        factor = Decimal(change.value[1:])
    except InvalidOperation:
        return None
    if not factor.is_finite() or factor <= 0:
        raise VariationError(f"{change.option} {change.setting}={change.value}: a factor must be above 0")
    return factor


def _must_be_factor(change: Change) -> Decimal:
    factor = _factor(change)
    if factor is None:
        raise VariationError(f"{change.option} {change.setting}={change.value}: write a factor, for example x2")
    return factor


# -- names for several settings at once --------------------------------------------------------------------------------


def _boxes(data: Data, change: Change) -> None:
    """So many boxes like the first one, each a backend of its own."""
    if not change.value.isdecimal() or int(change.value) > 16:
        raise VariationError(f"--vary boxes={change.value}: write a whole number of boxes, 0 to 16")
    serving = {one["backend"] for alias in data["aliases"].values() for one in alias["served_by"]}
    owned = [name for name, one in data["backends"].items() if name in serving and _kind(one) == "amortized"]
    if not owned:
        raise VariationError("boxes: no alias of the policy is served by an owned box (`cost: kind: amortized`)")
    first, wanted = owned[0], int(change.value)
    if wanted == 0:
        data["backends"] = {name: one for name, one in data["backends"].items() if name not in owned}
        for name, alias in data["aliases"].items():
            alias["served_by"] = [one for one in alias["served_by"] if one["backend"] not in owned]
            if not alias["served_by"]:
                raise VariationError(f"boxes 0: nobody else serves the alias {name}")
        return
    more = [f"{first}-{number}" for number in range(len(owned) + 1, wanted + 1)]
    fewer = owned[wanted:]
    backends: Data = {}
    for name, one in data["backends"].items():
        if name not in fewer:
            backends[name] = one
        if name == first:
            backends.update({extra: deepcopy(one) for extra in more})
    data["backends"] = backends
    for alias in data["aliases"].values():
        served = []
        for one in alias["served_by"]:
            served += [one] if one["backend"] not in fewer else []
            served += [{**one, "backend": extra} for extra in more] if one["backend"] == first else []
        alias["served_by"] = served


def _capacity(data: Data, change: Change) -> None:
    """All speeds of every owned box, at the same number of streams."""
    factor, found = _must_be_factor(change), False
    for one in data["backends"].values():
        if _kind(one) == "amortized":
            found = True
            speed = one["speed"]
            for name in ("single_stream_tokens_per_second", "max_tokens_per_second", "prompt_tokens_per_second"):
                if speed.get(name) is not None:
                    speed[name] = Decimal(str(speed[name])) * factor
    if not found:
        raise VariationError("capacity: the policy has no owned box")


def _ceilings(data: Data, change: Change) -> None:
    """Every alias's ceiling; that of relaxed requests stays."""
    factor, found = _must_be_factor(change), False
    for alias in data.get("aliases", {}).values():
        for name, limit in (alias.get("ceiling") or {}).items():
            if limit is not None:
                found = True
                alias["ceiling"] = {**alias["ceiling"], name: Decimal(str(limit)) * factor}
    if not found:
        raise VariationError("ceilings: no alias of the policy has one")


def _import_price(data: Data, change: Change) -> None:
    """The rate of every imported model."""
    factor, found = _must_be_factor(change), False
    for one in data["backends"].values():
        if _kind(one) == "window":
            found = True
            one["cost"]["usd_per_unit_minute"] *= factor
    if not found:
        raise VariationError("import_price: the policy has no imported model (a backend with `cost: kind: window`)")


def _kind(backend: Data) -> str | None:
    """The cost kind of a backend."""
    cost = backend.get("cost") or {}
    kind: str | None = cost.get("kind")
    return kind


NAMED: dict[str, Callable[[Data, Change], None]] = {
    "boxes": _boxes,
    "capacity": _capacity,
    "ceilings": _ceilings,
    "import_price": _import_price,
}
"""What stands for several settings: how many boxes, how fast they are, every ceiling, the price of imported models."""


def box_count(policy: Policy) -> int:
    """Owned boxes that serve an alias."""
    serving = {target.backend for alias in policy.aliases.values() for target in alias.served_by}
    return sum(name in serving and isinstance(one.cost, AmortizedSettings) for name, one in policy.backends.items())
