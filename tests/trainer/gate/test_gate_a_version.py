"""A version of the registry through the gate by its training settings: brought there, judged, noted, taken away again.

The model server is the sandbox's small generator, whose answers no judge accepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from gateway.sandbox.generator.server import serve_in_thread
from gateway.sandbox.generator.settings import GeneratorSettings
from gateway.sandbox.hosting import free_port
from tests.gateway_process import ADMIN_KEY, API_KEY, GatewayProcess
from tests.server.adapters.places import policy
from tests.trainer.gate.rooms import rooms
from tests.trainer.publish.conftest import ONE, THREE, TWO, filled_registry
from trainer.gate import cli
from trainer.gate.frozen import write_frozen
from trainer.publish.model_server import ModelServer
from trainer.registry import Registry

app = typer.Typer()
app.command()(cli.gate)


@dataclass
class Desk:
    folder: Path
    gateway: GatewayProcess
    server: ModelServer

    def run(self, version: str, alias: str | None, control: str = "base") -> Result:
        """`alias`: the gate asks the gateway for it; None: the model server by the version's name."""
        training = {
            "version": 1, "name": "handbook", "base": {"model": "base"}, "data": {"train": "rows.jsonl"},
            "registry": "adapters",
            "gate": {"config": "gate.yaml"} | ({} if alias is None else {"alias": alias}),
            "publish": {"policy": "policy.yaml", "alias": "tuned", "backend": "box"},
        }  # fmt: skip
        candidate: dict[str, Any] = {"model": "handbook@v0001", "base_url": self.server.url}
        if alias is not None:
            candidate = {"model": alias, "base_url": self.gateway.url, "key_env": "XO_TEST_KEY"}
        gate = {
            "version": 1, "name": "rooms", "questions": "rooms.json", "out": "gates",
            "generators": {"control": {"model": control, "base_url": self.server.url}, "candidate": candidate},
            "control": "control", "candidate": "candidate", "sampling": {"max_tokens": 12, "temperature": 0},
            "judges": {"strict": {"kind": "rules", "rule": "facts"}, "second": {"kind": "rules", "rule": "grounding"}},
        }  # fmt: skip
        for name, made in (("train", training), ("gate", gate)):
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(made))
        words = ["--config", str(self.folder / "gate.yaml"), "--training", str(self.folder / "train.yaml")]
        environment = {"XO_TEST_KEY": API_KEY, "XO_TEST_ADMIN": ADMIN_KEY}
        return CliRunner().invoke(app, [*words, "--version", version], env=environment)

    def live(self, alias: str) -> str:
        states = self.gateway.admin("adapters")["adapters"]
        return str(next(one for one in states if one["alias"] == alias)["backends"][0]["live"]["model"])


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    filled_registry(folder / "adapters", gated=False)
    write_frozen(rooms(6), folder / "rooms.json")
    with serve_in_thread(GeneratorSettings(models=("base", ONE), tokens_per_second=2000)) as box:
        settings = policy(box.base_url, folder / "state.json")
        settings["aliases"]["candidate"] = {"served_by": [{"backend": "box", "model": "base"}]}
        gateway = GatewayProcess({**settings, "server": {"port": free_port()}}, folder)
        yield Desk(folder, gateway, ModelServer(box.base_url))
        gateway.close()


@pytest.mark.parametrize(("version", "alias", "stays"), [(TWO, None, False), (THREE, "candidate", True)])
def test_it_is_brought_to_the_gate_alone_and_refused(desk: Desk, version: str, alias: str | None, stays: bool) -> None:
    done = desk.run(version, alias)
    assert done.exit_code == 1, done.stdout + done.stderr
    assert "Verdict: failed" in done.stdout
    assert Registry(desk.folder / "adapters").state(version).verdict == "fail"
    assert desk.live("tuned") == ONE, "applications go on with what was live"
    assert (version in desk.server.loaded()) is stays
    if alias is not None:
        assert desk.live(alias) == version


def test_a_gate_that_comes_to_no_verdict_leaves_nothing_loaded(desk: Desk) -> None:
    done = desk.run(TWO, None, control="nobody")
    assert done.exit_code == 2, done.stdout + done.stderr
    assert TWO not in desk.server.loaded()
