"""Publishing, canaries and rollbacks through the admin pages, on real sockets and under load."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.server.console.state import state as console_state
from tests.gateway_process import API_KEY
from tests.server.adapters.places import BODY, ONE, THREE, TWO, placed


async def test_a_published_generation_answers_from_the_next_request_on_and_every_trace_of_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        assert await place.answered_by() == ONE
        await place.load(TWO)
        told = (await place.publish(TWO)).json()
        assert told["newest"] == TWO
        assert told["backends"][0]["live"] == {
            "model": TWO, "generation": TWO, "in_flight": 0, "missing": False, "gate": None
        }  # fmt: skip
        assert told["backends"][0]["previous"]["generation"] == ONE
        assert told["warnings"] == []
        answer = await place.ask()
        assert answer.headers["x-crossover-adapter"] == TWO
        assert answer.json()["model"] == TWO
        kept = place.gateway.core.decisions.latest(1)[0]
        assert [one.generation for one in kept.sent] == [TWO]
        labels = {"backend": "box", "model": "tuned", "generation": TWO}
        assert place.gateway.metric("crossover_adapter_requests_total", **labels, outcome="ok") == 1
        assert place.gateway.metric("crossover_adapter_info", **labels) == 1
        assert place.gateway.metric("crossover_adapter_share", **labels) == 1
        assert place.gateway.metric("crossover_adapter_share", **{**labels, "generation": ONE}) == 0
        assert place.gateway.metric("crossover_adapter_info", **{**labels, "generation": ONE}) is None


async def test_a_canary_gets_its_share_to_the_request_and_series_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO)
        assert (await place.publish(TWO, share=0.2)).status_code == 200
        [shown] = console_state(place.gateway.core)["adapters"]
        assert (shown["generation"], shown["canary"]["generation"], shown["canary"]["share"]) == (ONE, TWO, 0.2)
        answers = Counter([await place.answered_by() for _ in range(20)])
        assert answers == {ONE: 16, TWO: 4}
        told = await place.admin("GET")
        assert told.json()["adapters"][0]["newest"] == ONE, "a canary makes nobody lag"
        for generation, wanted in answers.items():
            labels = {"backend": "box", "model": "tuned", "generation": str(generation)}
            assert place.gateway.metric("crossover_adapter_requests_total", **labels, outcome="ok") == wanted
            tokens = place.gateway.metric("crossover_adapter_tokens_total", **labels, token_type="output")
            assert tokens is not None
            assert tokens > 0
        assert (await place.admin("POST", "/tuned/box/promote")).json()["newest"] == TWO
        assert {await place.answered_by() for _ in range(6)} == {TWO}


async def test_streams_of_a_canary_have_a_time_to_first_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO)
        await place.publish(TWO, share=0.5)
        for _ in range(4):
            assert (await place.ask(stream=True)).status_code == 200
        for generation in (ONE, TWO):
            labels = {"backend": "box", "model": "tuned", "generation": generation}
            assert place.gateway.metric("crossover_adapter_time_to_first_token_seconds_count", **labels) == 2


async def test_a_rollback_ends_the_canary_first_and_then_brings_the_previous_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO, THREE)
        await place.publish(TWO)
        await place.publish(THREE, share=0.5)
        told = (await place.admin("POST", "/tuned/box/rollback")).json()["backends"][0]
        assert (told["live"]["generation"], told["canary"]) == (TWO, None)
        told = (await place.admin("POST", "/tuned/box/rollback")).json()["backends"][0]
        assert (told["live"]["generation"], told["previous"]) == (ONE, None)
        assert await place.answered_by() == ONE
        refused = await place.admin("POST", "/tuned/box/rollback")
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "adapter_conflict"


async def test_no_request_fails_while_generations_are_flipped_under_load_and_each_is_wholly_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch, generator={"tokens_per_second": 400.0}) as place:
        await place.load(TWO, THREE)
        done = asyncio.Event()
        seen: Counter[str] = Counter()

        async def application(stream: bool) -> None:
            headers = {"authorization": f"Bearer {API_KEY}"}
            body: dict[str, Any] = {**BODY, "stream": stream, "max_tokens": 6}
            while not done.is_set():
                answer = await place.http.post(f"{place.gateway.root}/v1/chat/completions", json=body, headers=headers)
                assert answer.status_code == 200, answer.text
                generation = answer.headers["x-crossover-adapter"]
                assert answer.text.count(f'"model":"{generation}"') == answer.text.count('"model":"')
                assert not stream or answer.text.endswith("data: [DONE]\n\n")
                seen[generation] += 1

        async with asyncio.TaskGroup() as tasks:
            for number in range(12):
                tasks.create_task(application(stream=number % 2 == 0))
            for _ in range(4):
                for method, path, body in (
                    ("PUT", "", {"model": TWO, "share": 0.3}), ("POST", "/promote", None),
                    ("PUT", "", {"model": THREE}), ("POST", "/rollback", None), ("PUT", "", {"model": ONE}),
                ):  # fmt: skip
                    said = await place.admin(method, f"/tuned/box{path}", json=body)
                    assert said.status_code == 200, said.text
                    await asyncio.sleep(0.03)
            done.set()
        assert set(seen) == {ONE, TWO, THREE}
        assert (
            place.gateway.metric("crossover_requests_total", backend="box", model="tuned", outcome="ok") == seen.total()
        )
        state = await place.state()
        assert state["draining"] == []
        assert [state[which]["in_flight"] for which in ("live", "previous")] == [0, 0]


async def test_requests_under_way_are_counted_by_generation_until_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch, generator={"tokens_per_second": 20.0}) as place:
        await place.load(TWO, THREE)
        first = asyncio.create_task(place.ask(stream=True, max_tokens=12, ignore_eos=True))
        while not (await place.state())["live"]["in_flight"]:
            await asyncio.sleep(0.005)
        await place.publish(TWO)
        assert (await place.state())["previous"]["in_flight"] == 1
        await place.publish(THREE)
        [draining] = (await place.state())["draining"]
        assert (draining["generation"], draining["in_flight"]) == (ONE, 1)
        labels = {"backend": "box", "model": "tuned", "generation": ONE}
        assert place.gateway.metric("crossover_adapter_requests_total", **labels, outcome="ok") == 0
        assert (await first).headers["x-crossover-adapter"] == ONE
        assert (await place.state())["draining"] == []
        left = {
            sample.labels["generation"]
            for family in place.gateway.core.series.registry.collect()
            for sample in family.samples
            if family.name.startswith("crossover_adapter")
        }
        assert left == {TWO, THREE}, "what is neither live, previous nor a canary has no series"


async def test_what_the_backend_has_not_loaded_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        for share in (None, 0.1):
            refused = await place.publish(TWO, share=share)
            assert refused.status_code == 409
            assert refused.json()["error"]["code"] == "adapter_not_loaded"
            assert "crossover adapter publish" in refused.json()["error"]["message"]
        assert await place.answered_by() == ONE


async def test_a_body_that_is_wrong_is_refused_in_openais_shape_and_names_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong: list[tuple[object, str]] = [
        ({"model": "../../etc/passwd"}, "model"),
        ({"model": "x" * 65}, "model"),
        ({"model": TWO, "generation": "a b"}, "generation"),
        ({"model": TWO, "share": 0}, "share"),
        ({"model": TWO, "share": 1.5}, "share"),
        ({"model": TWO, "path": "/tmp/adapter"}, "path"),
        ({"share": 0.1}, "model"),
        ("not an object", "object"),
    ]
    async with placed(tmp_path, monkeypatch) as place:
        for body, named in wrong:
            refused = await place.admin("PUT", "/tuned/box", json=body)
            assert refused.status_code == 400
            assert refused.json()["error"]["type"] == "invalid_request_error"
            assert named in refused.json()["error"]["message"]


async def test_the_pages_are_the_owners_and_bodies_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        root = f"{place.gateway.root}/admin/adapters"
        for key in ({}, {"authorization": f"Bearer {API_KEY}"}, {"authorization": "Bearer wrong"}):
            for method, path in (("GET", ""), ("PUT", "/tuned/box"), ("POST", "/tuned/box/rollback")):
                assert (await place.http.request(method, root + path, headers=key)).status_code == 401
        assert (await place.admin("PUT", "/tuned/box", content=b"x" * 5000)).status_code == 413
        unknown = await place.admin("POST", "/tuned/elsewhere/promote")
        assert unknown.status_code == 404
        assert "tuned/box" in unknown.json()["error"]["message"]


async def test_a_target_that_lags_gets_nothing_until_it_keeps_up_or_may_lag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch, second="http://127.0.0.1:9/v1") as place:
        await place.load(TWO)
        await place.publish(TWO, share=0.5)
        assert (await place.state("cloud"))["excluded"] is None, "a canary makes nobody lag"
        await place.admin("POST", "/tuned/box/promote")
        excluded = (await place.state("cloud"))["excluded"]
        assert ONE in excluded
        assert TWO in excluded
        await place.ask()
        decision = place.gateway.core.decisions.latest(1)[0].decision
        assert [c.excluded for c in decision.candidates if c.backend == "cloud"] == [excluded]
        await place.admin("POST", "/tuned/box/rollback")
        assert (await place.state("cloud"))["excluded"] is None


async def test_a_target_that_may_lag_serves_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with placed(tmp_path, monkeypatch, second="http://127.0.0.1:9/v1", may_lag=True) as place:
        await place.load(TWO)
        await place.publish(TWO)
        assert (await place.state("cloud"))["excluded"] is None


async def test_a_rollback_said_twice_by_name_leaves_what_it_brought_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO, THREE)
        await place.publish(TWO)
        await place.publish(THREE, share=0.5)
        for status in (200, 409):
            said = await place.admin("POST", "/tuned/box/rollback", json={"expected": THREE})
            assert said.status_code == status
        assert await place.answered_by() == TWO
        assert (await place.admin("POST", "/tuned/box/rollback", json={"what": TWO})).status_code == 400


async def test_a_name_with_a_lines_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        for wrong in ({"model": f"{TWO}\n"}, {"model": TWO, "generation": f"{TWO}\n"}):
            assert (await place.admin("PUT", "/tuned/box", json=wrong)).status_code == 400


async def test_a_generation_that_no_header_can_carry_does_not_break_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        slot = place.gateway.core.deployments.slots["tuned", "box"]
        slot.live.target = slot.live.target.model_copy(update={"generation": "two\nlines"})
        assert await place.answered_by() == "two?lines"


async def test_a_target_that_begins_to_lag_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with placed(tmp_path, monkeypatch, second="http://127.0.0.1:9/v1") as place:
        await place.load(TWO, THREE)
        with caplog.at_level(logging.WARNING):
            await place.publish(TWO)
            await place.publish(THREE, share=0.5)
        said = [r.getMessage() for r in caplog.records if "cloud gets no requests of tuned" in r.getMessage()]
        assert len(said) == 1
        assert TWO in said[0]
