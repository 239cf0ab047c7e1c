"""A metric family's children, kept by their label values."""

from __future__ import annotations

from typing import TypeVar

from prometheus_client import Counter, Histogram

_Metric = TypeVar("_Metric", Counter, Histogram)


class Children(dict[tuple[str, ...], _Metric]):
    """A family's children by their label values: looking one up here costs a quarter of `labels()`."""

    def __init__(self, family: _Metric) -> None:
        super().__init__()
        self._family: _Metric = family

    def __missing__(self, values: tuple[str, ...]) -> _Metric:
        child: _Metric = self._family.labels(*values)
        self[values] = child
        return child

    def forget(self, values: tuple[str, ...]) -> None:
        """The series ends. One that is not there is no mistake."""
        if self.pop(values, None) is not None:
            self._family.remove(*values)
