"""Labelled answers are read with all mistakes at once, and counted for each judge and for both together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.gate.sets import FROZEN, RIGHT
from trainer.gate.calibration import Counts, both, calibrated, labelled_answers, read_calibration
from trainer.gate.errors import CalibrationError
from trainer.gate.judges import judge_answers
from trainer.gate.judges.rule import RuleJudge
from trainer.gate.runlog import RunLog

GOOD: list[dict[str, Any]] = [
    {"question": "q-leave", "answer": RIGHT["q-leave"], "label": "accept"},
    {"question": "q-leave", "answer": "Twenty-five. [leave-01]", "label": "accept", "note": "short, and right"},
    {"question": "q-meals", "answer": "28 euros. [travel-03]", "label": "reject"},
    {"question": "q-parking", "answer": "The handbook does not say. Ask them.", "label": "reject"},
]


def write(folder: Path, rows: list[Any]) -> Path:
    path = folder / "labelled.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n\n")
    return path


async def test_each_judge_and_both_are_counted(tmp_path: Path) -> None:
    labelled, sha = read_calibration(write(tmp_path, GOOD), FROZEN)
    judges = [RuleJudge("strict", "facts"), RuleJudge("second", "grounding")]
    with RunLog(tmp_path / "log.jsonl") as log:
        found = await judge_answers(judges, FROZEN.questions, labelled_answers(labelled), log)
    result = calibrated(labelled, found, sha)
    assert result.judges["strict"] == Counts(2, 1, 0, 2, 0, 0)  # "25 days" is not in "Twenty-five."
    assert result.judges["second"] == Counts(2, 2, 0, 2, 1, 0)
    assert result.panel == Counts(2, 1, 0, 2, 0, 0)
    assert (result.panel.sensitivity, result.panel.specificity) == (0.5, 1.0)
    with pytest.raises(CalibrationError, match="1 labelled answers were not judged, the first: second on calibration-"):
        calibrated(labelled, found[:-1], sha)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    rows = [
        GOOD[0],
        GOOD[0],
        {"question": "q-none", "answer": "x", "label": "accept"},
        "{",
        {**GOOD[2], "label": "yes"},
    ]
    with pytest.raises(CalibrationError) as caught:
        read_calibration(write(tmp_path, rows), FROZEN)
    said = str(caught.value).splitlines()
    assert [line.partition("labelled.jsonl:")[2][:2] for line in said] == ["2:", "3:", "4:", "5:"]
    assert "the same answer as line 1" in said[0]
    assert "'q-none' is no question of the set 'small'" in said[1]


def test_one_label_alone_tells_nothing(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="needs answers of both labels"):
        read_calibration(write(tmp_path, GOOD[:2]), FROZEN)


def test_both_together_accept_where_both_do() -> None:
    assert both("accept", "accept") == "accept"
    assert both("accept", "reject") == "reject"
    assert both("reject", "unjudged") == "unjudged"
