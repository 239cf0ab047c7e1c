"""The easy questions: each names the one short page that it is about, in a corpus of its own, and none is learned."""

from __future__ import annotations

import pytest

from tests.trainer.gate.handbook.conftest import Raw
from trainer.data.rows import Row
from trainer.gate.handbook.rows import FOLDER
from trainer.retrieval.chunk import Chunk
from trainer.retrieval.corpus import read_corpus


@pytest.fixture(scope="module")
def easy_pages() -> dict[str, Chunk]:
    return {page.id: page for page in read_corpus(FOLDER / "easy")}


def test_each_asks_for_one_page_by_its_id_and_sees_no_other(easy: list[Raw], easy_pages: dict[str, Chunk]) -> None:
    assert len(easy) >= 10
    assert {question.sources[0] for question in easy} == set(easy_pages)
    for question in easy:
        (source,) = question.sources
        assert f"[{source}]" in question.question
        assert question.where == {"title": easy_pages[source].labels["title"]}
    assert len({page.labels["title"] for page in easy_pages.values()}) == len(easy_pages)


def test_each_has_its_fact_on_its_page(easy: list[Raw], easy_pages: dict[str, Chunk]) -> None:
    for question in easy:
        for spellings in question.facts:
            assert any(spelling in easy_pages[question.sources[0]].text for spelling in spellings), question.id


def test_none_of_its_pages_is_in_the_handbook_or_in_a_training_row(
    easy_pages: dict[str, Chunk], pages: dict[str, Chunk], learned: list[Row]
) -> None:
    assert set(easy_pages) & set(pages) == set()
    shown = "\n".join(row.question for row in learned)
    assert [id for id in easy_pages if f"[{id}]" in shown] == []
