"""Reading pages: what becomes a chunk, and what is said about a page that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainer.retrieval.pages import CHUNKS, write_pages
from trainer.retrieval.chunk import Chunk, labels_as_text
from trainer.retrieval.corpus import MOST_PAGE_BYTES, read_corpus
from trainer.retrieval.problem import CorpusError


def _page(folder: Path, head: str, text: str = "Some text.", name: str = "page.md") -> Path:
    (folder / name).write_text(f"---\n{head}\n---\n{text}\n")
    return folder


def _wrong(folder: Path) -> list[str]:
    with pytest.raises(CorpusError) as error:
        read_corpus(folder)
    return str(error.value).replace(f"{folder}/", "").splitlines()


def test_each_page_is_a_chunk_with_its_labels_ordered_by_id(tmp_path: Path) -> None:
    assert read_corpus(write_pages(tmp_path)) == sorted(CHUNKS, key=lambda chunk: chunk.id)


def test_labels_are_text_numbers_truth_and_lists_and_a_date_is_text(tmp_path: Path) -> None:
    head = "id: a-1\ntitle: 'On: call'\nedition: 2026\nrate: 0.5\npublic: yes\nsince: 2026-03-01"
    head += "\naudience: [x, y]\nyears: [1, 2]"
    (page,) = read_corpus(_page(tmp_path, head, "One.\n\nTwo."))
    assert page == Chunk(
        "a-1",
        "One.\n\nTwo.",
        {
            "title": "On: call", "edition": 2026, "rate": 0.5, "public": True, "since": "2026-03-01",
            "audience": ["x", "y"], "years": [1, 2],
        },
    )  # fmt: skip
    assert labels_as_text(page.labels)["audience"] == "x, y"
    assert labels_as_text(page.labels)["public"] == "true"


def test_hidden_files_and_other_files_are_left_out_and_folders_are_read(tmp_path: Path) -> None:
    write_pages(tmp_path / "deep" / "er")
    (tmp_path / ".draft.md").write_text("no head")
    (tmp_path / "notes.txt").write_text("no page")
    assert len(read_corpus(tmp_path)) == len(CHUNKS)


def test_a_line_of_dashes_in_the_text_is_text(tmp_path: Path) -> None:
    (page,) = read_corpus(_page(tmp_path, "id: a", "Above.\n\n---\n\nBelow."))
    assert page.text == "Above.\n\n---\n\nBelow."


def test_every_mistake_of_every_page_is_said_with_its_file_and_line(tmp_path: Path) -> None:
    _page(tmp_path, "id: one\nnested: {a: 1}\nempty:\nmixed: [1, a]\ntext: no\n1 bad: x", name="a.md")
    _page(tmp_path, "title: no id", name="b.md")
    _page(tmp_path, "id: 'with space'\nid: again", name="c.md")
    (tmp_path / "d.md").write_text("Just text.\n")
    (tmp_path / "e.md").write_text("---\nid: e\n")
    _page(tmp_path, "id: f", "", name="f.md")
    _page(tmp_path, "id: [", name="g.md")
    (tmp_path / "h.md").write_bytes(b"---\nid: h\n---\nfine\nnot \xff\n")
    places = [line.split(": ")[0] for line in _wrong(tmp_path)]
    assert places == [
        "a.md:3", "a.md:4", "a.md:5", "a.md:6", "a.md:7", "b.md:1", "c.md:2", "c.md:3", "d.md:1", "e.md:1", "f.md:3",
        "g.md:2", "h.md:5",
    ]  # fmt: skip


def test_two_pages_of_one_id_are_an_error_that_names_both(tmp_path: Path) -> None:
    _page(tmp_path, "id: same", name="a.md")
    _page(tmp_path, "id: same", name="b.md")
    (line,) = _wrong(tmp_path)
    assert line.startswith("b.md: its id 'same' is that of")
    assert "a.md" in line
    _page(tmp_path, "id: SAME", name="b.md")
    assert _wrong(tmp_path)[0].startswith("b.md: its id 'SAME' is that of")  # [same] in an answer would cite both


def test_an_empty_folder_a_missing_one_and_a_huge_page_are_errors(tmp_path: Path) -> None:
    assert "no page" in _wrong(tmp_path)[0]
    assert "give a folder that is there" in _wrong(tmp_path / "nowhere")[0]
    _page(tmp_path, "id: big", "x" * MOST_PAGE_BYTES)
    assert "make several pages of it" in _wrong(tmp_path)[0]


def test_aliases_and_numbers_beyond_reason_are_no_labels(tmp_path: Path) -> None:
    _page(tmp_path, f"id: a\nbomb: &x [y, y]\nbombs: [*x, *x]\nhuge: {'9' * 5000}\nnever: .nan")
    assert [line.split(":")[1] for line in _wrong(tmp_path)] == ["4", "5", "6"]


@pytest.mark.parametrize(
    ("head", "line"),
    [
        (b"id: a\nx: !!bool maybe", 3),
        (b'id: a\nx: !!int ""', 3),
        (b'id: a\nx: !!float ""', 3),
        (b"id: a\nx: !!timestamp soon", 3),
        (b"id: a\nx: 1" + b":1" * 300 + b".5", 3),
        (b'id: a\nx: "\\ud800"', 3),
        (b'id: a\n\nx: "bell\x07"', 4),
        (b"id: a\nx: " + b"[" * 5000, 2),
    ],
)
def test_a_head_that_yaml_s_own_reader_trips_over_is_a_mistake_with_its_line(
    tmp_path: Path, head: bytes, line: int
) -> None:
    (tmp_path / "a.md").write_bytes(b"---\n" + head + b"\n---\nText.\n")
    assert [said.split(": ")[0] for said in _wrong(tmp_path)] == [f"a.md:{line}"]


def test_a_name_that_speaks_to_the_terminal_is_shown_as_text(tmp_path: Path) -> None:
    _page(tmp_path, 'id: a\n"\\e[31mx": 1\n"\\e[31mx": 2')
    assert all("\x1b" not in said for said in _wrong(tmp_path))
