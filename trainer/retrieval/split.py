"""Pages that are longer than their embedder reads, in parts: at paragraphs, else at sentences, else between words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from trainer.retrieval.chunk import Chunk
from trainer.retrieval.embedder import LONGEST_WITHOUT_EMBEDDER, Embedder, length_in_words

_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"\s+")


def chunks_for(pages: Iterable[Chunk], embedder: Embedder | None) -> list[Chunk]:
    """The pages in parts that `embedder` reads whole; None: parts of a length that suits a prompt."""
    if embedder is None:
        return split_pages(pages, length_in_words, LONGEST_WITHOUT_EMBEDDER)
    return split_pages(pages, embedder.length, embedder.longest)


def split_pages(pages: Iterable[Chunk], length: Callable[[str], int], longest: int) -> list[Chunk]:
    """Every page in parts of at most `longest` by `length`. A page that fits stays as it is.

    The first part keeps the page's id and the others are `id#2`, `id#3`: the ids of the pages before and after it, and
    of its own earlier parts, stay when a page grows. One word that is longer than `longest` stays whole.
    """
    return [part for page in pages for part in _parts(page, length, longest)]


def _parts(page: Chunk, length: Callable[[str], int], longest: int) -> Iterator[Chunk]:
    if length(page.text) <= longest:
        yield page
        return
    texts = _packed(page.text, length, longest, ((_PARAGRAPH, "\n\n"), (_SENTENCE, " "), (_WORD, " ")))
    for number, text in enumerate(texts, 1):
        yield Chunk(page.id if number == 1 else f"{page.id}#{number}", text, page.labels)


def _packed(
    text: str, length: Callable[[str], int], longest: int, ways: tuple[tuple[re.Pattern[str], str], ...]
) -> list[str]:
    """As few texts as reading from left to right gives; what is too long in one way is cut in the next."""
    (border, glue), *others = ways
    packed: list[str] = []
    open_text = ""
    for piece in filter(None, (piece.strip() for piece in border.split(text))):
        joined = f"{open_text}{glue}{piece}" if open_text else piece
        if length(joined) <= longest:
            open_text = joined
            continue
        if open_text:
            packed.append(open_text)
        if length(piece) <= longest or not others:
            open_text = piece
        else:
            *whole, open_text = _packed(piece, length, longest, tuple(others))
            packed += whole
    return [*packed, open_text] if open_text else packed
