"""Frozen sets on disk: written whole or not at all, and read with every mistake said at once.

The file is the set as JSON, and beside its fields `sha256`, the set's own hash: a word that somebody changed later
is found when the file is read. The same hash names the set in every verdict.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from trainer.data.problem import DataError, LineProblem
from trainer.gate.prompt import sha256_of_set
from trainer.gate.schema import FrozenSet, Question

MOST_BYTES = 100 * 2**20
MOST_QUESTIONS = 1_000_000
MOST_PASSAGES = 100
"""Of one question: as many as a store answers with."""
MOST_ID = 100
"""Characters of a question's id: it stands in every log, report and message."""
SCHEMA = 1

_AGAIN = "freeze the questions again"
_AS_WRITTEN = "take the file as it was written, or freeze the questions again"


ID_PROBLEM = (f"its id has more than {MOST_ID} characters, or one that cannot be printed", "give it a short plain one")


class FrozenSetError(DataError):
    """A frozen set cannot be used; the message holds every reason, a line each."""


def sha256_of_text(text: str) -> str:
    """Of `text` in UTF-8, in hex: what `Passage.sha256` holds."""
    return sha256(text.encode()).hexdigest()


def write_frozen(frozen: FrozenSet, path: Path) -> str:
    """Write the set and return its hash. An older file is replaced in one step.

    Raises FrozenSetError where `read_frozen` would refuse the set, and OSError.
    """
    problems = list(problems_of(frozen))
    content = _encoded(frozen)
    if len(content) > MOST_BYTES:
        problems.append(_too_large(len(content)))
    if problems:
        raise FrozenSetError(path, problems)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return sha256_of_set(frozen)


def read_frozen(path: Path) -> FrozenSet:
    """The set in `path`, checked: hashes, ids, sizes. Raises FrozenSetError with all problems, and OSError."""
    with path.open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise FrozenSetError(path, [_too_large(path.stat().st_size)])
    problems: list[LineProblem] = []
    frozen, written_hash = _decoded(raw, problems)
    if frozen is not None:
        problems += problems_of(frozen)
        now = sha256_of_set(frozen)
        if not problems and written_hash != now:
            said = f"its sha256 says {written_hash[:12]}" if written_hash else "it has no sha256"
            problems.append(LineProblem(0, f"{said} and its content has {now[:12]}: it was changed", _AS_WRITTEN))
    if problems or frozen is None:
        raise FrozenSetError(path, problems)
    return frozen


def problems_of(frozen: FrozenSet) -> Iterator[LineProblem]:
    """What makes a set unusable, question by question."""
    if not frozen.name.strip():
        yield LineProblem(0, "its name is empty", "give the set a name")
    if not frozen.instruction.strip():
        yield LineProblem(0, "its instruction is empty", "give the system message that every generator gets")
    if not frozen.questions:
        yield LineProblem(0, "it has no questions", _AGAIN)
    if len(frozen.questions) > MOST_QUESTIONS:
        found = f"it has {len(frozen.questions):,} questions and the limit is {MOST_QUESTIONS:,}"
        yield LineProblem(0, found, "gate on a sample of them")
    first_seen: dict[str, int] = {}
    hash_of: dict[str, str] = {}
    for number, question in enumerate(frozen.questions, 1):
        said = f"question {number} ({question.id[:MOST_ID]!r})"
        if question.id in first_seen:
            yield LineProblem(0, f"{said} has the id of question {first_seen[question.id]}", "give each its own")
        first_seen.setdefault(question.id, number)
        for message, mend in _problems_of_question(question):
            yield LineProblem(0, f"{said}: {message}", mend)
        for passage in question.passages:
            if hash_of.setdefault(passage.id, passage.sha256) != passage.sha256:
                message = f"{said}: passage {passage.id!r} is another text than in a question before"
                yield LineProblem(0, message, "freeze all questions from one index")


def _problems_of_question(question: Question) -> Iterator[tuple[str, str]]:
    if not question.id.strip():
        yield "its id is empty", "give it one"
    if len(question.id) > MOST_ID or not question.id.isprintable():
        yield ID_PROBLEM
    if not question.question.strip():
        yield "its text is empty", "write the question"
    if not 1 <= len(question.passages) <= MOST_PASSAGES:
        yield f"it has {len(question.passages)} passages", f"freeze it with 1 to {MOST_PASSAGES}"
    ids = [passage.id for passage in question.passages]
    for twice in sorted({passage for passage in ids if ids.count(passage) > 1}):
        yield f"passage {twice!r} is there twice", _AGAIN
    for passage in question.passages:
        if sha256_of_text(passage.text) != passage.sha256:
            found = f"the text of passage {passage.id!r} has the hash {sha256_of_text(passage.text)[:12]}"
            yield f"{found} and {passage.sha256[:12]!r} is written", _AS_WRITTEN
    if question.reference is not None and not question.reference.strip():
        yield "its reference is empty", "write the answer, or null where the corpus does not hold one"
    if question.reference is None and (question.facts or question.sources):
        yield "it has no reference but facts or sources", "write the reference, or take them away"
    if any(not spellings or not all(text.strip() for text in spellings) for spellings in question.facts):
        yield "one of its facts has no spelling, or an empty one", "write at least one spelling of each fact"


def _decoded(raw: bytes, problems: list[LineProblem]) -> tuple[FrozenSet | None, str]:
    """Question by question, so that each one's mistake is found."""
    try:
        outer = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        problems.append(LineProblem(0, f"not a frozen set: {_short(error)}", _AS_WRITTEN))
        return None, ""
    if outer.get("schema") != SCHEMA:
        found = f"its schema is {outer.get('schema')!r} and this program reads {SCHEMA}"
        problems.append(LineProblem(0, found, _AGAIN))
        return None, ""
    written_hash = outer.pop("sha256", "")
    items = outer.pop("questions", None)
    if not isinstance(items, list):
        problems.append(LineProblem(0, "it has no list `questions`", _AGAIN))
        return None, ""
    questions: list[Question] = []
    for number, item in enumerate(items[: MOST_QUESTIONS + 1], 1):
        try:
            questions.append(msgspec.convert(item, Question))
        except msgspec.ValidationError as error:
            problems.append(LineProblem(0, f"question {number}: {_short(error)}", _AS_WRITTEN))
    try:
        frozen = msgspec.convert({**outer, "questions": []}, FrozenSet)
    except msgspec.ValidationError as error:
        problems.append(LineProblem(0, _short(error), _AS_WRITTEN))
        return None, ""
    return msgspec.structs.replace(frozen, questions=tuple(questions)), str(written_hash)


def _encoded(frozen: FrozenSet) -> bytes:
    fields = {"sha256": sha256_of_set(frozen), **msgspec.to_builtins(frozen)}
    return msgspec.json.format(msgspec.json.encode(fields), indent=1) + b"\n"


def _too_large(size: int) -> LineProblem:
    return LineProblem(0, f"it has {size:,} bytes and the limit is {MOST_BYTES:,}", "freeze fewer or shorter passages")


def _short(error: Exception) -> str:
    return str(error).removeprefix("JSON is malformed: ")[:200]
