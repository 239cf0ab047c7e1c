"""A corpus is a folder of pages, each a Markdown file that begins with a head in YAML:

    ---
    id: travel-03
    title: Meals on the road
    department: travel
    edition: 2026
    audience: [staff, drivers]
    ---
    The page's text.

`id` names the page and is what answers cite. Every other field is a label: text, a number, true or false, a list
of texts or a list of numbers. What is searched and shown is the text below the head, as it stands there.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from trainer.retrieval.chunk import Chunk, Label
from trainer.retrieval.problem import CorpusError, FileProblem

MOST_PAGE_BYTES = 1 << 20
MOST_CORPUS_BYTES = 1 << 30
MOST_HEAD_BYTES = 16 << 10
MOST_PAGES = 100_000
MOST_ID = 100
"""Characters: an id stands in every prompt that holds its page."""

RESERVED = ("text", "manifest")
"""Labels of this name would hide what S3 Vectors keeps beside a vector."""

_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MOST_ID - 1}}}")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")
_HALVES = re.compile(r"[\ud800-\udfff]")
"""Halves of characters, which YAML's `"\\ud800"` gives: neither files nor S3 Vectors take them."""
_FENCE = "---"
_LARGEST = 2**53
"""Whole numbers up to it are exact in JSON readers that keep every number as a double."""


def read_corpus(folder: Path) -> list[Chunk]:
    """The pages of `folder` and the folders in it, one chunk a page, ordered by id. Hidden files are left out.

    Raises CorpusError with every mistake of every page.
    """
    problems: list[FileProblem] = []
    pages: list[tuple[Chunk, Path]] = []
    files = _files(folder)
    if len(files) > MOST_PAGES:
        found = f"it has {len(files):,} pages and the limit is {MOST_PAGES:,}"
        raise CorpusError([FileProblem(str(folder), 0, found, "index a part of them")])
    if not files:
        mend = "give a folder of Markdown pages" if folder.is_dir() else "give a folder that is there"
        raise CorpusError([FileProblem(str(folder), 0, "no page (*.md) is there", mend)])
    size = 0
    for file in files:
        try:
            size += file.stat().st_size
            if size > MOST_CORPUS_BYTES:
                found = f"with it the pages have more than {MOST_CORPUS_BYTES:,} bytes"
                raise CorpusError([*problems, FileProblem(str(file), 0, found, "index a part of them")])
            page = _page(file, problems)
        except OSError as error:
            problems.append(FileProblem(str(file), 0, f"it cannot be read: {error.strerror}", "make it readable"))
            continue
        if page is not None:
            pages.append((page, file))
    problems += _doubled(pages)
    if problems:
        raise CorpusError(problems)
    return sorted((page for page, _ in pages), key=lambda page: page.id)


def _files(folder: Path) -> list[Path]:
    found = folder.rglob("*.md")
    return sorted(
        file
        for file in found
        if not any(part.startswith(".") for part in file.relative_to(folder).parts) and file.is_file()
    )


def _doubled(pages: list[tuple[Chunk, Path]]) -> Iterator[FileProblem]:
    """Ids that differ in case alone count as one: judges read citations so."""
    first: dict[str, Path] = {}
    for page, file in pages:
        known = first.setdefault(page.id.casefold(), file)
        if known != file:
            yield FileProblem(str(file), 0, f"its id {page.id!r} is that of {known}", "give it another")


def _page(file: Path, problems: list[FileProblem]) -> Chunk | None:
    before = len(problems)

    def wrong(line: int, message: str, mend: str) -> None:
        problems.append(FileProblem(str(file), line, message, mend))

    with file.open("rb") as opened:
        raw = opened.read(MOST_PAGE_BYTES + 1)
    if len(raw) > MOST_PAGE_BYTES:
        wrong(0, f"it has more than {MOST_PAGE_BYTES:,} bytes", "make several pages of it")
        return None
    try:
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        wrong(raw.count(b"\n", 0, error.start) + 1, f"byte 0x{raw[error.start]:02x} is not UTF-8", "save it as UTF-8")
        return None
    if not lines or lines[0].rstrip() != _FENCE:
        wrong(1, "the page has no head", "begin it with a line `---`, `id: ...`, its labels, and another line `---`")
        return None
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        wrong(1, "the head has no end", "write a line `---` below its last label")
        return None
    head = "\n".join(lines[1:end])
    if len(head.encode()) > MOST_HEAD_BYTES:
        wrong(1, f"the head has more than {MOST_HEAD_BYTES:,} bytes", "write the page's text below it")
        return None
    page_id, labels = _head(head, wrong)
    text = "\n".join(line.rstrip() for line in lines[end + 1 :]).strip()
    if not text:
        wrong(end + 1, "the page has no text", "write some below the head, or take the file away")
    return Chunk(page_id, text, labels) if len(problems) == before else None


def _head(head: str, wrong: Any) -> tuple[str, dict[str, Label]]:
    """The id and the labels; `wrong` takes down each mistake with its line. The head begins in line 2 of its file."""
    try:
        node = yaml.compose(head, yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = 2 + head.count("\n", 0, error.position)
        wrong(line, f"the head holds the character U+{error.character:04X}, which YAML does not", "take it away")
        return "", {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "it cannot be read"
        wrong(2 + (mark.line if mark else 0), f"the head is not YAML: {what}", "write `name: value` on each line")
        return "", {}
    except RecursionError:
        wrong(2, "the head nests too deep to be read", "write `name: value` on each line")
        return "", {}
    if not isinstance(node, yaml.MappingNode):
        wrong(2, "the head is not a list of names and values", "write `id: ...` and each label as `name: value`")
        return "", {}
    page_id, labels = "", dict[str, Label]()
    seen: set[str] = set()
    for key_node, value_node in node.value:
        line, key = key_node.start_mark.line + 2, str(getattr(key_node, "value", ""))
        if key in seen:
            wrong(line, f"{key[:70]!r} is there twice", "keep one of the two")
            continue
        seen.add(key)
        if key == "id":
            page_id = value_node.value if isinstance(value_node, yaml.ScalarNode) else ""
            if not _ID.fullmatch(page_id):
                mend = f"write up to {MOST_ID} letters, digits, dots, dashes and underscores, a letter or digit first"
                wrong(line, f"the id is {page_id[:60]!r}", mend)
        elif key in RESERVED:
            wrong(line, f"a label cannot be called `{key}`", "give it another name")
        elif not _LABEL.fullmatch(key):
            wrong(
                line, f"{key[:70]!r} is no name for a label", "use letters, digits, dots, dashes and underscores (63)"
            )
        else:
            label = _label(value_node)
            if label is None:
                wrong(line, f"`{key}` is no label", "give text, a number, true, false, a list of texts or of numbers")
            else:
                labels[key] = label
    if "id" not in seen:
        wrong(1, "the head has no `id`", "write `id: ...`: answers cite the page by it")
    return page_id, labels


def _label(node: Any) -> Label | None:
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode) and node.value:
        elements = [_scalar(each) if isinstance(each, yaml.ScalarNode) else None for each in node.value]
        texts = [element for element in elements if isinstance(element, str)]
        numbers = [each for each in elements if isinstance(each, int | float) and not isinstance(each, bool)]
        if len(elements) == len(texts):
            return list(texts)
        if len(elements) == len(numbers):
            return list(numbers)
    return None


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    try:
        value = yaml.constructor.SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError):
        return None  # a date like 2026-13-01; and what PyYAML raises for `!!bool maybe`, `!!int ""`, `!!timestamp soon`
    if isinstance(value, datetime.date):
        return str(value.isoformat())
    if isinstance(value, int | float) and not abs(value) <= _LARGEST:
        return None
    if isinstance(value, str):
        return None if _HALVES.search(value) else value.strip() or None
    return value if isinstance(value, bool | int | float) else None
