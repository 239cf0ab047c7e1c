"""The experiment's own files: a policy with this run's addresses, wrong answers for the worse adapter, what rows share
with the frozen questions, and the account that is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.policy import load_policy
from tests.trainer.gate.rooms import question, right, rooms
from trainer.gate.experiment.cli import experiment as command
from trainer.gate.experiment.keeping import FOLDERS, KEPT, account, keep, require_folder
from trainer.gate.experiment.parts import _policy
from trainer.gate.experiment.run import Outcome
from trainer.gate.experiment.sets import Overlap, overlap
from trainer.gate.experiment.settings import ExperimentError, new_work, wrong_rows

VALUES = {
    "PORT": "8099", "METRICS_PORT": "9099", "LEDGER": "/tmp/l.sqlite3", "STATE": "/tmp/s.json",
    "BOX_URL": "http://127.0.0.1:8001/v1", "BASE_MODEL": "base", "BEDROCK_URL": "http://127.0.0.1:9101",
}  # fmt: skip


def rows_file(file: Path, answers: list[str], passages: str = "") -> Path:
    made = [
        {"messages": [{"role": "user", "content": f"{passages} question {n}"}, {"role": "assistant", "content": text}]}
        for n, text in enumerate(answers)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in made))
    return file


@pytest.mark.parametrize("cloud", [True, False])
def test_the_gateways_policy_has_this_runs_addresses(tmp_path: Path, cloud: bool) -> None:
    policy = load_policy(_policy(tmp_path / "policy.yaml", VALUES, cloud=cloud), {}, require_environment=False)
    assert (policy.server.port, policy.backends["box"].base_url) == (8099, VALUES["BOX_URL"])
    assert set(policy.aliases) == {"handbook", "base", "candidate"} | ({"cloud"} if cloud else set())
    assert "${" not in (tmp_path / "policy.yaml").read_text()


def test_no_row_of_the_worse_adapter_keeps_its_answer(tmp_path: Path) -> None:
    answers = [f"answer {number}" for number in range(7)] + ["The handbook does not say."] * 2
    source = rows_file(tmp_path / "rows.jsonl", answers)
    assert wrong_rows(source, tmp_path / "wrong.jsonl") == 9
    turned = [json.loads(line)["messages"] for line in (tmp_path / "wrong.jsonl").read_text().splitlines()]
    assert sorted(messages[-1]["content"] for messages in turned) == sorted(answers)
    assert [messages[0]["content"].strip() for messages in turned] == [f"question {number}" for number in range(9)]
    assert all(messages[-1]["content"] != before for messages, before in zip(turned, answers, strict=True))
    with pytest.raises(ExperimentError, match="two or more"):
        wrong_rows(rows_file(tmp_path / "one.jsonl", ["a"]), tmp_path / "wrong.jsonl")


def test_what_rows_share_with_the_frozen_questions_is_found(tmp_path: Path) -> None:
    frozen = rooms(5)
    assert overlap(frozen, rows_file(tmp_path / "a.jsonl", ["Nothing."])) == Overlap((), ())
    assert overlap(frozen, rows_file(tmp_path / "b.jsonl", [right(2).upper()])).answered == ("q02",)
    shown = overlap(frozen, rows_file(tmp_path / "c.jsonl", ["Nothing."], passages=question(3).reference or ""))
    assert shown == Overlap((), ("q03",))
    assert overlap(frozen, rows_file(tmp_path / "d.jsonl", ["x"], passages=question(4).question)).asked == ("q04",)


def test_each_experiment_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert [new_work(tmp_path).name for _ in range(3)] == ["1", "2", "3"]


def test_the_account_says_what_was_found_and_what_each_step_took() -> None:
    found = Outcome(
        made_at="2026-11-23 09:00 UTC", machine="2 cores (x86_64)", model="small-model",
        questions=60, control="3 of 60 accepted; the bar is 50%", trained=True, version="experiment@v0001",
        verdict="pass", why="It is better.",
        accepted={"control": "3 of 60"}, p=0.00001, published=True, publication="it answers",
        easy_killed=True, easy="Base + RAG already clears the bar.", worse_verdict="fail", worse_refused=True,
        worse="refused: <b>", seconds={"train": 600.0, "gate": 60.0},
    )  # fmt: skip
    text = "\n".join(account(found))
    assert found.as_expected
    assert "small-model on 2 cores (x86_64), 2026-11-23 09:00 UTC." in text
    assert "| train | 10.0 |" in text
    assert "| **together** | 11.0 |" in text
    assert "answers them): the kill criterion fires. Base" in text
    assert "<b>" not in text
    for change in ({"published": False}, {"easy_killed": False}, {"worse_refused": False}):
        assert not Outcome(**{"verdict": "pass", "published": True, **change}).as_expected  # type: ignore[arg-type]


def test_what_an_earlier_experiment_kept_of_a_gate_that_was_not_run_now_is_taken_away(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for file in KEPT:
        (run / file).write_text("of the first")
    keep(Outcome(folders=dict.fromkeys(FOLDERS, str(run))), tmp_path / "kept")
    assert (tmp_path / "kept" / "worse" / "report.md").read_text() == "of the first"
    (tmp_path / "kept" / "easy" / "mine.txt").write_text("mine")
    keep(Outcome(killed=True), tmp_path / "kept")
    left = {str(file.relative_to(tmp_path / "kept")) for file in (tmp_path / "kept").rglob("*") if file.is_file()}
    assert left == {"README.md", "experiment.json", "easy/mine.txt"}


def test_a_folder_that_cannot_be_kept_in_is_said_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExperimentError, match=r"nothing can be kept in .*file .*: give a folder"):
        require_folder(tmp_path / "file")
    require_folder(tmp_path / "new" / "kept")
    assert list((tmp_path / "new" / "kept").iterdir()) == []
    told = CliRunner().invoke(_app(), ["--keep", str(tmp_path / "file"), "--home", str(tmp_path / "home")])
    assert told.exit_code == 1
    assert not (tmp_path / "home" / "experiments").exists()


def test_the_account_says_of_no_model_that_it_never_saw_the_handbook_but_the_base_model() -> None:
    text = "\n".join(account(Outcome(questions=60, trained=True)))
    assert "no model has read" not in text
    assert "the base model cannot know it" in text


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app
