"""How long an answer will be: by alias and by caller, from what was seen.

A caller's mean is shrunk towards its alias's, and that towards a default: few answers say little. Output length is
known only at the end, and a better guess of it is worth little (a few percent of the bill), so this is all there is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from gateway.routing.predict import DEFAULT_OUTPUT_TOKENS

ALIAS_WEIGHT = 0.002
"""Of one answer in the alias's mean, once there are many: it reaches back about 500. (50 was noisy enough to change
decisions.)"""
MOST_COUNT = 1.0 / ALIAS_WEIGHT
ALIAS_SEED = 10.0
"""The default counts as so many answers."""
ALL = ""
"""Stands for all aliases together among their means: it begins at the default, without a quick start."""
CALLER_SEED = 20.0
"""The alias's mean counts as so many answers of a caller."""
CALLER_MEMORY = 200.0
NOBODY = (0.0, 0.0)
MOST_CALLERS = 4096
"""Pairs of alias and caller that are kept; the one not heard of for longest goes."""


class OutputLengths:
    """Tokens. `by_alias` is replaced, never changed, so that a snapshot may hold it."""

    __slots__ = ("_alias_count", "_callers", "by_alias")

    def __init__(self) -> None:
        self.by_alias: Mapping[str, float] = {}
        self._alias_count: dict[str, float] = {}
        self._callers: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        """(answers that count, their mean)."""

    def __len__(self) -> int:
        return len(self._callers)

    def saw(self, alias: str, caller: str, output_tokens: int) -> None:
        """A whole answer of so many tokens."""
        count = self._alias_count.get(alias, ALIAS_SEED) + 1.0
        self._alias_count[alias] = count if count < MOST_COUNT else MOST_COUNT
        means = self.by_alias
        mean = means.get(alias, DEFAULT_OUTPUT_TOKENS)
        overall = means.get(ALL, DEFAULT_OUTPUT_TOKENS)
        overall += (output_tokens - overall) * ALIAS_WEIGHT
        self.by_alias = {**means, alias: mean + (output_tokens - mean) / count, ALL: overall}
        if not caller:
            return
        key, callers = (alias, caller), self._callers
        answers, own = callers.get(key, NOBODY)
        answers = answers + 1.0 if answers + 1.0 < CALLER_MEMORY else CALLER_MEMORY
        callers[key] = (answers, own + (output_tokens - own) / answers)
        callers.move_to_end(key)
        if len(callers) > MOST_CALLERS:
            callers.popitem(last=False)

    def expected(self, alias: str, caller: str) -> float:
        """Of the next answer to this caller."""
        mean = self.by_alias.get(alias, DEFAULT_OUTPUT_TOKENS)
        seen = self._callers.get((alias, caller))
        if seen is None:
            return mean
        answers, own = seen
        return (answers * own + CALLER_SEED * mean) / (answers + CALLER_SEED)
