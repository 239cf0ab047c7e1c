"""What a version is now, folded from what happened: candidate, gated, canary, live, retired. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from trainer.registry.events import Event

Stage = Literal["candidate", "gated", "canary", "live", "retired"]


class Serving(msgspec.Struct, frozen=True):
    """A place that serves a version: `share` of the requests for `alias` that go to `backend`."""

    alias: str
    backend: str
    share: float


class State(msgspec.Struct, frozen=True):
    """`verdict` is the last gate's (pass, fail, undecided), null before any; `exports` are the facts of each export."""

    stage: Stage
    verdict: str | None
    serving: tuple[Serving, ...]
    exports: tuple[dict[str, Any], ...]
    history: tuple[Event, ...]


def in_order(files: Iterable[list[Event]]) -> list[Event]:
    """Events of several adapters as one history. Within a file its own order stays, though a clock was set back."""
    timed: list[tuple[str, Event]] = []
    for events in files:
        latest = ""
        for event in events:
            latest = max(latest, event.at)
            timed.append((latest, event))
    return [event for _, event in sorted(timed, key=lambda pair: pair[0])]


def fold(events: Iterable[Event]) -> dict[str, State]:
    """The state of every version that an event names; a version without one is a candidate (`state_of`).

    An (alias, backend) has one live version and at most one canary beside it. Publishing a version there ends its
    predecessor's turn; a rollback ends its own, and `to` names the version that is live again.
    """
    live: dict[tuple[str, str], str] = {}
    canaries: dict[tuple[str, str], tuple[str, float]] = {}
    verdicts: dict[str, str] = {}
    exports: dict[str, list[dict[str, Any]]] = {}
    history: dict[str, list[Event]] = {}
    served: set[str] = set()

    for event in events:
        version, facts = event.version, event.facts
        history.setdefault(version, []).append(event)
        place = (str(facts.get("alias", "")), str(facts.get("backend", "")))
        if event.event == "gated":
            verdicts[version] = str(facts.get("verdict"))
        elif event.event == "exported":
            exports.setdefault(version, []).append({"at": event.at, **facts})
        elif event.event == "canary":
            canaries[place] = (version, float(facts.get("share", 0)))
            served.add(version)
        elif event.event in ("published", "promoted"):
            live[place] = version
            canaries.pop(place, None)
            served.add(version)
        elif event.event == "rolled_back":
            if canaries.get(place, ("", 0.0))[0] == version:
                del canaries[place]
            elif live.get(place) == version:
                del live[place]
            if facts.get("to"):
                live[place] = str(facts["to"])
                served.add(live[place])
                history.setdefault(live[place], [])
        elif event.event == "retired":
            live = {where: who for where, who in live.items() if who != version}
            canaries = {where: who for where, who in canaries.items() if who[0] != version}
            served.add(version)

    def serving(version: str) -> tuple[Serving, ...]:
        main = [
            Serving(alias, backend, round(1.0 - canaries.get((alias, backend), ("", 0.0))[1], 9))
            for (alias, backend), who in live.items()
            if who == version
        ]
        part = [Serving(alias, backend, share) for (alias, backend), (who, share) in canaries.items() if who == version]
        return (*main, *part)

    def stage(version: str) -> Stage:
        if version in live.values():
            return "live"
        if any(who == version for who, _ in canaries.values()):
            return "canary"
        if version in served:
            return "retired"
        return "gated" if version in verdicts else "candidate"

    return {
        version: State(
            stage(version),
            verdicts.get(version),
            serving(version),
            tuple(exports.get(version, ())),
            tuple(happened),
        )
        for version, happened in history.items()
    }


UNTOUCHED = State("candidate", None, (), (), ())
"""A version that nothing happened to yet."""
