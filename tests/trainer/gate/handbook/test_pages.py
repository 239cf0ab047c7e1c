"""The handbook's pages: short, labelled, in two editions that differ where they say so."""

from __future__ import annotations

from collections import Counter

import pytest

from trainer.gate.handbook.rows import EDITION, FOLDER, current
from trainer.retrieval.chunk import Chunk

LABELS = {"title", "edition", "department", "audience"}
OLD = "-2025"


def test_there_are_forty_to_sixty_pages_in_files_named_by_their_ids(pages: dict[str, Chunk]) -> None:
    assert 40 <= len(pages) <= 60
    assert {file.stem for file in (FOLDER / "pages").iterdir()} == set(pages)


def test_every_page_has_every_label_and_is_of_one_edition_or_of_both(pages: dict[str, Chunk]) -> None:
    for page in pages.values():
        assert set(page.labels) == LABELS
        assert page.labels["edition"] in ([2025], [2026], [2025, 2026])


def test_a_page_is_short_enough_for_two_of_them_to_be_a_small_models_prompt(pages: dict[str, Chunk]) -> None:
    for page in pages.values():
        assert 35 <= len(page.text.split()) <= 70, page.id


def test_a_page_of_the_old_edition_has_other_numbers_than_the_one_that_took_its_place(pages: dict[str, Chunk]) -> None:
    old = [page for page in pages.values() if page.labels["edition"] == [2025]]
    assert len(old) >= 6
    assert {f"{page.id}{OLD}" for page in pages.values() if page.labels["edition"] == [EDITION]} == {p.id for p in old}
    for page in old:
        new = pages[page.id.removesuffix(OLD)]
        assert {key: page.labels[key] for key in LABELS - {"edition"}} == {
            key: new.labels[key] for key in LABELS - {"edition"}
        }
        changed = set(page.text.split()) ^ set(new.text.split())
        assert changed
        assert any(any(letter.isdigit() for letter in word) for word in changed), page.id


@pytest.mark.parametrize("edition", [2025, 2026])
def test_each_edition_is_a_whole_handbook(pages: dict[str, Chunk], edition: int) -> None:
    names = Counter(page.id.removesuffix(OLD) for page in current(list(pages.values()), edition))
    assert set(names) == {id.removesuffix(OLD) for id in pages}
    assert set(names.values()) == {1}


def test_no_sentence_is_on_two_pages_of_an_edition(pages: dict[str, Chunk]) -> None:
    said = Counter(sentence for page in current(list(pages.values())) for sentence in page.text.split(". "))
    assert [sentence for sentence, times in said.items() if times > 1] == []
