"""What was published is there again after a restart, until the policy itself names something else."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.routing.deployment import Canary, Deployment, Served
from gateway.server.adapters import state_file
from gateway.server.adapters.state_file import Remembered, read_state, write_state
from gateway.server.core import Core
from tests.server.adapters.places import ONE, TWO, placed, policy
from tests.server.in_process import policy_of


def core_of(folder: Path, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> Core:
    monkeypatch.setenv("XO_TEST_KEY", "k")
    monkeypatch.setenv("XO_TEST_ADMIN", "a")
    settings = policy("http://127.0.0.1:9/v1", folder / "adapters.json") | changed
    core = Core(policy_of(settings, folder))
    assert core.ledger is not None
    core.ledger.close()
    return core


async def test_a_restart_goes_on_with_what_was_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO)
        assert (await place.publish(TWO)).json()["warnings"] == []
    core = core_of(tmp_path, monkeypatch)
    [route] = core.router.aliases["tuned"].routes
    assert route.target.model == TWO
    assert core.deployments.slots["tuned", "box"].deployment.previous == Served(ONE, ONE)
    info = core.series.registry.get_sample_value
    assert info("crossover_adapter_info", {"backend": "box", "model": "tuned", "generation": TWO}) == 1
    assert info("crossover_adapter_info", {"backend": "box", "model": "tuned", "generation": ONE}) is None


async def test_a_canary_is_remembered_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO)
        await place.publish(TWO, share=0.25)
    slot = core_of(tmp_path, monkeypatch).deployments.slots["tuned", "box"]
    assert slot.deployment.canary == Canary(Served(TWO, TWO), 0.25)
    assert [slot.next().served.generation for _ in range(4)] == [ONE, ONE, ONE, TWO]


async def test_a_policy_that_was_changed_since_holds_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO)
        await place.publish(TWO)
    served = [{"backend": "box", "model": "handbook@v0009", "generation": "handbook@v0009"}]
    with caplog.at_level(logging.WARNING):
        core = core_of(tmp_path, monkeypatch, aliases={"tuned": {"served_by": served}})
    assert core.router.aliases["tuned"].routes[0].target.model == "handbook@v0009"
    assert "the policy names handbook@v0009 there now" in caplog.text


async def test_what_the_policy_does_not_serve_any_more_is_ignored_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Remembered("gone", "box", Served(ONE, ONE), Deployment(Served(TWO, TWO), None, None, 1.0, 1))
    write_state(tmp_path / "adapters.json", [gone])
    with caplog.at_level(logging.WARNING):
        core = core_of(tmp_path, monkeypatch)
    assert core.router.aliases["tuned"].routes[0].target.model == ONE
    assert "does not serve that alias there any more" in caplog.text


async def test_without_a_state_file_publishing_works_and_says_that_it_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch, state=False) as place:
        await place.load(TWO)
        [warning] = (await place.publish(TWO)).json()["warnings"]
        assert "adapters.state" in warning
        assert await place.answered_by() == TWO


async def test_where_it_cannot_be_kept_nothing_is_published_and_a_rollback_works_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO)
        await place.publish(TWO)
        place.gateway.core.deployments.path = tmp_path / "policy.yaml" / "below a file"
        refused = await place.publish(ONE)
        assert refused.status_code == 500
        assert "Nothing was changed" in refused.json()["error"]["message"]
        assert await place.answered_by() == TWO
        back = await place.admin("POST", "/tuned/box/rollback")
        assert back.status_code == 200
        assert "forgotten" in back.json()["warnings"][0]
        assert await place.answered_by() == ONE


@pytest.mark.parametrize("content", ["", "{", '{"schema": 9, "deployments": []}', "[1]"])
def test_a_state_file_that_is_spoilt_stops_the_start_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "adapters.json").write_text(content)
    with pytest.raises(ValueError, match="move it away"):
        core_of(tmp_path, monkeypatch)


def test_a_file_is_whole_or_not_there_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "adapters.json"
    one = Remembered("a", "b", Served(ONE, ONE), Deployment(Served(TWO, TWO), Served(ONE, ONE), None, 5.0, 1))
    write_state(file, [one])
    assert read_state(file) == (one,)
    assert json.loads(file.read_text())["schema"] == 1
    assert os.listdir(file.parent) == ["adapters.json"]
    assert read_state(tmp_path / "nothing.json") == ()


def test_a_name_with_a_lines_end_in_the_file_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt = Deployment(Served(f"{TWO}\n", f"{TWO}\n"), Served(ONE, ONE), None, 5.0, 1)
    write_state(tmp_path / "adapters.json", [Remembered("tuned", "box", Served(ONE, ONE), spoilt)])
    with pytest.raises(ValueError, match="no published name"):
        core_of(tmp_path, monkeypatch)


async def test_a_folder_that_cannot_be_synced_does_not_make_a_publication_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(folder: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(state_file, "sync_folder", fails)
    async with placed(tmp_path, monkeypatch) as place:
        await place.load(TWO)
        assert (await place.publish(TWO)).status_code == 200
    assert read_state(tmp_path / "adapters.json")[0].deployment.live.model == TWO
    assert "could not be synced" in caplog.text
