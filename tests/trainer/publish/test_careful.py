"""What a publication must not do: take away what serves, trust a name too far, tell a key, or pass over a gate."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
import time
from pathlib import Path

import pytest
import yaml

from gateway.server.adapters.state_file import read_state
from gateway.server.console.state import state as console_state
from tests.scripted_peer import Connection, scripted_peer
from tests.server.adapters.places import policy
from tests.trainer.publish.conftest import ONE, PLAN, THREE, TWO, Bench, Start
from trainer.gate.terms import NamedGate
from trainer.publish.draining import in_use
from trainer.publish.errors import PublishError, UnreachableError
from trainer.publish.gateway_admin import GatewayAdmin
from trainer.publish.http_json import ask
from trainer.publish.model_server import ModelServer
from trainer.publish.one_at_a_time import one_at_a_time
from trainer.publish.place import find_place
from trainer.publish.publishing import promote, publish, take_back
from trainer.publish.rollback import rollback
from trainer.publish.sync import sync
from trainer.registry import Base, Lineage

KEY = "secret-admin-key"


def policy_of(folder: Path, url: str = "http://127.0.0.1:8000/v1") -> Path:
    file = folder / "policy.yaml"
    admin = {"admin_keys": [{"name": "owner", "env": "XO_TEST_ADMIN"}]}
    settings = policy(url, None)
    settings["backends"]["twin"] = {**settings["backends"]["box"], "base_url": "http://localhost:8000/v1"}
    file.write_text(yaml.safe_dump({"version": 1, "auth": admin, **settings}))
    return file


def test_a_key_loses_its_lines_end_and_one_that_cannot_be_sent_is_not_shown(tmp_path: Path) -> None:
    file = policy_of(tmp_path)
    place = find_place(file, "tuned", "box", tmp_path, environ={"XO_TEST_ADMIN": f"{KEY}\n"})
    assert place.gateway.key == KEY
    for wrong in (f"{KEY}\nmore", f"{KEY}\u20ac"):
        with pytest.raises(PublishError, match="XO_TEST_ADMIN holds characters") as raised:
            find_place(file, "tuned", "box", tmp_path, environ={"XO_TEST_ADMIN": wrong})
        assert KEY not in str(raised.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\u20ac"])
async def test_a_key_that_cannot_be_written_is_told_to_nobody(bench: Start, key: str) -> None:
    async with bench() as one:
        with pytest.raises(UnreachableError) as raised:
            await asyncio.to_thread(ask, "GET", one.place.gateway.url, key=key)
        assert KEY not in str(raised.value)
        assert raised.value.__suppress_context__
        assert not raised.value.sent


def test_two_ways_to_write_an_address_are_one_server(tmp_path: Path) -> None:
    place = find_place(policy_of(tmp_path), "tuned", "box", tmp_path, environ={"XO_TEST_ADMIN": KEY})
    assert place.sharing == {"box", "twin"}


@pytest.mark.parametrize("url", ["box", "ftp://box/v1", "http://127.0.0.1:99999/v1"])
def test_a_model_server_that_is_no_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(PublishError, match="no address of a model server"):
        find_place(policy_of(tmp_path), "tuned", "box", tmp_path, server_url=url, environ={"XO_TEST_ADMIN": KEY})


def test_an_answer_that_comes_a_byte_at_a_time_is_not_waited_for() -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    def drips() -> None:
        connection, _ = listening.accept()
        with connection:
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.02)
            except OSError:
                pass

    threading.Thread(target=drips, daemon=True).start()
    with listening, pytest.raises(UnreachableError, match="no whole answer within"):
        ask("GET", f"http://127.0.0.1:{listening.getsockname()[1]}/", timeout_seconds=0.2)


async def test_a_publisher_that_loses_does_not_unload_what_another_brought_live(bench: Start) -> None:
    async with bench() as one:
        winner: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()

        def another_is_quicker(line: str) -> None:
            if "first answer" in line and not winner:
                winner.append(asyncio.run_coroutine_threadsafe(one.served.publish(TWO), loop).result())  # type: ignore[arg-type]

        with pytest.raises(PublishError, match="live already"):
            await asyncio.to_thread(publish, TWO, one.place, share=0.5, say=another_is_quicker)
        assert TWO in await one.loaded()
        assert await one.served.answered_by() == TWO


async def test_where_the_gateway_cannot_be_asked_nothing_is_unloaded(bench: Start) -> None:
    async with bench() as one:
        await one.served.load(TWO)
        lost = one.at(gateway=GatewayAdmin("http://127.0.0.1:9", "key"))
        await asyncio.to_thread(take_back, lost.place, TWO, one.said.append)
        assert TWO in await one.loaded()
        assert "stays loaded" in one.said[-1]


async def test_what_any_backend_of_the_gateway_uses_stays(bench: Start) -> None:
    async with bench() as one:
        served = {"model": THREE, "generation": THREE, "in_flight": 0}
        other: dict[str, object] = {"backend": "box again", "live": served, "canary": None, "previous": None,
                 "draining": [], "policy": served}  # fmt: skip
        assert in_use(one.place, [{"alias": "other", "backends": [other]}]) == {THREE: 0}


async def test_another_publication_is_waited_for_and_a_rollback_goes_on(bench: Start) -> None:
    async with bench() as one:
        await one.run(publish, TWO)
        with one_at_a_time(one.place, one.said.append):
            with (
                pytest.raises(PublishError, match="another publication"),
                one_at_a_time(one.place, one.said.append, wait_seconds=0.0),
            ):
                pass
            with one_at_a_time(one.place, one.said.append, wait_seconds=0.0, or_go_on=True):
                assert "goes on beside it" in one.said[-1]


async def renamed(one: Bench, model: str) -> None:
    """The gateway wants a name that is no version's."""
    await one.served.load(model)
    assert (await one.served.publish(model)).status_code == 200
    await one.served.unload(model)


async def test_a_name_without_a_version_is_never_loaded_from_the_registry(bench: Start) -> None:
    async with bench() as one:
        await renamed(one, "handbook")
        done = await one.run(sync)
        assert done.loaded == ()
        assert "names no version" in done.lacking[0]
        await one.served.load(TWO)
        await one.served.publish(TWO)
        with pytest.raises(PublishError, match="names no version"):
            await one.run(rollback)
        assert "handbook" not in await one.loaded()


async def test_what_was_changed_on_the_disk_is_not_loaded_again_either(bench: Start) -> None:
    async with bench() as one:
        await one.run(publish, TWO)
        await one.served.unload(TWO)
        config = one.place.registry.get(TWO).adapter / "adapter_config.json"
        config.chmod(0o644)
        config.write_text(json.dumps({**json.loads(config.read_text()), "lora_alpha": 999}))
        assert "not as it was made" in (await one.run(sync)).lacking[0]


@pytest.mark.parametrize(
    ("verdict", "said"), [(None, "no gate was run"), ("fail", "failed its gate"), ("undecided", "is undecided")]
)
async def test_what_no_gate_passed_is_published_by_its_whole_name_alone_and_that_is_noted(
    bench: Start, verdict: str | None, said: str
) -> None:
    async with bench(gated=False) as one:
        if verdict is not None:
            one.place.registry.note(TWO, "gated", verdict=verdict)
        with pytest.raises(PublishError, match=said) as refused:
            await one.run(publish, TWO)
        assert refused.value.status == 2
        assert f"--without-gate {TWO}" in str(refused.value)
        for other in (THREE, "handbook", TWO + "0"):
            with pytest.raises(PublishError, match="whole name"):
                await one.run(publish, TWO, without_gate=other)
        assert await one.loaded() == {ONE}
        done = await one.run(publish, TWO, share=0.5, without_gate=TWO)
        assert "published all the same" in done.warnings[-1]
        facts = one.place.registry.state(TWO).history[-1].facts
        assert (facts["without_gate"], facts["verdict"]) == (True, verdict or "none")
        assert (await one.served.state())["canary"]["gate"]["verdict"] == (verdict or "none")
        assert "promoted all the same" in (await one.run(promote)).warnings[-1]


async def test_the_gateway_is_told_what_the_gate_said_and_remembers_it(bench: Start) -> None:
    async with bench(ranks=(4, 4, 4, 4)) as one:
        assert (await one.served.state())["live"]["gate"] is None
        await one.run(publish, TWO)
        gate = (await one.served.state())["live"]["gate"]
        assert (gate["verdict"], gate["plan_sha256"]) == ("pass", PLAN)
        [shown] = console_state(one.served.gateway.core)["adapters"]
        assert shown["gate"] == gate
        labels = {"backend": "box", "model": "tuned", "generation": TWO}
        assert one.served.gateway.metric("crossover_adapter_gate", **labels, verdict="pass") == 1
        assert read_state(one.served.folder / "adapters.json")[0].gates[TWO].verdict == "pass"
        await one.run(publish, THREE)
        await one.run(publish, "handbook@v0004")
        assert one.served.gateway.metric("crossover_adapter_gate", **labels, verdict="pass") is None


async def test_what_passed_another_gate_has_not_passed_the_one_that_the_settings_name(bench: Start) -> None:
    async with bench(gated=False) as one:
        strict = one.at(gate="handbook")
        for gate, verdict in (("handbook", "undecided"), ("easy", "pass")):
            one.place.registry.note(TWO, "gated", verdict=verdict, gate=gate)
        with pytest.raises(PublishError, match="of the gate 'handbook'"):
            await strict.run(publish, TWO)
        one.place.registry.note(TWO, "gated", verdict="pass", gate="handbook")
        assert (await strict.run(publish, TWO)).version == TWO


async def test_what_the_sealed_questions_refused_is_not_passed_by_the_others(bench: Start) -> None:
    async with bench(gated=False) as one:
        for verdict, holdout in (("pass", False), ("fail", True), ("pass", False)):
            one.place.registry.note(TWO, "gated", verdict=verdict, holdout=holdout)
        with pytest.raises(PublishError, match=r"failed its gate \(on the sealed questions\)"):
            await one.run(publish, TWO)
        one.place.registry.note(TWO, "gated", verdict="pass", holdout=True)
        assert (await one.run(publish, TWO)).version == TWO


async def test_what_passed_the_gate_when_it_asked_for_less_is_refused(bench: Start) -> None:
    terms = {"bar": 0.6, "judges": {"strict": "facts", "second": "grounding"}}
    async with bench(gated=False) as one:
        strict = one.at(gate="handbook", asks=NamedGate("handbook", terms, PLAN))
        for told, said in (
            ({"set_sha256": PLAN}, "bar: None then, 0.6 now"),
            ({"set_sha256": PLAN, "terms": {**terms, "bar": 0.3}}, "bar: 0.3 then, 0.6 now"),
            ({"set_sha256": "cd" * 32, "terms": terms}, "questions: the set cdcdcdcdcdcd then, abababababab now"),
        ):
            one.place.registry.note(TWO, "gated", verdict="pass", gate="handbook", **told)
            with pytest.raises(PublishError, match=said):
                await strict.run(publish, TWO)
        one.place.registry.note(TWO, "gated", verdict="pass", gate="handbook", set_sha256=PLAN, terms=terms)
        assert (await strict.run(publish, TWO)).version == TWO


async def test_a_gate_that_was_asked_until_it_passed_is_said(bench: Start) -> None:
    async with bench(gated=False) as one:
        for verdict in ("fail", "pass"):
            one.place.registry.note(TWO, "gated", verdict=verdict)
        done = await one.run(publish, TWO)
        assert f"{TWO} was gated 2 times, and the last one passed: fail, pass" in done.warnings


async def test_backends_that_get_no_requests_after_it_are_named(bench: Start) -> None:
    async with bench(second="http://127.0.0.1:9/v1") as one:
        done = await one.run(publish, TWO)
        assert "cloud gets no requests of tuned now" in done.warnings[0]


async def test_a_rollback_whose_answer_is_lost_is_looked_up_before_it_is_said_again(bench: Start) -> None:
    async with bench() as one:
        await one.run(publish, TWO)
        root = one.place.gateway.url
        key = one.place.gateway.key

        async def loses_the_answer(connection: Connection) -> None:
            path = connection.target
            sent = json.loads(connection.body) if connection.body else None
            method = "POST" if path.endswith("/rollback") else "GET"
            said = await asyncio.to_thread(ask, method, root + path, sent, key=key)
            if method == "GET":
                await connection.json(said.body)
            connection.writer.close()

        async with scripted_peer(loses_the_answer) as peer:
            lossy = one.at(gateway=GatewayAdmin(peer.url.removesuffix("/v1"), key))
            back = await lossy.run(rollback)
        assert (back.what, back.live) == (TWO, ONE)
        assert await one.served.answered_by() == ONE


async def test_of_an_adapter_that_the_alias_left_nothing_unused_stays(bench: Start) -> None:
    async with bench() as one:
        await one.run(publish, TWO)
        made = one.place.registry.get(TWO).adapter
        for _ in range(2):
            one.place.registry.add("tickets", made, Lineage(origin="imported"))
        for version in ("tickets@v0001", "tickets@v0002"):
            done = await one.run(publish, version, without_gate=version)
        assert done.unloaded == () or TWO in done.unloaded
        assert TWO not in await one.loaded()


def listing(root: str) -> object:
    async def peer(connection: Connection) -> None:
        await connection.json({"data": [{"id": "base", "root": root, "parent": None}]})

    return peer


@pytest.mark.parametrize(
    ("served", "said"),
    [
        ({"hidden_size": 64}, None),
        ({"hidden_size": 64, "quantization_config": {"bits": 4}}, None),
        ({"hidden_size": 128}, "another model"),
        (None, "is not known"),
    ],
)
async def test_an_adapter_of_another_base_is_refused_before_it_is_loaded(
    bench: Start, tmp_path: Path, served: dict[str, object] | None, said: str | None
) -> None:
    from trainer.publish.same_base import require_same_base

    made_for, there = tmp_path / "made_for", tmp_path / "there"
    for folder, config in ((made_for, {"hidden_size": 64}), (there, served)):
        folder.mkdir()
        if config is not None:
            (folder / "config.json").write_text(json.dumps(config))
    sha256 = hashlib.sha256((made_for / "config.json").read_bytes()).hexdigest()
    async with bench() as one, scripted_peer(listing(str(there))) as peer:  # type: ignore[arg-type]
        base = Base(path=str(made_for), config_sha256=sha256)
        made = one.place.registry.get(TWO).adapter
        version = one.place.registry.add("based", made, Lineage(origin="imported", base=base))
        place = one.at(server=ModelServer(peer.url)).place
        if said == "another model":
            with pytest.raises(PublishError, match=said):
                await asyncio.to_thread(require_same_base, place, version)
            return
        warnings = await asyncio.to_thread(require_same_base, place, version)
        assert [said in line for line in warnings if said] == ([True] if said else [])
        assert bool(warnings) == bool(said)
