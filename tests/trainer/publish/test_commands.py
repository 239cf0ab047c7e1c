"""The commands as they are typed: what they print, where, and their exit status."""

from __future__ import annotations

import json
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
from tests.gateway_process import ADMIN_KEY, GatewayProcess
from tests.server.adapters.places import ONE, policy
from tests.trainer.publish.conftest import THREE, TWO, filled_registry
from trainer.publish import cli
from trainer.publish.errors import PublishError
from trainer.publish.place import find_place

app = typer.Typer()
for command in (cli.publish, cli.promote, cli.rollback, cli.status, cli.sync):
    app.command()(command)

SETTINGS: dict[str, Any] = {
    "version": 1,
    "name": "handbook",
    "base": {"model": "base"},
    "data": {"train": "rows.jsonl"},
    "registry": "adapters",
}


@dataclass
class Desk:
    config: Path
    gateway: GatewayProcess

    def type(self, *words: str, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(
            app, [*words, "--config", str(self.config), "--gateway", self.gateway.root],
            env={"XO_TEST_ADMIN": ADMIN_KEY} if env is None else env,
        )  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One for all: what is refused changes nothing, and one test alone publishes."""
    folder = tmp_path_factory.mktemp("desk")
    filled_registry(folder / "adapters")
    with serve_in_thread(GeneratorSettings(models=("base", ONE))) as box:
        gateway = GatewayProcess(policy(box.base_url, folder / "state.json"), folder)
        config = folder / "train.yaml"
        where = {"policy": str(gateway.policy_file), "alias": "tuned", "backend": "box", "canary_share": 0.1}
        config.write_text(yaml.safe_dump({**SETTINGS, "publish": where}))
        yield Desk(config, gateway)
        gateway.close()


def test_a_version_goes_from_the_registry_to_traffic_and_back_by_commands(desk: Desk) -> None:
    canary = desk.type("publish", TWO)
    assert canary.exit_code == 0, canary.stderr
    assert f"{TWO} has 0.1 of the requests of tuned on box" in canary.stderr, "the share of the settings"
    assert canary.stdout == ""

    shown = desk.type("status", "--json")
    rows = json.loads(shown.stdout)["adapters"]
    assert [(row["role"], row["generation"], row["share"]) for row in rows] == [
        ("live", ONE, 0.9), ("canary", TWO, 0.1)
    ]  # fmt: skip
    assert all(row["loaded"] for row in rows)
    assert TWO in desk.type("status").stdout

    promoted = json.loads(desk.type("promote", "--json").stdout)
    assert (promoted["version"], promoted["share"]) == (TWO, None)
    published = json.loads(desk.type("publish", THREE, "--all", "--json").stdout)
    assert (published["version"], published["before"], published["share"]) == (THREE, TWO, None)
    back = json.loads(desk.type("rollback", "handbook", "--json").stdout)
    assert (back["what"], back["live"]) == (THREE, TWO)
    assert "nothing was missing" in desk.type("sync").stdout


@pytest.mark.parametrize(
    ("words", "env", "status", "said"),
    [
        (("publish", TWO, "--without-gate", THREE), None, 2, "must be the version's whole name"),
        (("publish", "handbook@v0009"), None, 2, "handbook@v0001 to handbook@v0003"),
        (("publish", TWO, "--canary", "1.5"), None, 2, "the canary's share is 1.5"),
        (("publish", TWO, "--canary", "0.5", "--all"), None, 2, "give one of them"),
        (("publish", TWO), {"XO_TEST_ADMIN": "wrong"}, 1, "does not take this admin key"),
        (("publish", TWO), {"XO_TEST_ADMIN": ""}, 2, "the environment variable XO_TEST_ADMIN is not set"),
        (("promote",), None, 2, "has no canary"),
        (("rollback",), None, 2, "nothing before it is known"),
    ],
)
def test_what_is_refused_is_said_on_standard_error_with_its_status(
    desk: Desk, words: tuple[str, ...], env: dict[str, str] | None, status: int, said: str
) -> None:
    refused = desk.type(*words, env=env)
    assert refused.exit_code == status, refused.stderr
    assert said in refused.stderr
    assert refused.stdout == ""


WHERE = {"registry": "adapters", "environ": {"XO_TEST_ADMIN": "k"}}


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    admin = {"admin_keys": [{"name": "owner", "env": "XO_TEST_ADMIN"}]}
    settings = policy("http://127.0.0.1:8000/v1", None, second="http://127.0.0.1:9/v1")
    settings["backends"]["twin"] = settings["backends"]["box"]
    file.write_text(yaml.safe_dump({"version": 1, "auth": admin, "server": {"host": "0.0.0.0"}, **settings}))
    return file


def test_addresses_and_keys_come_from_the_policy(policy_file: Path) -> None:
    place = find_place(policy_file, "tuned", "box", **WHERE)  # type: ignore[arg-type]
    assert place.gateway.url == "http://127.0.0.1:8080"
    assert place.server.url == "http://127.0.0.1:8000/v1"
    assert place.sharing == {"box", "twin"}, "two names of one model server"


@pytest.mark.parametrize(
    ("alias", "backend", "changed", "said"),
    [
        ("other", "box", {}, "the aliases of"),
        ("tuned", "twin", {}, "is served by: box, cloud"),
        ("tuned", "box", {"gateway_url": "http://gateway.example.com"}, "in clear text"),
        ("tuned", "box", {"gateway_url": "gateway"}, "no address of a gateway"),
        ("tuned", "box", {"admin_key_variable": "XO_NOT_SET"}, "XO_NOT_SET is not set"),
    ],
)
def test_a_place_that_cannot_be_is_refused_with_what_there_is(
    policy_file: Path, alias: str, backend: str, changed: dict[str, str], said: str
) -> None:
    with pytest.raises(PublishError, match=said) as raised:
        find_place(policy_file, alias, backend, **WHERE, **changed)  # type: ignore[arg-type]
    assert raised.value.status == 2
