"""Splitting: what fits stays whole, what does not is cut where it reads best, and ids stay."""

from __future__ import annotations

from trainer.retrieval.chunk import Chunk, page_of
from trainer.retrieval.split import split_pages


def _words(text: str) -> int:
    return len(text.split())


def _parts(text: str, longest: int) -> dict[str, str]:
    return {chunk.id: chunk.text for chunk in split_pages([Chunk("p", text, {"k": 1})], _words, longest)}


def test_a_page_that_fits_stays_as_it_is() -> None:
    assert _parts("one two\n\nthree", 3) == {"p": "one two\n\nthree"}


def test_a_longer_page_is_cut_at_paragraphs_as_few_as_will_do() -> None:
    assert _parts("a b\n\nc d\n\ne f", 4) == {"p": "a b\n\nc d", "p#2": "e f"}


def test_a_long_paragraph_is_cut_at_sentences_and_a_long_sentence_between_words() -> None:
    assert _parts("A b c. D e f. G h.", 6) == {"p": "A b c. D e f.", "p#2": "G h."}
    assert _parts("a b c d e", 2) == {"p": "a b", "p#2": "c d", "p#3": "e"}


def test_what_follows_a_cut_paragraph_fills_its_last_part() -> None:
    assert _parts("A b c. D.\n\ne f", 3) == {"p": "A b c.", "p#2": "D.\n\ne f"}


def test_a_word_that_is_too_long_by_itself_stays_whole() -> None:
    chunks = split_pages([Chunk("p", "abcdef gh", {})], len, 4)
    assert [chunk.text for chunk in chunks] == ["abcdef", "gh"]


def test_every_part_carries_the_labels_and_belongs_to_its_page() -> None:
    chunks = split_pages([Chunk("p", "a b c", {"k": 1}), Chunk("q", "d", {})], _words, 1)
    assert [chunk.id for chunk in chunks] == ["p", "p#2", "p#3", "q"]
    assert {page_of(chunk.id) for chunk in chunks[:3]} == {"p"}
    assert all(chunk.labels == {"k": 1} for chunk in chunks[:3])
