"""A training settings file is read into settings, or everything that is wrong with it is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.policy.problem import SettingsError
from trainer.settings.load import Loaded, load_settings
from trainer.settings.provenance import lines

GOOD = """\
version: 1
name: handbook
base: {model: models/small}
data: {train: rows.jsonl}
lora:
  rank: 8
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a base model's files, empty, and a file of rows."""
    model = tmp_path / "models" / "small"
    model.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).touch()
    (tmp_path / "rows.jsonl").touch()
    return tmp_path


def load(folder: Path, text: str, **options: object) -> Loaded:
    file = folder / "train.yaml"
    file.write_text(text)
    return load_settings(file, **options)  # type: ignore[arg-type]


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(folder, text)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_paths_are_relative_to_the_settings_file(folder: Path) -> None:
    settings = load(folder, GOOD).settings
    assert settings.base.model == str(folder / "models" / "small")
    assert settings.data.train == str(folder / "rows.jsonl")
    assert settings.runs == str(folder / "runs")


def test_everything_that_is_wrong_is_said_at_once_with_its_place(folder: Path) -> None:
    text = """\
version: 1
name: Hand Book
base: {model: nowhere}
data:
  train: missing.jsonl
  evaluaton: x.jsonl
lora:
  rank: 64
  targets: 7
optimizer: {learning_rate: fast, schedule: cosin}
length: {epochs: null}
device: {fp8: true, engine: peft}
"""
    found = problems(folder, text)
    for place, part in (
        ("train.yaml:2:7", "name: does not have the form"),
        ("train.yaml:3:15", "nowhere is not a folder; nothing is fetched"),
        ("train.yaml:5:10", "missing.jsonl is not there"),
        ("train.yaml:6:3", "unknown setting; did you mean `evaluation`?"),
        ("train.yaml:9:12", "must be 'all-linear', or must be a list (got 7)"),
        ("train.yaml:10:28", "must be a valid number"),
        ("train.yaml:10:44", "did you mean `cosine`?"),
        ("train.yaml:11:9", "give epochs or max_steps"),
        ("train.yaml:12:15", "engine peft does not compute in 8 bits"),
    ):
        assert any(line.startswith(place) and part in line for line in found), (place, part, found)
    assert any("lora.rank is 64 and serving.max_lora_rank is 16" in line for line in found)
    assert len(found) == 10


def test_a_rank_that_the_server_would_refuse_is_refused_before_training(folder: Path) -> None:
    assert "serving.max_lora_rank is 4" in problems(folder, GOOD + "serving: {max_lora_rank: 4}\n")[0]
    assert load(folder, GOOD + "serving: {max_lora_rank: 8}\n").settings.lora.rank == 8


def test_a_model_folder_without_its_parts_is_named_part_by_part(folder: Path) -> None:
    for file in (folder / "models" / "small").iterdir():
        file.unlink()
    found = "\n".join(problems(folder, GOOD))
    assert "has no config.json" in found
    assert "has no tokenizer" in found
    assert "has no weights" in found


def test_the_head_cannot_be_a_target(folder: Path) -> None:
    assert "an adapter on the head" in problems(folder, GOOD + "  targets: [q_proj, lm_head]\n")[0]


def test_the_files_are_not_looked_for_where_they_are_not_needed(folder: Path) -> None:
    assert load(folder, GOOD.replace("rows", "gone"), require_files=False).settings.name == "handbook"


def test_the_command_line_wins_over_the_file_and_says_so(folder: Path) -> None:
    loaded = load(folder, GOOD + "length: {max_steps: 900}\n", overrides={"length.max_steps": 20, "seed": 7})
    assert (loaded.settings.length.max_steps, loaded.settings.seed) == (20, 7)
    sources = loaded.provenance
    assert sources["length.max_steps"] == sources["seed"] == "command line"
    assert sources["lora.rank"] == "file"
    assert sources["lora.alpha"] == sources["data.evaluation_share"] == "default"


def test_an_override_that_cannot_be_is_an_error(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"lora\.rank"):
        load(folder, GOOD, overrides={"lora.rank": 0})


def test_a_variable_in_a_path_is_filled_in(folder: Path) -> None:
    text = GOOD.replace("models/small", '"${MODELS}/small"')
    assert load(folder, text, environ={"MODELS": "models"}).settings.base.model == str(folder / "models" / "small")
    assert "the environment variable MODELS is not set" in problems(folder, text)[0]


def test_every_setting_is_shown_once_with_its_source(folder: Path) -> None:
    loaded = load(folder, GOOD)
    shown = list(lines(loaded.settings, loaded.provenance))
    assert len(shown) == len(loaded.provenance)
    assert any(line.split() == ["lora.rank", "8", "(file)"] for line in shown)
    assert any(line.split() == ["lora.targets", "all-linear", "(default)"] for line in shown)


def test_the_command_line_may_give_what_the_file_leaves_open(folder: Path) -> None:
    endless = GOOD + "length: {epochs: null}\n"
    assert load(folder, endless, overrides={"length.max_steps": 5}).settings.length.max_steps == 5
    assert load(folder, GOOD, overrides={"seed": 4, "length.max_steps": 5}).settings.length.epochs is not None
    with pytest.raises(SettingsError, match="a CPU does not compute in 8 bits"):
        load(folder, GOOD + "device: {fp8: true}\n", overrides={"device.kind": "cpu"})


def test_the_folder_of_exports_is_relative_to_the_settings_file(folder: Path) -> None:
    settings = load(folder, GOOD + "export: {folder: merged}\n").settings
    assert settings.export is not None
    assert settings.export.folder == str(folder / "merged")
