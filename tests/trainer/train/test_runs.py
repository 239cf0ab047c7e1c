"""Which run a command goes on with, and when it must not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.settings.load import load_settings
from trainer.settings.schema import TrainSettings
from trainer.train import runs
from trainer.train.base import BLOCK_BYTES, BLOCKS, base_identity
from trainer.train.runs import RunError


@pytest.fixture
def settings(tmp_path: Path) -> TrainSettings:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).write_text(name)
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "train.yaml").write_text("version: 1\nname: a\nbase: {model: model}\ndata: {train: rows.jsonl}\n")
    return load_settings(tmp_path / "train.yaml").settings


def changed(settings: TrainSettings, **values: Any) -> TrainSettings:
    return TrainSettings.model_validate(settings.model_dump() | values)


def started(settings: TrainSettings, *, finished: bool = False) -> Path:
    identity = runs.identity(settings)
    folder = runs.choose(settings, identity, "auto").folder
    runs.start(folder, identity)
    if finished:
        (folder / "adapter").mkdir()
    return folder


def choose(settings: TrainSettings, wish: runs.Wish = "auto") -> runs.Choice:
    return runs.choose(settings, runs.identity(settings), wish)


def test_the_same_settings_and_data_come_back_to_an_unfinished_run(settings: TrainSettings) -> None:
    folder = started(settings)
    assert choose(settings) == runs.Choice(folder, "unfinished")
    assert choose(settings, "resume").folder == folder


def test_a_finished_run_is_not_trained_again(settings: TrainSettings) -> None:
    folder = started(settings, finished=True)
    assert choose(settings) == runs.Choice(folder, "finished")


def test_fresh_leaves_what_there_is_and_later_commands_go_on_with_the_fresh_one(settings: TrainSettings) -> None:
    first = started(settings, finished=True)
    second = choose(settings, "fresh")
    assert (second.folder.name, second.state) == (f"{first.name}-2", "new")
    runs.start(second.folder, runs.identity(settings))
    assert choose(settings) == runs.Choice(second.folder, "unfinished")
    assert choose(settings, "fresh").folder.name == f"{first.name}-3"


def test_other_settings_are_another_run_and_the_unfinished_one_is_named(settings: TrainSettings) -> None:
    folder = started(settings)
    choice = choose(changed(settings, seed=3))
    assert choice.state == "new"
    assert choice.folder != folder
    assert f"{folder.name} is unfinished" in choice.notes[0]
    assert "seed was 0 and is 3" in choice.notes[0]


def test_resuming_with_other_settings_is_refused_and_names_them(settings: TrainSettings) -> None:
    started(settings)
    other = changed(settings, seed=3, lora=settings.lora.model_dump() | {"rank": 4})
    with pytest.raises(RunError, match=r"lora\.rank was 16 and is 4; seed was 0 and is 3"):
        choose(other, "resume")


def test_resuming_after_the_data_changed_is_refused(settings: TrainSettings) -> None:
    started(settings)
    Path(settings.data.train).write_text("{}\n{}\n")
    with pytest.raises(RunError, match=r"what data\.train holds has changed"):
        choose(settings, "resume")


def test_resuming_nothing_is_refused(settings: TrainSettings) -> None:
    with pytest.raises(RunError, match="no unfinished run of a"):
        choose(settings, "resume")


def test_where_and_how_it_is_computed_may_change(settings: TrainSettings) -> None:
    folder = started(settings)
    other = changed(
        settings,
        description="another",
        registry="/elsewhere",
        batch=settings.batch.model_dump() | {"sequences_at_once": 1},
        device=settings.device.model_dump() | {"threads": 1, "checkpointing": "on"},
        publish={"policy": "p.yaml", "alias": "a", "backend": "b"},
    )
    assert choose(other, "resume").folder == folder


def test_a_run_follows_its_files_when_they_move(settings: TrainSettings, tmp_path: Path) -> None:
    folder = started(settings)
    moved = tmp_path / "moved.jsonl"
    Path(settings.data.train).rename(moved)
    assert choose(changed(settings, data=settings.data.model_dump() | {"train": str(moved)})).folder == folder


def test_two_processes_cannot_train_one_run(settings: TrainSettings) -> None:
    folder = started(settings)
    code = "import sys\nfrom pathlib import Path\nfrom trainer.train.runs import lock\nlock(Path(sys.argv[1]))\n"
    hold = code + "print('held', flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", hold, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"being trained by process {holder.pid}"):
            runs.lock(folder)
        holder.kill()
    os.close(runs.lock(folder))


def test_a_second_process_does_not_write_over_what_the_first_wrote(settings: TrainSettings) -> None:
    folder = started(settings)
    before = (folder / "identity.json").stat()
    runs.start(folder, {"another": 1})
    assert (folder / "identity.json").stat() == before


def test_a_fresh_run_does_not_go_on_with_what_another_trained_in_the_meantime(settings: TrainSettings) -> None:
    folder = choose(settings, "fresh").folder
    (folder / "checkpoints").mkdir(parents=True)
    with pytest.raises(RunError, match="another has trained there since"):
        runs.start(folder, runs.identity(settings), "fresh")


def test_a_locked_folder_without_an_identity_is_no_run_yet(settings: TrainSettings) -> None:
    folder = choose(settings).folder
    os.close(runs.lock(folder))
    assert choose(settings) == runs.Choice(folder, "new")


@pytest.mark.parametrize(
    "file", ["tokenizer.json", "chat_template.jinja", "generation_config.json", "model.safetensors"]
)
def test_another_base_in_the_same_folder_is_another_run_and_its_file_is_named(
    settings: TrainSettings, file: str
) -> None:
    changed_file = Path(settings.base.model) / file
    changed_file.write_text("abc")
    started(settings)
    changed_file.write_text("cba")
    with pytest.raises(RunError, match=rf"what base\.model holds has changed \({file}\)"):
        choose(settings, "resume")


def test_large_weights_are_told_apart_by_samples(tmp_path: Path) -> None:
    header = b"{}" + b" " * 6
    half = BLOCKS * BLOCK_BYTES
    for name, parts in (("one", (b"a", b"b")), ("other", (b"b", b"a"))):
        (tmp_path / name).mkdir()
        content = len(header).to_bytes(8, "little") + header + b"".join(part * half for part in parts)
        (tmp_path / name / "model.safetensors").write_bytes(content)
    assert base_identity(tmp_path / "one") == base_identity(tmp_path / "one")
    assert base_identity(tmp_path / "one") != base_identity(tmp_path / "other")
