"""From a trace to requests: the load asked for, the same requests for the same seed, labels and ceilings."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest

from gateway.replay.requests import DAY_SECONDS, LoadError, Requests, draw, load_of
from gateway.replay.trace import Trace
from tests.replay.worlds import policy, setting


def tiny(n: int = 200, seconds_between: float = 10.0) -> Trace:
    """No chance in it: the digests below are of what `draw` makes of it."""
    number = np.arange(n, dtype=float)
    return Trace("tiny", number * seconds_between, 100 + (number * 37) % 900, (number * 13) % 250)


def drawn(trace: Trace | None = None, **asked: Any) -> Requests:
    lab = policy()
    return draw(trace or tiny(), lab.replay, lab.aliases, box=setting().box, **asked)


def digest(made: Requests) -> str:
    columns = (made.arrival_s, made.in_tokens, made.out_tokens, made.tuned, made.interactive, made.ttft_max)
    text = "\n".join(f"{t:.6f},{i:.0f},{o:.0f},{a:d},{b:d},{c:g}" for t, i, o, a, b, c in zip(*columns, strict=True))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"load": None, "seed": 0}, "8fc3fe5eaca021de"),
        ({"load": 0.02, "seed": 0}, "22ff9bffbf78b241"),
        ({"load": 0.5, "seed": 0}, "09395eda164ef45c"),
        ({"load": 0.5, "seed": 1}, "c7a334ee502b74df"),
        ({"load": 0.5, "seed": 0, "start_day": 0.005, "days": 0.01}, "cb1791033a1eb4b7"),
    ],
    ids=["as recorded", "thinned", "laid over", "another seed", "cut"],
)
def test_the_same_seed_gives_the_same_requests_on_every_machine(asked: dict[str, Any], expected: str) -> None:
    """Pinned: figures made with these requests can be compared over years, and with other programs that draw alike."""
    assert digest(drawn(**asked)) == expected


@pytest.mark.parametrize("load", [0.02, 0.3, 0.8, 1.5])
def test_the_load_asked_for_is_reached(load: float) -> None:
    made = drawn(tiny(5000), load=load)
    box = setting().box
    assert box is not None
    assert load_of(made.in_tokens, made.out_tokens, made.span_seconds, box) == pytest.approx(load, rel=0.1)
    assert (np.diff(made.arrival_s) >= 0).all()
    assert 0 <= made.arrival_s.min() <= made.arrival_s.max() <= made.span_seconds


def test_days_are_cut_out_and_counted_from_their_start() -> None:
    made = drawn(tiny(5000, 60.0), start_day=1, days=2)
    assert made.span_seconds == 2 * DAY_SECONDS
    assert len(made) == 2 * 24 * 60
    assert made.arrival_s[0] == 0


def test_labels_follow_the_shares_of_the_policy() -> None:
    made = drawn(tiny(20_000))
    assert made.tuned.mean() == pytest.approx(0.6, abs=0.02)
    assert made.interactive.mean() == pytest.approx(0.8, abs=0.02)
    assert set(made.ttft_max[made.interactive]) == {10.0}
    assert set(made.tpot_max[~made.interactive]) == {1.0}
    assert {made.aliases[index] for index in made.alias[made.tuned]} == {"tuned"}
    assert (made.out_tokens >= 1).all()


def test_a_trace_that_names_aliases_keeps_them_and_their_ceilings() -> None:
    trace = tiny(4)
    named = Trace(
        "named", trace.arrival_s, trace.in_tokens, trace.out_tokens, np.array([0, 1, 1, 0], np.int16), ("base", "tuned")
    )
    made = drawn(named)
    assert made.tuned.tolist() == [False, True, True, False]
    assert made.interactive.all()
    assert set(made.ttft_max) == {10.0}
    assert set(made.latency_max) == {math.inf}


def test_what_cannot_be_drawn_is_said() -> None:
    lab = policy()
    with pytest.raises(LoadError, match="no request between day 40 and day 41"):
        drawn(start_day=40, days=1)
    with pytest.raises(LoadError, match="needs a box"):
        draw(tiny(), lab.replay, lab.aliases, load=0.5)
    with pytest.raises(LoadError, match="no tokens"):
        drawn(Trace("t", np.zeros(2), np.zeros(2), np.zeros(2)), load=0.5)
    with pytest.raises(LoadError, match=r"replay\.tuned_alias: the policy has no alias 'mine'"):
        draw(tiny(), lab.replay.model_copy(update={"tuned_alias": "mine"}), lab.aliases)
    stranger = Trace("t", np.zeros(1), np.ones(1), np.ones(1), np.zeros(1, np.int16), ("gpt-4",))
    with pytest.raises(LoadError, match="no alias 'gpt-4'"):
        drawn(stranger)
