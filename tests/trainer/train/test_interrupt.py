"""The first signal asks a run to stop; one that comes soon after is the same request."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from trainer.train.interrupt import ONE_REQUEST_SECONDS, Interrupt


@pytest.fixture
def killed() -> Iterator[list[int]]:
    """The signals that would have ended this process: stands in for the default handlers."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda number, _: came.append(number))
    yield came
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_repeat_is_ignored_also_while_the_checkpoint_is_written_and_a_later_one_kills(killed: list[int]) -> None:
    now = 100.0
    with Interrupt(lambda: now) as interrupt:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    now += ONE_REQUEST_SECONDS - 0.1
    signal.raise_signal(signal.SIGTERM)
    assert (interrupt.number, killed) == (signal.SIGTERM, [])
    now += 0.2
    signal.raise_signal(signal.SIGTERM)
    assert killed == [signal.SIGTERM]


def test_without_a_signal_the_handlers_are_as_before(killed: list[int]) -> None:
    with Interrupt() as interrupt:
        pass
    signal.raise_signal(signal.SIGINT)
    assert (interrupt.number, killed) == (0, [signal.SIGINT])
