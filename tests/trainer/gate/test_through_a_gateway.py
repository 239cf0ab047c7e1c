"""Generators and judges behind a real gateway: a box with a scripted model, and Bedrock's wire to the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.economics.prices import SECONDS_PER_MONTH
from gateway.sandbox.bedrock.server import serve
from gateway.sandbox.bedrock.settings import SandboxSettings
from tests.gateway_process import ADMIN_KEY, API_KEY, FAST_BOX
from tests.scripted_peer import scripted_peer
from tests.server.in_process import gateway_in_process
from tests.trainer.gate.peers import fair_judge, knows_the_answers, model, settings, streamed
from tests.trainer.gate.sets import FROZEN, RIGHT
from trainer.gate.canaries import canaries, try_judges
from trainer.gate.chat import Chats
from trainer.gate.errors import CanaryError, RefusedError
from trainer.gate.generate import generate, priced
from trainer.gate.judges import judge_answers, judges_of
from trainer.gate.runlog import RunLog
from trainer.gate.settings import GateSettings

LLAMA = "meta.llama3-1-8b-instruct-v1:0"
PRICE = {"kind": "per_token", "input_usd_per_1m": 0.25, "output_usd_per_1m": 1.25}
KEY = {"key_env": "XO_TEST_KEY"}


@pytest.fixture(autouse=True)
def no_bearer_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)


@asynccontextmanager
async def fleet(
    folder: Path, patch: Any, box_url: str, text: dict[str, Any] | None = None
) -> AsyncIterator[GateSettings]:
    """A gateway with `base` on the sandbox's Bedrock, paid by the token, and handbook@v0001 on a box, paid by time.
    The judge `second` is the sandbox's model, through the gateway."""
    models = [{"kind": "foundation", "id": LLAMA, "input_usd_per_1m": "0.25", "output_usd_per_1m": "1.25",
               "tokens_per_second": 2000, "first_token_seconds": 0}]  # fmt: skip
    sandbox = SandboxSettings.model_validate({"models": models, "text": text or {}})
    async with serve(sandbox) as served:
        cloud = {
            "wire": "bedrock", "region": "us-east-1", "endpoint_url": served.url, "cost": PRICE, "speed": FAST_BOX,
            "simulated": True, "credentials": {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret"},
        }  # fmt: skip
        box = {
            "wire": "openai", "base_url": box_url, "metrics_url": "", "speed": FAST_BOX,
            "cost": {"kind": "amortized", "usd_per_month": 200},
        }  # fmt: skip
        tuned = {"backend": "box", "model": "handbook@v0001", "generation": "handbook@v0001"}
        policy = {
            "backends": {"cloud": cloud, "box": box},
            "aliases": {
                "base": {"served_by": [{"backend": "cloud", "model": LLAMA, "api": "converse"}]},
                "handbook@v0001": {"served_by": [tuned]},
            },
        }  # fmt: skip
        async with gateway_in_process(policy, folder, patch) as gateway:
            url = f"{gateway.root}/v1"
            yield settings(
                url,
                sampling={"max_tokens": 40, "temperature": 0, "seed": None},
                generators={
                    "control": {"model": "base", "base_url": url, **KEY},
                    "candidate": {"model": "handbook@v0001", "base_url": url, **KEY},
                },
                judges={
                    "strict": {"kind": "rules", "rule": "facts"},
                    "second": {"kind": "model", "model": "base", "base_url": url, **KEY},
                },
            )


async def test_answers_name_backend_and_version_and_the_ledger_says_what_they_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        scripted_peer(model(knows_the_answers)) as peer,
        fleet(tmp_path, monkeypatch, peer.url) as of,
        Chats(4, environ={"XO_TEST_KEY": API_KEY}) as chats,
    ):
        found = {}
        for name in of.generators:
            with RunLog(tmp_path / f"{name}.jsonl") as log:
                found[name] = await priced(await generate(chats, of, FROZEN, name, log), tmp_path / "ledger.sqlite3")
    control, candidate = found["control"], found["candidate"]
    assert [one.text for one in candidate] == list(RIGHT.values())
    assert {(one.backend, one.adapter) for one in candidate} == {("box", "handbook@v0001")}
    assert {(one.backend, one.adapter) for one in control} == {("cloud", None)}
    for one in control:
        assert one.prompt_tokens
        assert one.completion_tokens
        charge = one.prompt_tokens * 0.25e-6 + one.completion_tokens * 1.25e-6
        assert one.usd == pytest.approx(charge, abs=2e-9)
    assert all(one.usd is not None and one.usd > 0 for one in candidate)
    a_second = 200 / float(SECONDS_PER_MONTH)
    busy = sum(one.latency_seconds or 0 for one in candidate)
    assert sum(one.usd or 0 for one in candidate) <= busy * a_second * 1.05


async def test_a_model_behind_bedrocks_wire_judges_through_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        scripted_peer(model(knows_the_answers)) as box,
        scripted_peer(streamed(fair_judge)) as big,
        fleet(tmp_path, monkeypatch, box.url, {"source": "openai", "base_url": big.url, "model": "big"}) as of,
        Chats(4, environ={"XO_TEST_KEY": API_KEY}) as chats,
    ):
        judges = judges_of(of, chats)
        with RunLog(tmp_path / "log.jsonl") as log:
            tried = await try_judges(judges, FROZEN, log)
            with RunLog(tmp_path / "candidate.jsonl") as answers_log:
                answers = await generate(chats, of, FROZEN, "candidate", answers_log)
            found = await judge_answers(judges, FROZEN.questions, answers, log)
    assert len(tried) == 2 * len(canaries(FROZEN))
    assert not any(API_KEY in path.read_text() for path in tmp_path.glob("*.jsonl"))
    assert [(one.judge, one.outcome) for one in found] == [("strict", "accept")] * 6 + [("second", "accept")] * 6


async def test_a_stand_in_that_only_simulates_text_is_found_out_by_the_canaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted_peer() as box, fleet(tmp_path, monkeypatch, box.url) as of:
        async with Chats(4, environ={"XO_TEST_KEY": API_KEY}) as chats:
            with RunLog(tmp_path / "log.jsonl") as log, pytest.raises(CanaryError) as caught:
                await try_judges(judges_of(of, chats), FROZEN, log)
        assert not box.requests
    assert "judge second failed the canary 'known good" in str(caught.value)
    assert "its outcome is unjudged" in str(caught.value)
    assert "simulated text" in str(caught.value)
    assert "judge strict" not in str(caught.value)


async def test_a_model_that_the_gateway_does_not_have_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted_peer() as box, fleet(tmp_path, monkeypatch, box.url) as of:
        generators = dict(of.generators)
        generators["control"] = generators["control"].model_copy(update={"model": "bass"})
        wrong = of.model_copy(update={"generators": generators})
        async with Chats(4, environ={"XO_TEST_KEY": API_KEY}) as chats:
            with RunLog(tmp_path / "c.jsonl") as log, pytest.raises(RefusedError, match="bass"):
                await generate(chats, wrong, FROZEN, "control", log)
        async with Chats(4, environ={"XO_TEST_KEY": ADMIN_KEY}) as chats:
            with RunLog(tmp_path / "c.jsonl") as log, pytest.raises(RefusedError, match="HTTP 401"):
                await generate(chats, of, FROZEN, "control", log)
