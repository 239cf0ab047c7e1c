"""How far a refresh has come: what is left, what it took, and who may go on with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.refresh.journal import STEPS, Done, Journal, journal_file, one_at_a_time, read, write


def begun(**facts: object) -> Journal:
    return Journal(fingerprint="f", started_at="2026-01-01T00:00:00+00:00", **facts)  # type: ignore[arg-type]


def test_the_steps_come_in_order_and_then_nothing_is_left() -> None:
    journal = begun()
    for step in STEPS:
        assert journal.next_step == step
        journal = journal.after(Done(step, 1.0, "done"))
    assert journal.next_step is None


def test_a_skipped_step_is_done() -> None:
    assert begun().after(Done("train", 0, "", skipped=True)).next_step == "register"


def test_a_steps_time_is_that_of_all_its_attempts() -> None:
    journal = begun().spent("train", 10).spent("train", 5).spent("export", 1).after(Done("train", 2.5, ""))
    assert journal.seconds("train") == 17.5
    assert journal.seconds("export") == 1
    assert journal.seconds("publish") == 0


def test_what_is_written_is_read_again_whole(tmp_path: Path) -> None:
    journal = begun(run="/runs/a", version="a@v0001", trained=True, before="a@v0000").after(Done("train", 3, "said"))
    file = journal_file(tmp_path / "runs", "a")
    write(file, begun())
    write(file, journal)
    assert read(file) == journal
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": 2, "fingerprint": "f", "started_at": "x"}'])
def test_a_journal_of_another_form_is_no_journal(tmp_path: Path, content: bytes) -> None:
    file = journal_file(tmp_path, "a")
    file.write_bytes(content)
    assert read(file) is None


def test_a_second_refresh_of_the_same_adapter_is_told_to_wait(tmp_path: Path) -> None:
    with (
        one_at_a_time(tmp_path, "a"),
        one_at_a_time(tmp_path, "b"),
        pytest.raises(OSError, match="another refresh of a is at work"),
        one_at_a_time(tmp_path, "a"),
    ):
        pass
    with one_at_a_time(tmp_path, "a"):
        pass
