"""The report's words: the kill criterion first, the lab's table, every answer, and nothing that one smuggles in."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from itertools import pairwise

import pytest
from rich.console import Console

from gateway.statement.formats import WIDEST, show
from tests.trainer.gate.report.views import HOSTILE, hostile_view
from trainer.gate.report.document import document
from trainer.gate.report.hostile import markdown as escaped
from trainer.gate.report.hostile import visible
from trainer.gate.report.page import markdown, page
from trainer.gate.report.view import View

OURS = {
    "html", "head", "meta", "title", "style", "body", "header", "footer", "main", "nav", "section", "article", "div",
    "h1", "h2", "h3", "h4", "p", "a", "b", "ul", "li", "span", "blockquote", "details", "summary", "table", "thead",
    "tbody", "tr", "th", "td", "figure", "figcaption", "svg", "g", "path", "rect", "circle", "text",
}  # fmt: skip


@pytest.fixture(scope="module")
def view() -> View:
    return hostile_view()


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_page_holds_no_tag_that_is_not_ours(view: View) -> None:
    parser = Tags()
    parser.feed(page(view))
    assert parser.seen <= OURS
    assert not {name for name in parser.attributes if name.startswith("on") or name in ("src", "srcdoc", "style")}
    assert "\u202e" not in page(view)
    assert "\\u202etext\\u0000" in page(view)


def test_markdown_holds_no_link_no_tag_and_no_row_of_an_answers_own(view: View) -> None:
    text = markdown(view)
    assert not re.search(r"<(?!br>)|\]\(|https?://|\*\*bold|`code`", text)
    lines = text.splitlines()
    for before, line in pairwise(lines):
        if before.startswith("|") and line.startswith("|"):
            assert line.count("|") == before.count("|"), line
    assert sum(line.startswith("| cloud") for line in lines) > 12


def test_control_characters_of_a_set_its_labels_or_a_note_reach_no_terminal_and_no_markdown(view: View) -> None:
    wild = "a\x1b]0;owned\x07\r# b\u202e"
    row, group = view.rows[0], view.groups[0]
    shown = replace(
        view, words=(wild,), rows=(replace(row, note=wild), *view.rows[1:]), notes=(wild,),
        groups=(replace(group, label=wild),), plan=(("set", wild),), judges=((wild, wild),),
    )  # fmt: skip
    terminal = StringIO()
    show(document(shown), Console(file=terminal, width=WIDEST), 120)
    for text in (markdown(shown), page(shown), terminal.getvalue()):
        assert not set(text) & set("\x1b\x07\r\u202e")
        assert "\\u001b" in text.replace("&#92;", "\\").replace("&#93;", "]")


def test_it_begins_with_the_kill_criterion_and_the_verdict(view: View) -> None:
    sections = document(view).sections
    assert sections[0].name == "verdict"
    assert sections[0].words[0].startswith("The kill criterion has not fired")
    assert [section.name for section in sections][:3] == ["verdict", "accepted", "comparison"]


def test_the_labs_table_counts_all_questions(view: View) -> None:
    [table] = next(section for section in document(view).sections if section.name == "accepted").tables
    rows = {row[0]: row for row in table.rows}
    assert rows["control"][1] == "4 of 12"
    assert rows["candidate"][1] == "10 of 12"
    assert rows["candidate"][4] == 1, "one split: the judges differ on question 7"
    assert rows["cloud"][6] == 6, "no answer, no judgement: never counted as a reject"
    assert "simulated" in rows["cloud"][7]


def test_what_costs_least_by_token_and_by_accepted_answer_is_said(view: View) -> None:
    section = next(section for section in document(view).sections if section.name == "cost")
    assert any(words.startswith("By accepted answer it is candidate") for words in section.words)
    assert any("No answer of cloud was accepted" in words for words in section.words)


def test_a_right_fact_in_an_answer_that_was_not_accepted_is_counted_beside_the_verdict(view: View) -> None:
    section = next(section for section in document(view).sections if section.name == "checks")
    rows = {row[0]: row for row in section.tables[0].rows}
    assert rows["candidate"][1:3] == ["9 of 10", 1], "question 7: the second judge rejects a right answer"
    assert rows["control"][1:3] == ["2 of 10", 0]
    assert rows["cloud"][1:5] == ["0 of 10", 0, 0, 6], "six came, with ids of their own; the rest is in no count"


def test_every_question_has_every_answer_with_both_judges_reasons(view: View) -> None:
    text = page(view)
    assert text.count('class="asked"') == 12
    assert text.count('class="cell ') == 36
    assert text.count("<b>strict</b>") == text.count("<b>second</b>") == 36
    assert "The judges differ" in text or "the judges differ" in text
    assert "rules of this program, not models" in text


def test_text_is_shown_whole_or_says_how_much_is_missing() -> None:
    assert visible("a\u200bb\tc") == "a\\u200bb    c"
    assert visible("x" * 50, most=10) == "x" * 10 + " … (40 more characters: see the run's folder)"
    assert escaped("a|b\nc") == "a&#124;b<br>c"
    assert escaped(HOSTILE).count("|") == 0
