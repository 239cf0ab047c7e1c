"""The policy: one YAML file that says what there is, what it costs and what applications may ask for.

Its names are imported when they are first asked for: a command that reads no policy loads neither YAML nor pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.policy.load import load_policy, parse_policy
    from gateway.policy.problem import PolicyError, Problem
    from gateway.policy.schema import Policy

__all__ = ["Policy", "PolicyError", "Problem", "load_policy", "parse_policy"]

_HOMES = {"Policy": "schema", "PolicyError": "problem", "Problem": "problem"} | dict.fromkeys(
    ("load_policy", "parse_policy"), "load"
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
