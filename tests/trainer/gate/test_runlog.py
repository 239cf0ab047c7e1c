"""The log of a run survives a death in the middle of a line, and takes one writer at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainer.gate.errors import RunLogError
from trainer.gate.runlog import Answered, Asked, Judged, RunLog, read_log
from trainer.gate.schema import Answer, Judgement

CHAT = [{"role": "user", "content": "Wie viel? \u2028 \U0001f9ea"}]


def line(number: int) -> Answered:
    return Answered(1, 1000.0 + number, Asked("m", "http://x/v1", 9, 0.0, 1), CHAT, Answer(f"q{number}", "g", "yes"))


def written(path: Path, count: int = 3) -> bytes:
    with RunLog(path) as log:
        for number in range(count):
            log.append(line(number))
    return path.read_bytes()


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "answers" / "g.jsonl"
    judged = Judged(1, 5.0, Judgement("q0", "g", "j", "unjudged", "why"), "00", "11")
    with RunLog(path) as log:
        log.append(line(0))
        log.append(judged)
    assert read_log(path) == [line(0), judged]
    assert path.stat().st_mode & 0o077 == 0
    with RunLog(path) as log:
        assert log.lines == [line(0), judged]


def test_a_death_at_any_byte_loses_no_whole_line_and_breaks_no_later_one(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    whole = written(path)
    ends = [at + 1 for at, byte in enumerate(whole) if byte == 10]
    for cut in sorted({*range(0, len(whole), 17), *ends, *(end - 1 for end in ends), *(end + 1 for end in ends[:-1])}):
        path.write_bytes(whole[:cut])
        kept = sum(end <= cut for end in ends)
        with RunLog(path) as log:
            assert log.lines == [line(number) for number in range(kept)]
            log.append(line(9))
        assert read_log(path) == [*(line(number) for number in range(kept)), line(9)]


def test_a_last_line_of_zeros_after_a_power_cut_is_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    whole = written(path)
    path.write_bytes(whole + b"\0" * 50 + b"\n")
    with RunLog(path) as log:
        assert len(log.lines) == 3
    assert path.read_bytes() == whole


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    first, second, third = written(path).splitlines(keepends=True)
    path.write_bytes(first + second[:20] + b"\n" + third)
    with pytest.raises(RunLogError, match=r"g\.jsonl:2: the line is broken"), RunLog(path):
        pass


def test_another_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    whole = written(path)
    path.write_bytes(whole.replace(b'"version":1', b'"version":2'))
    with pytest.raises(RunLogError, match="is of version 2, and this program reads 1"):
        read_log(path)


def test_the_one_line_of_another_version_is_not_taken_for_a_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    newer = written(path, 1).replace(b'"version":1', b'"version":2')
    path.write_bytes(newer)
    with pytest.raises(RunLogError, match="is of version 2"), RunLog(path):
        pass
    assert path.read_bytes() == newer


def test_a_line_that_a_full_disk_cut_is_not_joined_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "g.jsonl"
    write = os.write
    with RunLog(path) as log:
        monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:20]))
        with pytest.raises(RunLogError, match="the disk took 20 of"):
            log.append(line(0))
        monkeypatch.undo()
        log.append(line(1))
    assert read_log(path) == [line(1)]


def test_two_gates_do_not_write_one_log(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    with RunLog(path), pytest.raises(RunLogError, match="by another gate"), RunLog(path):
        pass
    with RunLog(path):
        pass


def test_a_line_beyond_the_limit_is_refused_and_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    whole = written(path)
    huge = Answered(1, 1.0, Asked("m"), CHAT, Answer("q", "g", "x" * 3_000_000))
    with RunLog(path) as log, pytest.raises(RunLogError, match="the limit is"):
        log.append(huge)
    assert path.read_bytes() == whole


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunLogError, match="cannot be opened"), RunLog(tmp_path / "file" / "g.jsonl"):
        pass
    with pytest.raises(RunLogError, match="cannot be read"):
        read_log(tmp_path / "nowhere.jsonl")
