"""Expected output length: by alias and caller, careful with few answers."""

from __future__ import annotations

import pytest

from gateway.routing import lengths
from gateway.routing.lengths import ALL, OutputLengths
from gateway.routing.predict import DEFAULT_OUTPUT_TOKENS


def seen(answers: int, tokens: int, caller: str = "app", known: OutputLengths | None = None) -> OutputLengths:
    known = known or OutputLengths()
    for _ in range(answers):
        known.saw("domain", caller, tokens)
    return known


def test_an_alias_never_seen_has_the_default() -> None:
    assert OutputLengths().expected("domain", "app") == DEFAULT_OUTPUT_TOKENS


def test_the_aliass_mean_goes_from_the_default_to_what_was_seen() -> None:
    assert DEFAULT_OUTPUT_TOKENS < seen(3, 600).by_alias["domain"] < 400
    assert seen(500, 600).by_alias["domain"] == pytest.approx(600, rel=0.02)


def test_a_caller_is_taken_as_the_alias_until_it_shows_to_be_otherwise() -> None:
    known = seen(500, 600, "many")
    assert known.expected("domain", "new") == known.by_alias["domain"]
    seen(1, 20, "brief", known)
    assert known.expected("domain", "brief") > 500
    seen(200, 20, "brief", known)
    assert known.expected("domain", "brief") < 100


def test_a_mean_held_by_a_snapshot_does_not_change() -> None:
    known = seen(10, 600)
    held = known.by_alias
    before = dict(held)
    seen(10, 20, known=known)
    assert held == before


def test_callers_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengths, "MOST_CALLERS", 100)
    known = OutputLengths()
    for number in range(1000):
        known.saw("domain", f"key-{number}", 10)
    assert len(known) == 100
    assert known.expected("domain", "key-0") == known.by_alias["domain"]
    assert known.expected("domain", "key-999") < known.by_alias["domain"] + 10


def test_one_mean_over_all_aliases_is_kept_besides() -> None:
    known = seen(500, 600)
    for _ in range(500):
        known.saw("other", "app", 20)
    assert known.by_alias["other"] < known.by_alias[ALL] < known.by_alias["domain"]
