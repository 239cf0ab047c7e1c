"""Each step of a publication can fail: traffic is then as it was, and the message says what was done and what to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.sandbox.generator.server import serve_in_thread
from gateway.sandbox.generator.settings import GeneratorSettings
from tests.gateway_process import GatewayProcess
from tests.scripted_peer import Connection, scripted_peer
from tests.server.adapters.places import policy
from tests.trainer.publish.conftest import ONE, THREE, TWO, Bench, Start, filled_registry
from trainer.publish.errors import PublishError
from trainer.publish.gateway_admin import GatewayAdmin
from trainer.publish.model_server import ModelServer
from trainer.publish.place import find_place
from trainer.publish.publishing import publish

NOBODY = "http://127.0.0.1:9"


async def refused(one: Bench, version: str = TWO, **options: object) -> PublishError:
    with pytest.raises(PublishError) as raised:
        await one.run(publish, version, **options)
    return raised.value


async def as_it_was(one: Bench) -> None:
    assert await one.served.answered_by() == ONE
    assert await one.loaded() == {ONE}
    assert one.events(TWO) == []


async def test_a_rank_over_the_servers_is_refused_in_its_own_words(bench: Start) -> None:
    async with bench(ranks=(4, 12), generator={"max_lora_rank": 8}) as one:
        error = await refused(one)
        assert error.step == "model server"
        assert "LoRA rank 12 is greater than max_lora_rank 8" in str(error)
        assert "--max-lora-rank" in str(error)
        assert "Traffic is as it was" in str(error)
        await as_it_was(one)


async def test_what_the_settings_say_of_the_server_is_refused_before_it_is_asked(bench: Start) -> None:
    async with bench(ranks=(4, 12)) as one:
        error = await refused(one.at(max_lora_rank=8, server=ModelServer(NOBODY)))
        assert error.step == "registry"
        assert "12" in str(error)


async def test_an_adapter_that_gives_no_answer_is_unloaded_again(bench: Start) -> None:
    async with bench(generator={"context_tokens": 4}) as one:
        error = await refused(one)
        assert error.step == "warm-up"
        assert "Traffic is as it was" in str(error)
        assert await one.loaded() == {ONE}
        assert (await one.served.state())["live"]["generation"] == ONE


async def test_a_gateway_that_is_not_there_stops_it_before_anything_is_loaded(bench: Start) -> None:
    async with bench() as one:
        error = await refused(one.at(gateway=GatewayAdmin(NOBODY, "key")))
        assert "nothing was done" in str(error)
        await as_it_was(one)


async def test_a_wrong_key_stops_it_before_anything_is_loaded_and_is_told_to_nobody(bench: Start) -> None:
    async with bench() as one:
        error = await refused(one.at(gateway=GatewayAdmin(one.place.gateway.url, "not-the-key-at-all")))
        assert "does not take this admin key" in str(error)
        assert "not-the-key" not in str(error) + repr(one.place)
        await as_it_was(one)


async def test_a_model_server_that_is_not_there_leaves_traffic_alone(bench: Start) -> None:
    async with bench() as one:
        error = await refused(one.at(server=ModelServer(f"{NOBODY}/v1")))
        assert "Start vLLM" in str(error)
        await as_it_was(one)


async def test_a_server_without_the_pages_for_adapters_is_told_how_to_start(bench: Start) -> None:
    async def plain(connection: Connection) -> None:
        listed = connection.target.endswith("/models")
        await connection.json({"data": []} if listed else {"detail": "Not Found"}, "200 OK" if listed else "404 No")

    async with bench() as one, scripted_peer(plain) as server:
        error = await refused(one.at(server=ModelServer(server.url)))
        assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in str(error)


async def test_a_name_that_stands_for_other_weights_there_is_never_taken_over(bench: Start) -> None:
    async with bench() as one:
        await one.served.load(TWO)  # from a folder of its own
        error = await refused(one)
        assert "a name is immutable" in str(error)
        assert await one.served.answered_by() == ONE


async def test_a_version_that_was_changed_on_the_disk_is_not_published(bench: Start) -> None:
    async with bench() as one:
        config = one.place.registry.get(TWO).adapter / "adapter_config.json"
        config.chmod(0o644)
        config.write_text(json.dumps({**json.loads(config.read_text()), "lora_alpha": 999}))
        assert "not as it was made" in str(await refused(one))
        await as_it_was(one)


async def test_a_version_that_is_not_there_names_what_there_is(bench: Start) -> None:
    async with bench() as one:
        error = await refused(one, "handbook@v0009")
        assert error.status == 2
        assert "handbook@v0001 to handbook@v0003" in str(error)


async def test_beside_another_canary_nothing_is_begun(bench: Start) -> None:
    async with bench() as one:
        await one.run(publish, TWO, share=0.5)
        error = await refused(one, THREE)
        assert "a canary of handbook@v0002 is under way" in str(error)
        assert await one.loaded() == {ONE, TWO}


async def test_a_refusal_of_the_gateways_takes_the_adapter_back(bench: Start) -> None:
    async with bench() as one:
        one.served.gateway.core.deployments.path = Path("/proc/nowhere/adapters.json")
        error = await refused(one)
        assert "cannot be written" in str(error)
        assert "Traffic is as it was" in str(error)
        await as_it_was(one)


async def test_what_does_not_drain_in_time_stays_loaded_and_goes_with_the_next(bench: Start) -> None:
    async with bench(generator={"tokens_per_second": 25.0}) as one:
        await one.run(publish, TWO)
        stream = asyncio.create_task(one.served.ask(stream=True, max_tokens=30, ignore_eos=True))
        while not (await one.served.state())["live"]["in_flight"]:
            await asyncio.sleep(0.005)
        done = await one.run(publish, THREE, unload_previous=True, drain_seconds=0.3)
        assert (done.draining, done.unloaded) == ((TWO,), ())
        assert "1 with handbook@v0002" in done.warnings[-1]
        assert any("waiting for requests under way" in line for line in one.said)
        assert await one.loaded() == {ONE, TWO, THREE}
        answer = await stream
        assert answer.headers["x-crossover-adapter"] == TWO
        assert answer.text.endswith("data: [DONE]\n\n")
        assert (await one.run(publish, THREE, unload_previous=True)).unloaded == (TWO,)


async def test_what_cannot_be_noted_is_a_warning_since_traffic_has_moved(bench: Start) -> None:
    async with bench() as one:
        events = one.place.registry.root / "handbook" / "events.jsonl"

        def spoils(line: str) -> None:
            if "all requests" in line:
                events.unlink()
                events.mkdir()

        done = await asyncio.to_thread(publish, TWO, one.place, say=spoils)
        assert "history does not say" in done.warnings[0]
        assert await one.served.answered_by() == TWO


def test_a_gateway_that_dies_between_load_and_flip_leaves_traffic_and_the_same_command_goes_on(
    start_gateway: Callable[..., GatewayProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XO_TEST_ADMIN", "xo-test-admin")
    registry = filled_registry(tmp_path / "adapters", (4, 4))
    with serve_in_thread(GeneratorSettings(models=("base", ONE))) as box:
        gateway = start_gateway(**policy(box.base_url, tmp_path / "state.json"))

        def place() -> object:
            return find_place(gateway.policy_file, "tuned", "box", registry.root, gateway_url=gateway.root)

        def dies(line: str) -> None:
            if "first answer" in line:
                gateway.kill()

        with pytest.raises(PublishError, match="was not told, so that traffic is as it was") as raised:
            publish(TWO, place(), say=dies)  # type: ignore[arg-type]
        assert raised.value.step == "gateway"
        gateway.restart()
        [state] = gateway.admin("adapters")["adapters"]
        assert state["backends"][0]["live"]["generation"] == ONE
        done = publish(TWO, place())  # type: ignore[arg-type]
        assert done.already_loaded
        gateway.kill()
        gateway.restart()
        [state] = gateway.admin("adapters")["adapters"]
        assert state["backends"][0]["live"]["generation"] == TWO, "it is remembered"
