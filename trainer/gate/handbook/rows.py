"""Training rows for the handbook: `python -m trainer.gate.handbook.rows` writes train.jsonl from asked.jsonl.

A row is the gate's own prompt (`trainer.gate.prompt`) with two passages, and the answer: the page's sentence and its
id, or a refusal where neither passage holds it. The passages are as retrieval would find them, the right one first or
second, but without the sentences that answer the gate's questions or the hold-out's: no row holds one, not even to be
read. Pages that asked.jsonl does not ask about are in no row: the gate sees how well answers carry over to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from trainer.gate.checks.citations import without_citations
from trainer.gate.frozen import sha256_of_text
from trainer.gate.prompt import messages
from trainer.gate.schema import Passage, Question
from trainer.retrieval.bm25 import Bm25
from trainer.retrieval.chunk import Chunk
from trainer.retrieval.corpus import read_corpus
from trainer.retrieval.questions import read_raw_questions

FOLDER = Path(__file__).parent
EDITION = 2026
REFUSAL = "The handbook does not say."
WITHOUT_SOURCE_EVERY = 5
"""Of so many facts one is also asked for without its page: the same question, and the right answer is a refusal."""


class Asked(msgspec.Struct, frozen=True):
    """One fact and the ways to ask for it. `page` and `answer` are None where no page of the handbook says it."""

    page: str | None
    answer: str | None
    asks: tuple[str, ...]


def instruction() -> str:
    """The system message of every prompt, in training and in the gate."""
    return (FOLDER / "instruction.txt").read_text("utf-8").strip()


def read_asked(path: Path = FOLDER / "asked.jsonl") -> list[Asked]:
    return msgspec.json.Decoder(list[Asked]).decode(b"[" + b",".join(path.read_bytes().splitlines()) + b"]")


def withheld() -> list[str]:
    """The sentences that answer a question of the gate or of the hold-out."""
    files = (FOLDER / "questions.jsonl", FOLDER / "holdout.jsonl")
    references = [question.reference for file in files for question in read_raw_questions(file)]
    return [without_citations(reference).strip() for reference in references if reference is not None]


def current(pages: Sequence[Chunk], edition: int = EDITION) -> list[Chunk]:
    """The pages of one edition."""
    return [page for page in pages if edition in _editions(page)]


def rows(
    pages: Sequence[Chunk], asked: Sequence[Asked], system: str, withheld: Sequence[str] = (), seed: int = 1
) -> list[dict[str, Any]]:
    """The rows in the order in which they are learned: the same for the same input, on every machine.

    pages: those of one edition; withheld: sentences that no row may hold. Raises ValueError where a fact's answer is
    not on its page, or is withheld.
    """
    wanted = {fact.page for fact in asked}
    shown = [_without(page, withheld) for page in pages if page.id in wanted]
    draw = _Draw(seed)
    made = [_row(passages, ask, answer, system) for passages, ask, answer in _prompts(shown, asked, draw)]
    return sorted(made, key=lambda row: draw.number(row["messages"][1]["content"]))


def write(path: Path = FOLDER / "train.jsonl") -> int:
    """Write the rows and return how many there are."""
    made = rows(current(read_corpus(FOLDER / "pages")), read_asked(), instruction(), withheld())
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in made))
    return len(made)


class _Draw:
    """Chance that is the same in every version of Python: numbers from a hash of the seed and a text."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def number(self, text: str) -> int:
        return int.from_bytes(blake2b(f"{self._seed}\0{text}".encode(), digest_size=8).digest(), "big")


def _prompts(shown: Sequence[Chunk], asked: Sequence[Asked], draw: _Draw) -> Iterator[tuple[list[Chunk], str, str]]:
    """Two passages, the question and the answer of each row."""
    index = Bm25(page.text for page in shown)
    by_id = {page.id: page for page in shown}
    for number, fact in enumerate(asked):
        source = by_id[fact.page] if fact.page is not None else None
        if source is not None and (fact.answer is None or fact.answer not in source.text):
            raise ValueError(f"page {source.id} does not hold the sentence {fact.answer!r}: correct asked.jsonl")
        for turn, ask in enumerate(fact.asks):
            others = [page for page in _nearest(index, shown, ask, draw) if page is not source]
            if source is None:
                yield _mixed(others[:2], ask, draw), ask, REFUSAL
                continue
            yield _mixed([source, others[turn]], ask, draw), ask, f"{fact.answer} [{source.id}]"
            if turn == 0 and number % WITHOUT_SOURCE_EVERY == 0:
                yield _mixed(others[:2], ask, draw), ask, REFUSAL


def _without(page: Chunk, sentences: Sequence[str]) -> Chunk:
    text = page.text
    for sentence in sentences:
        text = text.replace(sentence, "")
    return msgspec.structs.replace(page, text=" ".join(text.split()))


def _nearest(index: Bm25, shown: Sequence[Chunk], ask: str, draw: _Draw) -> list[Chunk]:
    scores = index.scores(ask)
    order = sorted(range(len(shown)), key=lambda n: (-scores.get(n, 0.0), draw.number(ask + shown[n].id)))
    return [shown[n] for n in order]


def _mixed(passages: list[Chunk], ask: str, draw: _Draw) -> list[Chunk]:
    return passages if draw.number(ask + "\0order") % 2 else passages[::-1]


def _row(passages: Sequence[Chunk], ask: str, answer: str, system: str) -> dict[str, Any]:
    shown = tuple(Passage(page.id, page.text, sha256_of_text(page.text)) for page in passages)
    chat = messages(system, Question(id="", question=ask, passages=shown))
    return {"messages": [*chat, {"role": "assistant", "content": answer}]}


def _editions(page: Chunk) -> Sequence[Any]:
    value = page.labels.get("edition", ())
    return value if isinstance(value, list) else (value,)


if __name__ == "__main__":
    print(f"{write()} rows")
