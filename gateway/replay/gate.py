"""`--fail-if`: a condition over the figures of a replay, for a CI gate. Its own small language; nothing is executed.

    condition   bad > 1%    cost > 1.05 * baseline    crossover.cost > ceiling-greedy.cost    not (late <= 0.5%)
    operators   or, and, not; < <= > >= == !=; + - * /; ( )
    numbers     12, 0.5, 5%, $700
    names       a figure of the policy under test, or of another: `ceiling-greedy.cost`; `baseline` is its cost

A name may hold a hyphen, so a minus between names has spaces around it.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

FIGURES = {
    "cost": "$ a month, box included",
    "variable": "$ a month, box left out",
    "per_1m": "$ per 1M tokens",
    "bad": "share of requests late, wrong or refused",
    "late": "share of requests",
    "wrong": "share of requests",
    "refused": "share of requests",
    "windows": "windows billed a month",
    "ttft_p50": "seconds, interactive",
    "ttft_p95": "seconds, interactive",
    "ttft_p99": "seconds, interactive",
    "bound": "$ a month, the offline lower bound",
    "hindsight": "$ a month, the plan made in hindsight",
    "over_bound": "cost / bound",
    "over_hindsight": "cost / hindsight",
}
"""What a condition may name, and its unit. Shares are 0 to 1: 1% is 0.01."""
NEEDED = ("bound", "hindsight")
"""Options of the command without which the figures that end so are not known."""
BASELINE = "baseline"
MAX_LENGTH = 500
MAX_DEPTH = 40

Figures: TypeAlias = Mapping[str, Mapping[str, float | None]]
"""By policy, then by figure; None: not known in this replay."""
Value: TypeAlias = float | bool
Read: TypeAlias = Callable[["Name"], float]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\$?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?%?)"
    r"|(?P<name>[A-Za-z_][\w]*(?:[-:@/][\w]+|\.[\w]+)*)"
    r"|(?P<sign><=|>=|==|!=|[-<>+*/()]))"
)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_ADD: dict[str, Callable[[float, float], float]] = {"+": operator.add, "-": operator.sub}
_TIMES: dict[str, Callable[[float, float], float]] = {"*": operator.mul, "/": operator.truediv}


class GateError(ValueError):
    """A condition that cannot be read or answered: says what is wrong with it and what is allowed."""


@dataclass(frozen=True, slots=True)
class Name:
    """`policy` None: the policy under test."""

    written: str
    policy: str | None
    figure: str


@dataclass(frozen=True, slots=True)
class Node:
    """`work` gives the value from the figures; `judges` is whether that is true or false, not a number."""

    work: Callable[[Read], Value]
    judges: bool


@dataclass(frozen=True, slots=True)
class Condition:
    text: str
    root: Node
    names: tuple[Name, ...]

    def holds(self, figures: Figures, under_test: str, baseline: str | None) -> bool:
        """Raises GateError when a figure it names is not known in this replay, and for a division by 0."""

        def read(name: Name) -> float:
            return _look_up(name, figures, under_test, baseline)

        for name in self.names:
            read(name)  # an unknown figure is an error even where `or` would not look at it
        try:
            return bool(self.root.work(read))
        except ZeroDivisionError:
            raise GateError(f"--fail-if {self.text!r}: divides by 0") from None

    def in_numbers(self, figures: Figures, under_test: str, baseline: str | None) -> str:
        """'cost is $872.00, baseline (ceiling-greedy) is $2,552.00'."""
        said = {}
        for name in self.names:
            value = _look_up(name, figures, under_test, baseline)
            whose = f" ({baseline})" if name.written == BASELINE else ""
            said[name.written] = f"{name.written}{whose} is {_in_words(name.figure, value)}"
        return ", ".join(said.values())


def parse(text: str, policies: tuple[str, ...]) -> Condition:
    """Read a condition over `policies`, the first of them under test. Raises GateError."""
    if len(text) > MAX_LENGTH:
        raise GateError(f"--fail-if has {len(text)} characters, the limit is {MAX_LENGTH}: write two conditions")
    return _Parser(text, policies).condition()


class _Parser:
    """Recursive descent, one method for each level of binding."""

    def __init__(self, text: str, policies: tuple[str, ...]) -> None:
        self.text = text
        self.policies = policies
        self.tokens = list(self._tokens())
        self.at = 0
        self.depth = 0
        self.names: list[Name] = []

    def condition(self) -> Condition:
        root = self._either()
        if self.at < len(self.tokens):
            raise self._wrong(f"{self._next()!r} was not expected after a whole condition")
        if not root.judges:
            raise self._wrong("it is a number, not a condition: compare it with something")
        return Condition(self.text, root, tuple(dict.fromkeys(self.names)))

    def _tokens(self) -> Iterator[tuple[str, str]]:
        at = 0
        text = self.text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._wrong(f"{text[at:].lstrip()[:1]!r} is not allowed")
            assert found.lastgroup is not None
            yield found.lastgroup, found[found.lastgroup]
            at = found.end()

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _next(self) -> str:
        if self.at >= len(self.tokens):
            raise self._wrong("it ends too soon")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def _either(self) -> Node:
        left = self._both()
        while self._peek() == "or":
            sign = self._next()
            left = _any_of(self._judging(left, sign), self._judging(self._both(), sign))
        return left

    def _both(self) -> Node:
        left = self._negated()
        while self._peek() == "and":
            sign = self._next()
            left = _all_of(self._judging(left, sign), self._judging(self._negated(), sign))
        return left

    def _negated(self) -> Node:
        if self._peek() != "not":
            return self._comparison()
        sign = self._next()
        inner = self._judging(self._deeper(self._negated), sign)
        return Node(lambda read: not inner.work(read), judges=True)

    def _comparison(self) -> Node:
        left = self._sum()
        if self._peek() not in _COMPARE:
            return left
        sign = self._next()
        right = self._sum()
        if self._peek() in _COMPARE:
            raise self._wrong(f"a second {self._peek()!r}: join two comparisons with `and`")
        return _pair(_COMPARE[sign], self._number(left, sign), self._number(right, sign), judges=True)

    def _sum(self) -> Node:
        left = self._product()
        while self._peek() in _ADD:
            sign = self._next()
            left = _pair(_ADD[sign], self._number(left, sign), self._number(self._product(), sign))
        return left

    def _product(self) -> Node:
        left = self._single()
        while self._peek() in _TIMES:
            sign = self._next()
            left = _pair(_TIMES[sign], self._number(left, sign), self._number(self._single(), sign))
        return left

    def _single(self) -> Node:
        kind = self.tokens[self.at][0] if self.at < len(self.tokens) else ""
        word = self._next()
        if word == "(":
            inner = self._deeper(self._either)
            if self._peek() != ")":
                raise self._wrong("a ( is never closed")
            self._next()
            return inner
        if word == "-":
            inner = self._number(self._deeper(self._single), word)
            return Node(lambda read: -inner.work(read), judges=False)
        if kind == "number":
            value = float(word.strip("$%")) / (100 if word.endswith("%") else 1)
            if not math.isfinite(value):
                raise self._wrong(f"{word} is too large")
            return Node(lambda _: value, judges=False)
        if kind == "name" and word not in ("and", "or", "not"):
            name = self._name(word)
            self.names.append(name)
            return Node(lambda read: read(name), judges=False)
        raise self._wrong(f"{word!r} was not expected there")

    def _name(self, written: str) -> Name:
        if written == BASELINE:
            return Name(written, BASELINE, "cost")
        policy, dot, figure = written.rpartition(".")
        if figure not in FIGURES:
            hint = "; a minus needs spaces around it" if "-" in written and written not in self.policies else ""
            if written in self.policies:
                hint = f"; say which figure of it, for example {written}.cost"
            raise self._wrong(f"{written!r} is not a figure{hint}")
        if dot and policy not in (*self.policies, BASELINE):
            raise self._wrong(f"{policy!r} is not a policy of this replay, which has {', '.join(self.policies)}")
        return Name(written, policy if dot else None, figure)

    def _deeper(self, read: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._wrong(f"nested deeper than {MAX_DEPTH}")
        inner = read()
        self.depth -= 1
        return inner

    def _judging(self, node: Node, sign: str) -> Node:
        if not node.judges:
            raise self._wrong(f"`{sign}` joins conditions, and one of its sides is a number")
        return node

    def _number(self, node: Node, sign: str) -> Node:
        if node.judges:
            raise self._wrong(f"`{sign}` takes numbers, and one of its sides is a condition")
        return node

    def _wrong(self, what: str) -> GateError:
        return GateError(
            f"--fail-if {self.text!r}: {what}. Allowed: numbers (12, 0.5, 5%, $700), + - * / ( ), "
            f"< <= > >= == !=, and or not, {BASELINE}, and the figures {', '.join(FIGURES)}; "
            f"of another policy as in {(self.policies or ('ceiling-greedy',))[-1]}.cost"
        )


def _pair(work: Callable[[float, float], Value], left: Node, right: Node, *, judges: bool = False) -> Node:
    return Node(lambda read: work(left.work(read), right.work(read)), judges)


def _any_of(left: Node, right: Node) -> Node:
    return Node(lambda read: left.work(read) or right.work(read), judges=True)


def _all_of(left: Node, right: Node) -> Node:
    return Node(lambda read: left.work(read) and right.work(read), judges=True)


def _look_up(name: Name, figures: Figures, under_test: str, baseline: str | None) -> float:
    policy = name.policy or under_test
    if policy == BASELINE:
        if baseline is None:
            raise GateError(
                f"{name.written!r} in --fail-if: this replay has one policy only; add a second --strategy or --policy"
            )
        policy = baseline
    value = figures[policy].get(name.figure)
    if value is None or math.isnan(value):
        needs = next((option for option in NEEDED if name.figure.endswith(option)), None)
        because = f"run with --{needs}" if needs else "nothing was measured for it"
        raise GateError(f"{name.written!r} in --fail-if is not known in this replay of {policy}: {because}")
    return value


def _in_words(figure: str, value: float) -> str:
    unit = FIGURES[figure]
    if unit.startswith("$"):
        return f"${value:,.2f}" if figure != "per_1m" else f"${value:.4g}"
    if unit.startswith("share"):
        return f"{value:.3%}"
    return f"{value:.4g} s" if unit.startswith("seconds") else f"{value:,.4g}"
