"""A checkpoint is there whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.train import checkpoint
from trainer.train.checkpoint import CheckpointError


def write(root: Path, step: int, content: bytes = b"tensors") -> Path:
    return checkpoint.write(root, step, {"said": step}, lambda path: path.write_bytes(content) and None)


def steps(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_what_was_written_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path, 5, b"abc")
    found = checkpoint.read(folder)
    assert (found.step, found.facts, found.tensors.read_bytes()) == (5, {"said": 5}, b"abc")


def test_the_newest_is_taken(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        write(tmp_path, step)
    found = checkpoint.newest(tmp_path, pytest.fail)
    assert found is not None
    assert found.step == 100


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path / "none", pytest.fail) is None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / checkpoint.TENSORS).write_bytes(b"tenso"), "5 bytes"),
        (lambda folder: (folder / checkpoint.TENSORS).write_bytes(b"TENSORS"), "checksum"),
        (lambda folder: (folder / checkpoint.TENSORS).unlink(), "0 bytes"),
        (lambda folder: (folder / checkpoint.FACTS).write_bytes(b'{"schema": 1'), "cannot be read"),
        (lambda folder: (folder / checkpoint.FACTS).unlink(), "cannot be read"),
    ],
)
def test_a_broken_one_is_named_and_the_one_before_it_taken(tmp_path: Path, spoil: object, said: str) -> None:
    write(tmp_path, 1)
    broken = write(tmp_path, 2)
    spoil(broken)  # type: ignore[operator]
    told: list[str] = []
    found = checkpoint.newest(tmp_path, told.append)
    assert found is not None
    assert found.step == 1
    assert len(told) == 1
    assert said in told[0]


def test_one_of_a_newer_program_is_not_guessed_at(tmp_path: Path) -> None:
    folder = write(tmp_path, 1)
    facts = folder / checkpoint.FACTS
    facts.write_text(facts.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(CheckpointError, match="schema 2"):
        checkpoint.read(folder)


def test_a_write_that_dies_leaves_nothing_that_counts(tmp_path: Path) -> None:
    write(tmp_path, 1)

    def die(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        checkpoint.write(tmp_path, 2, {}, die)
    found = checkpoint.newest(tmp_path, pytest.fail)
    assert found is not None
    assert found.step == 1
    write(tmp_path, 2)
    checkpoint.prune(tmp_path, keep=2, best=None)
    assert steps(tmp_path) == ["step-00000001", "step-00000002"]


def test_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    write(tmp_path, 3, b"old")
    write(tmp_path, 3, b"new")
    assert steps(tmp_path) == ["step-00000003"]
    assert checkpoint.read(checkpoint.at(tmp_path, 3)).tensors.read_bytes() == b"new"


def test_the_best_one_is_kept_besides_the_newest(tmp_path: Path) -> None:
    for step in range(1, 7):
        write(tmp_path, step)
    checkpoint.prune(tmp_path, keep=2, best=3)
    assert steps(tmp_path) == ["step-00000003", "step-00000005", "step-00000006"]


def test_a_broken_one_does_not_take_a_good_ones_place_when_few_are_kept(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (write(tmp_path, 2) / checkpoint.TENSORS).write_bytes(b"half")
    assert checkpoint.newest(tmp_path, lambda _: None) is not None
    checkpoint.prune(tmp_path, keep=1, best=None)
    assert steps(tmp_path) == ["step-00000001", "step-00000002.broken"]


def test_one_whose_replacement_was_cut_off_between_the_two_renames_is_taken_up(tmp_path: Path) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2).rename(tmp_path / ".step-00000002.replaced")
    found = checkpoint.newest(tmp_path, pytest.fail)
    assert found is not None
    assert found.step == 2
