"""A model server that was restarted has no adapters: nobody gets the base model's answer, and nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from tests.scripted_peer import answer, scripted_peer
from tests.server.adapters.places import ONE, TWO, Place, placed


async def until_listed(place: Place, missing: bool, which: str = "live") -> None:
    async with asyncio.timeout(10):
        while (await place.state())[which]["missing"] != missing:
            await asyncio.sleep(0.02)


async def test_a_lost_adapter_is_passed_over_before_the_first_byte_said_once_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        scripted_peer(answer("from the other")) as other,
        placed(tmp_path, monkeypatch, second=other.url) as place,
    ):
        assert (await place.ask()).headers["x-crossover-backend"] == "box"
        await place.unload(ONE)
        with caplog.at_level(logging.WARNING):
            for _ in range(5):
                answered = await place.ask()
                assert answered.status_code == 200
                assert answered.headers["x-crossover-backend"] == "cloud"
        assert len([r for r in caplog.records if "has lost handbook@v0001" in r.getMessage()]) == 1
        state = await place.state()
        assert state["live"]["missing"]
        assert state["excluded"] == f"its server does not have {ONE} loaded"
        assert place.gateway.core.fleet.trackers["box"].askable(place.gateway.core.clock()), "the box itself is well"
        await place.load(ONE)
        await until_listed(place, missing=False)
        assert (await place.ask()).headers["x-crossover-backend"] == "box"


async def test_the_list_tells_before_any_request_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO)
        await place.publish(TWO)
        await until_listed(place, missing=False)
        await place.unload(TWO)
        await until_listed(place, missing=True)
        refused = await place.ask()
        assert refused.status_code == 503
        assert f"does not have {TWO} loaded" in refused.json()["error"]["message"]
        ready = await place.http.get(f"{place.gateway.root}/health/ready")
        assert ready.json()["unserved"] == ["tuned"]


async def test_a_canary_that_is_lost_costs_nobody_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO)
        await place.publish(TWO, share=0.5)
        await place.unload(TWO)
        assert {await place.answered_by() for _ in range(8)} == {ONE}
        assert (await place.state())["canary"]["missing"]
        await place.load(TWO)
        await until_listed(place, missing=False, which="canary")
        assert {await place.answered_by() for _ in range(4)} == {ONE, TWO}


async def test_a_name_that_was_never_listed_may_be_served_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy before the server may list less than it serves: only what it once had can be lost."""
    async with placed(tmp_path, monkeypatch, loaded=False) as place:
        await asyncio.sleep(0.3)
        assert not (await place.state())["live"]["missing"]


async def test_a_rollback_to_what_is_not_loaded_any_more_is_refused_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO)
        await place.publish(TWO)
        await place.unload(ONE)
        refused = await place.admin("POST", "/tuned/box/rollback")
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "adapter_not_loaded"
        assert await place.answered_by() == TWO


async def test_publishing_the_live_one_again_after_a_restart_brings_requests_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch, scrape_seconds=3600) as place:
        await place.unload(ONE)
        assert (await place.ask()).status_code == 502
        refused = await place.publish(ONE)
        assert refused.json()["error"]["code"] == "adapter_not_loaded"
        await place.load(ONE)
        assert (await place.publish(ONE)).status_code == 200
        assert await place.answered_by() == ONE


async def test_only_its_own_names_are_kept_of_what_a_backend_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        deployments = place.gateway.core.deployments
        for turn in range(50):
            deployments.listed("box", frozenset({ONE, f"other{turn}"}), place.gateway.core.clock())
        assert deployments.slots["tuned", "box"].seen == {ONE}
