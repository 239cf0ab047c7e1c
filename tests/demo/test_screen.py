"""What the demo shows fits a small terminal, with every number whole, and says what is simulated."""

from __future__ import annotations

import pytest
from rich.console import Console, RenderableType

from gateway.demo.load import Traffic
from gateway.demo.screen import account, live, progress, state_in_words
from gateway.demo.summary import PathRow

ROWS = [
    PathRow("box", False, True, 1272, 112_849, 101_861, 4_746_000, 0, 0.45),
    PathRow("cmi", True, False, 106, 10_244, 10_106, 12_045_744_321, 25, 10.86),
    PathRow("bedrock-base", True, False, 418, 18_696, 13_818, 333_000, 0, 0.27),
]
STATES = {
    "box": {"up": True, "in_flight": 64, "utilization": 1.034},
    "cmi": {"up": True, "in_flight": 12, "window": {"copies": 1, "seconds_left": 11.6}},
    "bedrock-base": {"up": True, "in_flight": 3, "utilization": 0.2},
}


def rendered(what: RenderableType, width: int) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


@pytest.mark.parametrize("width", [80, 120])
def test_the_account_shows_every_number_whole(width: int) -> None:
    text = rendered(account(ROWS, {"box": 1.0, "cmi": 0.97}, 61), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    numbers = ("1272", "112,849", "101,861", "$0.004746", "$12.045744", "$1,191.94", "10.86 s", "100%", "97%", "25")
    for number in (*numbers, "$0.05"):
        assert number in text
    assert "† simulated: cmi, bedrock-base" in text


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_table_shows_every_number_whole(width: int) -> None:
    text = rendered(live(Traffic([], sent=1796), ROWS, STATES, 30, 60), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for words in ("$12.045744", "$1,191.94", "10.86 s", "12 s paid", "103% of capacity", "30 of 60 s", "1796 sent"):
        assert words in text


def test_after_the_planned_end_it_says_what_is_waited_for() -> None:
    assert progress(61.5, 60) == "waiting for the last answers"


def test_only_an_owned_box_has_a_utilization() -> None:
    assert state_in_words(STATES["box"], owned=True) == "103% of capacity"
    assert state_in_words(STATES["bedrock-base"], owned=False) == ""
