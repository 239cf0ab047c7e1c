"""From the registry to traffic and back, with a real gateway and the shipped generator box, which loads by name."""

from __future__ import annotations

import asyncio
from pathlib import PurePath

import pytest

from tests.trainer.publish.conftest import ONE, THREE, TWO, Start
from trainer.publish.errors import PublishError
from trainer.publish.publishing import promote, publish
from trainer.publish.rollback import rollback
from trainer.publish.status import status
from trainer.publish.sync import sync


async def test_a_version_is_loaded_warmed_up_live_and_in_the_history(bench: Start) -> None:
    async with bench() as one:
        done = await one.run(publish, TWO)
        assert (done.version, done.share, done.before, done.kept) == (TWO, None, ONE, ONE)
        assert [line.split(":")[0] for line in done.warnings] == [
            f"whether {TWO} was made for the model that box serves is not known"
        ]
        assert not done.already_loaded
        assert await one.served.answered_by() == TWO
        assert await one.loaded() == {ONE, TWO}
        assert one.events(TWO) == ["published"]
        assert one.place.registry.state(TWO).stage == "live"
        assert [line.split()[0] for line in one.said] == [TWO, TWO, TWO]
        folder = (await asyncio.to_thread(one.place.server.loaded))[TWO]
        assert folder == str(one.place.registry.get(TWO).adapter.absolute())


async def test_said_twice_it_loads_nothing_twice_and_changes_nothing(bench: Start) -> None:
    async with bench() as one:
        await one.run(publish, TWO)
        done = await one.run(publish, TWO)
        assert done.already_loaded
        assert await one.served.answered_by() == TWO
        assert (await one.served.state())["previous"]["generation"] == ONE


async def test_of_three_published_only_the_last_two_and_the_policys_own_stay_loaded(bench: Start) -> None:
    async with bench(ranks=(4, 4, 4, 4)) as one:
        for version in (TWO, THREE):
            await one.run(publish, version)
        done = await one.run(publish, "handbook@v0004")
        assert done.unloaded == (TWO,)
        assert done.kept == THREE
        assert await one.loaded() == {ONE, THREE, "handbook@v0004"}


async def test_without_the_previous_a_rollback_loads_it_first(bench: Start) -> None:
    async with bench() as one:
        await one.run(publish, TWO)
        done = await one.run(publish, THREE, unload_previous=True)
        assert done.unloaded == (TWO,)
        assert done.kept is None
        back = await one.run(rollback)
        assert (back.what, back.live, back.reloaded) == (THREE, TWO, True)
        assert await one.served.answered_by() == TWO
        assert one.events(THREE) == ["published", "rolled_back"]
        assert one.place.registry.state(TWO).stage == "live"


async def test_a_canary_is_published_promoted_and_noted(bench: Start) -> None:
    async with bench() as one:
        done = await one.run(publish, TWO, share=0.25)
        assert done.share == 0.25
        assert done.unloaded == ()
        assert [await one.served.answered_by() for _ in range(4)] == [ONE, ONE, ONE, TWO]
        assert one.place.registry.state(TWO).serving[0].share == 0.25
        promoted = await one.run(promote)
        assert promoted.version == TWO
        assert await one.served.answered_by() == TWO
        assert one.events(TWO) == ["canary", "promoted"]


async def test_a_rollback_ends_a_canary_and_unloads_it(bench: Start) -> None:
    async with bench() as one:
        await one.run(publish, TWO, share=0.5)
        back = await one.run(rollback, name="handbook")
        assert (back.what, back.canary, back.live, back.unloaded) == (TWO, True, ONE, (TWO,))
        assert {await one.served.answered_by() for _ in range(4)} == {ONE}
        assert one.events(TWO) == ["canary", "rolled_back"]
        with pytest.raises(PublishError, match="nothing before it is known"):
            await one.run(rollback)


async def test_a_rollback_of_one_adapter_leaves_another_alone(bench: Start) -> None:
    async with bench() as one:
        await one.run(publish, TWO)
        with pytest.raises(PublishError, match="not by a version of tickets"):
            await one.run(rollback, name="tickets")
        assert await one.served.answered_by() == TWO


async def test_no_request_fails_through_publish_canary_promotion_and_rollback(bench: Start) -> None:
    async with bench(generator={"tokens_per_second": 400.0}) as one:
        done = asyncio.Event()
        seen: set[str | None] = set()

        async def application() -> None:
            while not done.is_set():
                seen.add(await one.served.answered_by())

        async with asyncio.TaskGroup() as tasks:
            for _ in range(6):
                tasks.create_task(application())
            await one.run(publish, TWO, share=0.5)
            await asyncio.sleep(0.05)
            await one.run(promote)
            await one.run(publish, THREE, unload_previous=True)
            await asyncio.sleep(0.05)
            await one.run(rollback)
            await asyncio.sleep(0.05)
            done.set()
        assert seen == {ONE, TWO, THREE}


async def test_after_a_restart_of_the_model_server_what_is_wanted_is_loaded_again(bench: Start) -> None:
    async with bench() as one:
        await one.run(publish, TWO)
        await one.run(publish, THREE, share=0.1)
        for name in (ONE, TWO, THREE):
            await one.served.unload(name)
        shown = await asyncio.to_thread(status, one.place)
        assert {(row.role, row.loaded) for row in shown.adapters} == {
            ("live", False), ("canary", False), ("previous", False)
        }  # fmt: skip
        done = await one.run(sync)
        assert done.loaded == (TWO, THREE, ONE), "the live one first"
        assert done.lacking == ()
        assert {await one.served.answered_by() for _ in range(10)} >= {TWO}
        assert (await one.run(sync)).there == (TWO, THREE, ONE)


async def test_what_nobody_wants_is_shown(bench: Start) -> None:
    async with bench() as one:
        await one.served.load("other@v0001")
        assert (await asyncio.to_thread(status, one.place)).unused == ("other@v0001",)


async def test_the_folder_may_have_another_place_on_the_model_servers_machine(bench: Start) -> None:
    async with bench() as one:
        root = one.place.registry.root
        there = root.parent / "mounted"
        there.symlink_to(root)
        await one.at(registry_there=PurePath(there)).run(publish, TWO)
        folder = (await asyncio.to_thread(one.place.server.loaded))[TWO]
        assert folder == str(there / "handbook" / "v0002" / "adapter")
