"""Answers that people labelled: how often each judge, and the two together, say what people say.

JSON lines: {"question": id of a frozen question, "answer": text, "label": "accept" or "reject"}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec

from trainer.gate.errors import CalibrationError
from trainer.gate.schema import Answer, FrozenSet, Judgement, Outcome
from trainer.gate.settings import CALIBRATION

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_LABELLED = 10_000
MAX_ANSWER_CHARACTERS = 20_000
PROBLEMS_SHOWN = 20


class Labelled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line. `note`: for whoever labels; the program does not read it."""

    question: str
    answer: str
    label: Literal["accept", "reject"]
    note: str = ""


class Counts(msgspec.Struct, frozen=True):
    """How a judge did on labelled answers. What it could not judge is in neither accepted count."""

    good: int
    """Labelled accept."""
    good_accepted: int
    good_unjudged: int
    bad: int
    """Labelled reject."""
    bad_accepted: int
    bad_unjudged: int

    @property
    def sensitivity(self) -> float | None:
        """Share of the good ones that it accepted; None: there are none."""
        return self.good_accepted / self.good if self.good else None

    @property
    def specificity(self) -> float | None:
        """Share of the bad ones that it did not accept; None: there are none."""
        return (self.bad - self.bad_accepted) / self.bad if self.bad else None


class Calibration(msgspec.Struct, frozen=True):
    """`panel`: both judges together, which accept where both do: the counts that correct a verdict's accepted share."""

    sha256: str
    """Of the file."""
    panel: Counts
    judges: dict[str, Counts]


def read_calibration(path: str | Path, frozen: FrozenSet) -> tuple[list[Labelled], str]:
    """The labelled answers and the file's hash. Raises CalibrationError with all that is wrong, line by line."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CalibrationError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise CalibrationError(f"{path} is larger than {MAX_FILE_BYTES} bytes: label fewer answers")
    known = {question.id for question in frozen.questions}
    found: list[Labelled] = []
    problems: list[str] = []
    first_seen: dict[tuple[str, str], int] = {}
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if not line.strip():
            continue
        try:
            labelled = msgspec.json.decode(line, type=Labelled)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            problems.append(f"{path}:{number}: {error}")
            continue
        if labelled.question not in known:
            problems.append(f"{path}:{number}: {labelled.question[:60]!r} is no question of the set {frozen.name!r}")
        if len(labelled.answer) > MAX_ANSWER_CHARACTERS:
            problems.append(f"{path}:{number}: the answer is longer than {MAX_ANSWER_CHARACTERS} characters")
        first = first_seen.setdefault((labelled.question, labelled.answer), number)
        if first != number:
            problems.append(f"{path}:{number}: the same answer as line {first}; keep one")
        found.append(labelled)
    if len(found) > MAX_LABELLED:
        problems.append(f"{path}: {len(found)} answers; the limit is {MAX_LABELLED}")
    if not problems and not {"accept", "reject"} <= {one.label for one in found}:
        problems.append(f"{path}: needs answers of both labels, accept and reject; it has {len(found)} lines")
    if problems:
        more = [f"and {len(problems) - PROBLEMS_SHOWN} more"] if len(problems) > PROBLEMS_SHOWN else []
        raise CalibrationError("\n".join(problems[:PROBLEMS_SHOWN] + more))
    return found, sha256(content).hexdigest()


def labelled_answers(labelled: Sequence[Labelled]) -> list[Answer]:
    """As `judge_answers` takes them: each as if a generator of its own had given it (calibration-0001...), because a
    question may be there more than once."""
    return [Answer(one.question, f"{CALIBRATION}-{number:04d}", one.answer) for number, one in enumerate(labelled, 1)]


def calibrated(labelled: Sequence[Labelled], judgements: Iterable[Judgement], file_sha256: str) -> Calibration:
    """The counts of each judge and of both. `judgements`: of `labelled_answers`, in any order.

    Raises CalibrationError where an answer has not been judged by every judge.
    """
    by_judge: dict[str, dict[str, Outcome]] = {}
    for judgement in judgements:
        by_judge.setdefault(judgement.judge, {})[judgement.generator] = judgement.outcome
    answers = [answer.generator for answer in labelled_answers(labelled)]
    if missing := [
        f"{name} on {answer}" for name, told in by_judge.items() for answer in answers if answer not in told
    ]:
        raise CalibrationError(f"{len(missing)} labelled answers were not judged, the first: {missing[0]}")
    if not by_judge:
        raise CalibrationError("no judge has judged the labelled answers")
    labels = dict(zip(answers, (one.label for one in labelled), strict=True))
    panel = {answer: both(*(told[answer] for told in by_judge.values())) for answer in answers}
    counts = {name: counted(labels, told) for name, told in by_judge.items()}
    return Calibration(file_sha256, counted(labels, panel), counts)


def both(*outcomes: Outcome) -> Outcome:
    """Accept where all do; unjudged where one gave no verdict; else reject."""
    if "unjudged" in outcomes:
        return "unjudged"
    return "accept" if all(outcome == "accept" for outcome in outcomes) else "reject"


def counted(labels: Mapping[str, str], outcomes: Mapping[str, Outcome]) -> Counts:
    def count(label: str, outcome: Outcome | None = None) -> int:
        return sum(labels[answer] == label and (outcome is None or outcomes[answer] == outcome) for answer in labels)

    return Counts(
        good=count("accept"), good_accepted=count("accept", "accept"), good_unjudged=count("accept", "unjudged"),
        bad=count("reject"), bad_accepted=count("reject", "accept"), bad_unjudged=count("reject", "unjudged"),
    )  # fmt: skip
