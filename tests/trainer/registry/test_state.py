"""What became of a version is read from events that are only added to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainer.adapters import write_adapter
from trainer.registry import Lineage, Registry, Serving, Version
from trainer.registry.events import EventWarning


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture
def versions(registry: Registry, tmp_path: Path) -> list[Version]:
    adapter = write_adapter(tmp_path / "adapter")
    return [registry.add("handbook", adapter, Lineage(origin="trained")) for _ in range(3)]


PLACE = {"alias": "support", "backend": "box"}


def test_a_version_goes_from_candidate_to_live(registry: Registry, versions: list[Version]) -> None:
    first = versions[0]
    assert registry.state(first).stage == "candidate"
    registry.note(first, "gated", verdict="pass", questions=60)
    assert (registry.state(first).stage, registry.state(first).verdict) == ("gated", "pass")
    registry.note(first, "canary", **PLACE, share=0.1)
    assert registry.state(first).stage == "canary"
    assert registry.state(first).serving == (Serving("support", "box", 0.1),)
    registry.note(first, "promoted", **PLACE)
    assert registry.state(first).stage == "live"
    assert registry.state(first).serving == (Serving("support", "box", 1.0),)
    registry.note(first, "retired")
    assert (registry.state(first).stage, registry.state(first).serving) == ("retired", ())


def test_a_canary_takes_its_share_from_the_live_version_and_gives_it_back(
    registry: Registry, versions: list[Version]
) -> None:
    first, second, _ = versions
    registry.note(first, "published", **PLACE)
    registry.note(second, "canary", **PLACE, share=0.25)
    assert registry.state(first).serving == (Serving("support", "box", 0.75),)
    assert registry.state(second).serving == (Serving("support", "box", 0.25),)
    registry.note(second, "rolled_back", **PLACE)
    assert registry.state(first).serving == (Serving("support", "box", 1.0),)
    assert registry.state(second).stage == "retired"


def test_publishing_ends_the_turn_of_the_one_before_and_a_rollback_brings_it_back(
    registry: Registry, versions: list[Version]
) -> None:
    first, second, _ = versions
    registry.note(first, "published", **PLACE)
    registry.note(second, "published", **PLACE)
    assert [registry.state(version).stage for version in (first, second)] == ["retired", "live"]
    registry.note(second, "rolled_back", **PLACE, to=first.id)
    assert [registry.state(version).stage for version in (first, second)] == ["live", "retired"]


def test_places_are_apart_and_an_alias_may_pass_to_another_adapter(
    registry: Registry, versions: list[Version], tmp_path: Path
) -> None:
    first = versions[0]
    other = registry.add("billing", tmp_path / "adapter", Lineage(origin="trained"))
    registry.note(first, "published", **PLACE)
    registry.note(first, "published", alias="support", backend="second-box")
    registry.note(other, "published", **PLACE)
    assert registry.state(first).serving == (Serving("support", "second-box", 1.0),)
    assert registry.state(other).serving == (Serving("support", "box", 1.0),)


def test_exports_and_history_are_kept(registry: Registry, versions: list[Version]) -> None:
    registry.note("handbook@v0002", "exported", to="/exports/handbook", bytes=12)
    state = registry.state("handbook@v0002")
    assert [(export["to"], export["bytes"]) for export in state.exports] == [("/exports/handbook", 12)]
    assert [event.event for event in state.history] == ["added", "exported"]


@pytest.mark.parametrize(
    ("event", "facts", "says"),
    [
        ("finished", {}, "no event"),
        ("gated", {}, "needs verdict"),
        ("gated", {"verdict": "yes"}, "one of pass, fail, undecided"),
        ("canary", {**PLACE, "share": 1.0}, "between 0 and 1"),
        ("published", {"alias": "support"}, "needs backend"),
        ("retired", {"at": "now"}, "cannot be called at"),
    ],
)
def test_an_event_that_says_too_little_is_refused_before_it_is_written(
    registry: Registry, versions: list[Version], event: str, facts: dict[str, object], says: str
) -> None:
    before = (registry.root / "handbook" / "events.jsonl").read_bytes()
    with pytest.raises(ValueError, match=says):
        registry.note(versions[0], event, **facts)
    assert (registry.root / "handbook" / "events.jsonl").read_bytes() == before


def test_a_line_torn_by_a_dying_writer_is_passed_over_and_spoils_no_other(
    registry: Registry, versions: list[Version]
) -> None:
    registry.note(versions[0], "gated", verdict="pass")
    with (registry.root / "handbook" / "events.jsonl").open("ab") as file:
        file.write(b'{"at":"2026-11-23T12:00:00Z","version":"handbook@v0001","ev')
    with pytest.warns(EventWarning, match="the last line is torn"):
        assert registry.state(versions[0]).stage == "gated"
    registry.note(versions[0], "published", **PLACE)
    with pytest.warns(EventWarning, match="line 5 is torn"):
        assert registry.state(versions[0]).stage == "live"


@pytest.mark.parametrize(
    "line",
    [
        b'{"at":"2026-11-23T12:00:00Z","version":"handbook","event":"retired"}',
        b'{"at":"2026-11-23T12:00:00Z","version":5,"event":"retired"}',
        b'{"at":5,"version":"handbook@v0001","event":"retired"}',
        b'{"at":"2026-11-23T12:00:00Z","version":"handbook@v0001","event":"canary","alias":"a","backend":"b","share":"all"}',
        b'{"at":"2026-11-23T12:00:00Z","version":"handbook@v0001","event":"gated","verdict":["pass"]}',
        b'{"a":' * 5_000,
    ],
)
def test_a_line_that_says_what_cannot_be_hides_no_other(
    registry: Registry, versions: list[Version], tmp_path: Path, line: bytes
) -> None:
    with (registry.root / "handbook" / "events.jsonl").open("ab") as file:
        file.write(line + b"\n")
    with pytest.warns(EventWarning, match="it is ignored"):
        added = registry.add("handbook", tmp_path / "adapter", Lineage(origin="trained"))
    with pytest.warns(EventWarning, match="line 4"):
        assert [registry.state(version).stage for version in (versions[0], added)] == ["candidate", "candidate"]
    assert added.number == 4


def test_an_event_of_a_newer_program_is_kept(registry: Registry, versions: list[Version]) -> None:
    with (registry.root / "handbook" / "events.jsonl").open("ab") as file:
        file.write(b'{"at":"2026-11-23T12:00:00Z","version":"handbook@v0001","event":"praised"}\n')
    assert registry.state(versions[0]).history[-1].event == "praised"
