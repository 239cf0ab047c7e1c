"""`crossover adapter gate` as it is typed, against a peer that answers: verdicts, exit statuses, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from tests.trainer.adapters import write_adapter
from tests.trainer.gate.rooms import Peer, peer, rooms
from trainer.gate import cli
from trainer.gate.frozen import write_frozen
from trainer.gate.plan import Plan
from trainer.registry import Lineage, Registry

app = typer.Typer()
app.command()(cli.gate)
PEER: dict[str, Any] = {"timeout_seconds": 20}


@dataclass
class Desk:
    folder: Path
    peer: Peer

    def settings(self, questions: int = 36, **changed: Any) -> Path:
        frozen = self.folder / f"rooms-{questions}.json"
        if not frozen.exists():
            write_frozen(rooms(questions), frozen)
        made = {
            "version": 1, "name": "rooms", "questions": str(frozen), "out": str(self.folder / "gates"),
            "generators": {
                "control": {"model": "right-4", "base_url": self.peer.url, "note": "<b>base</b>", **PEER},
                "candidate": {"model": "rooms@v0001", "base_url": self.peer.url, **PEER},
            },
            "control": "control", "candidate": "candidate",
            "judges": {"strict": {"kind": "rules", "rule": "facts"}, "second": {"kind": "rules", "rule": "grounding"}},
            "bar": 0.6,
        }  # fmt: skip
        file = self.folder / "gate.yaml"
        file.write_text(yaml.safe_dump({**made, **changed}))
        return file

    def run(self, config: Path, *words: str) -> Result:
        return CliRunner().invoke(app, ["--config", str(config), *words])

    def version(self, name: str) -> Path:
        """A registry with one version of that name."""
        root = self.folder / "adapters"
        made = write_adapter(self.folder / f"trained-{name}", rank=4, seed=0)
        Registry(root).add(name, made, Lineage(origin="imported"))
        return root


@pytest.fixture(scope="module")
def running() -> Iterator[Peer]:
    with peer() as made:
        yield made


@pytest.fixture
def desk(tmp_path: Path, running: Peer) -> Desk:
    running.asked.clear()
    running.broken = False
    return Desk(tmp_path, running)


def test_a_better_model_passes_and_its_history_is_told(desk: Desk) -> None:
    registry = desk.version("rooms")
    done = desk.run(desk.settings(), "--version", "rooms", "--registry", str(registry), "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    verdict = record["verdict"]
    assert (record["version"], verdict["outcome"]) == ("rooms@v0001", "pass")
    assert verdict["generators"]["candidate"]["accepted"] == 36
    folder = desk.folder / "gates" / "rooms" / record["run"]
    assert {"plan.json", "answers", "judgements.jsonl", "verdict.json", "report.md", "report.html"} <= {
        file.name for file in folder.iterdir()
    }
    plan = json.loads((folder / "plan.json").read_text())
    assert plan["sha256"] == verdict["plan_sha256"]
    [event] = [one for one in Registry(registry).state("rooms").history if one.event == "gated"]
    assert event.facts["verdict"] == "pass"
    assert event.facts["plan_sha256"] == plan["sha256"]
    assert event.facts["set_sha256"] == plan["set_sha256"]
    assert event.facts["run"] == str(folder)

    asked = dict(desk.peer.asked)
    again = desk.run(desk.settings(), "--version", "rooms", "--registry", str(registry))
    assert again.exit_code == 0, again.stderr
    assert "Verdict: passed" in again.stdout
    assert desk.peer.asked == asked, "what was answered is not asked again"
    assert len(Registry(registry).state("rooms").history) == 2, "added, gated once"


def test_a_worse_model_fails_and_one_that_cannot_be_told_is_undecided(desk: Desk) -> None:
    generators = yaml.safe_load(desk.settings().read_text())["generators"]
    worse = {**generators, "candidate": {**generators["candidate"], "model": "right-1"}}
    failed = desk.run(desk.settings(generators=worse))
    assert failed.exit_code == 1, failed.stdout + failed.stderr
    assert "Verdict: failed" in failed.stdout
    few = desk.run(desk.settings(questions=7))
    assert few.exit_code == 3, few.stdout + few.stderr
    assert "undecided" in few.stdout


def test_a_control_that_clears_the_bar_fires_the_kill_criterion(desk: Desk) -> None:
    generators = yaml.safe_load(desk.settings().read_text())["generators"]
    easy = {**generators, "control": {**generators["control"], "model": "right-36"}}
    done = desk.run(desk.settings(generators=easy))
    assert done.exit_code == 1
    assert "The kill criterion fires." in done.stdout


def test_a_plan_that_was_changed_after_the_first_request_is_refused(desk: Desk) -> None:
    assert desk.run(desk.settings()).exit_code == 0
    refused = desk.run(desk.settings(bar=0.3))
    assert refused.exit_code == 2
    assert "bar: 0.6 was registered, and now it is 0.3" in refused.stderr
    again = desk.run(desk.settings(bar=0.3), "--again", "--json")
    assert again.exit_code == 0, again.stderr
    record = json.loads(again.stdout)
    assert record["run"].endswith("-2")
    plan = json.loads((desk.folder / "gates" / "rooms" / record["run"] / "plan.json").read_text())
    assert plan["earlier_verdicts"] == 1, "one set, looked at twice, is said"


def test_a_plan_that_somebody_wrote_over_is_refused(desk: Desk) -> None:
    assert desk.run(desk.settings()).exit_code == 0
    [file] = (desk.folder / "gates" / "rooms").glob("*/plan.json")
    file.write_text(file.read_text().replace('"bar": 0.6', '"bar": 0.1'))
    refused = desk.run(desk.settings(bar=0.1))
    assert refused.exit_code == 2
    assert "not as it was registered" in refused.stderr


def test_a_plan_that_is_gone_is_not_written_anew_beside_its_answers(desk: Desk) -> None:
    assert desk.run(desk.settings()).exit_code == 0
    [file] = (desk.folder / "gates" / "rooms").glob("*/plan.json")
    file.unlink()
    refused = desk.run(desk.settings(bar=0.1))
    assert refused.exit_code == 2, refused.stdout
    assert "no plan.json" in refused.stderr
    assert not file.exists()


def test_a_plan_and_its_hash_that_were_changed_after_the_verdict_are_refused(desk: Desk) -> None:
    assert desk.run(desk.settings()).exit_code == 0
    [file] = (desk.folder / "gates" / "rooms").glob("*/plan.json")
    written = json.loads(file.read_text()) | {"bar": 0.1}
    written.pop("sha256")
    plan = msgspec.convert(written, Plan)
    file.write_text(json.dumps({"sha256": plan.sha256(), **written}))
    refused = desk.run(desk.settings(bar=0.1))
    assert refused.exit_code == 2
    assert "is not the plan that" in refused.stderr


def test_an_old_verdict_that_is_looked_at_again_is_not_the_last_word(desk: Desk) -> None:
    registry = desk.version("rooms")
    words = ("--version", "rooms", "--registry", str(registry))
    for questions, status in ((36, 0), (7, 3), (36, 0)):
        done = desk.run(desk.settings(questions=questions), *words)
        assert done.exit_code == status, done.stderr
    gated = [one for one in Registry(registry).state("rooms").history if one.event == "gated"]
    assert [one.facts["verdict"] for one in gated] == ["pass", "undecided"]
    assert gated[0].facts["terms"]["bar"] == 0.6


def test_a_run_that_is_looked_at_again_keeps_its_time_and_who_was_simulated(desk: Desk) -> None:
    assert desk.run(desk.settings()).exit_code == 0
    [file] = (desk.folder / "gates" / "rooms").glob("*/verdict.json")
    kept = {**json.loads(file.read_text()), "made_at": "2026-01-01T00:00:00Z", "simulated": {"candidate": "a stand-in"}}
    file.write_text(json.dumps(kept))
    assert desk.run(desk.settings()).exit_code == 0
    now = json.loads(file.read_text())
    assert (now["made_at"], now["simulated"]) == (kept["made_at"], kept["simulated"])
    assert "a stand-in" in (file.parent / "report.md").read_text()


def test_a_verdict_that_changes_because_what_was_missing_came_says_so(desk: Desk) -> None:
    desk.peer.silent = {3, 7, 11, 13}
    first = desk.run(desk.settings(bar=0.9), "--json")
    assert first.exit_code == 3, first.stderr
    desk.peer.silent = set()
    second = desk.run(desk.settings(bar=0.9), "--json")
    assert second.exit_code == 0, second.stderr
    record, before = json.loads(second.stdout), json.loads(first.stdout)
    assert record["run"] == before["run"]
    assert record["remarks"] == [
        f"This run said undecided at {before['made_at']}. What was unjudged then was asked again; the rest is as "
        "it was."
    ]
    assert "This run said undecided" in desk.run(desk.settings(bar=0.9)).stdout


def test_the_plan_is_there_before_the_first_request_and_a_broken_run_goes_on(desk: Desk) -> None:
    desk.peer.broken = True
    broken = desk.run(desk.settings(retries=0))
    assert broken.exit_code == 2, broken.stdout
    [plan] = (desk.folder / "gates" / "rooms").glob("*/plan.json")
    assert not (plan.parent / "verdict.json").exists()
    desk.peer.broken = False
    assert desk.run(desk.settings(retries=0)).exit_code == 0


def test_answers_that_do_not_say_which_version_they_are_of_are_not_its_verdict(desk: Desk) -> None:
    registry = desk.version("rooms")
    generators = yaml.safe_load(desk.settings().read_text())["generators"]
    alias = {**generators, "candidate": {**generators["candidate"], "model": "right-30"}}
    refused = desk.run(desk.settings(generators=alias), "--version", "rooms@v0001", "--registry", str(registry))
    assert refused.exit_code == 2, refused.stdout
    assert "rooms@v0001" in refused.stderr
    assert [one.event for one in Registry(registry).state("rooms").history] == ["added"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--version", "rooms@v0009"), "has no"),
        (("--holdout",), "the settings name none"),
        (("--training", "train.yaml"), "give --version too"),
    ],
)
def test_what_is_asked_wrongly_ends_with_status_2(desk: Desk, words: tuple[str, ...], said: str) -> None:
    refused = desk.run(desk.settings(), "--registry", str(desk.folder / "adapters"), *words)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert refused.stdout == ""


def test_the_sealed_questions_are_another_run(desk: Desk) -> None:
    write_frozen(rooms(30), desk.folder / "rooms-30.json")
    config = desk.settings(holdout=str(desk.folder / "rooms-30.json"))
    record = json.loads(desk.run(config, "--holdout", "--json").stdout)
    assert record["verdict"]["holdout"] is True
    assert record["verdict"]["questions"] == 30
