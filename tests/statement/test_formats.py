"""One statement, five formats: the same figures, rounded for people and whole for programs."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from gateway.metering.records import WindowRecord
from gateway.statement import formats
from gateway.statement.page import page
from gateway.statement.period import Period
from gateway.statement.sections import document
from gateway.statement.table import Document, factor, nanousd_text, percent
from tests.statement.ledgers import HOUR, POLICY, T0, WHOLE, accruals, attempt, operation, report_of, written


def made(ledger: Path, period: Period = WHOLE, text: str = POLICY) -> Document:
    return document(report_of(ledger, period, text))


def shown(one: Document) -> str:
    out = io.StringIO()
    formats.show(one, Console(file=out, width=formats.WIDEST, highlight=False), 120)
    return out.getvalue()


def test_in_short_says_what_a_reader_asks_first(ledger: Path) -> None:
    words = " ".join(made(ledger).sections[0].words)
    for said in (
        "17 requests cost $1.57, $74.6 per 1M output tokens; at this rate $1,143.18 a month.",
        "57.2% of the budget of $2,000.00 a month",
        "box was at 5.0% of its capacity, above its crossover with cmi at 2.5% (a copy that is never idle, one str",
        "In whole windows, what box served would have cost $166.7 per 1M on cmi, and cost $20.0 here: box is the",
        "below its crossover with base (simulated, base weights) at 33.3%.",
        "What box served would have cost $3.0 per 1M on base (simulated, base weights), and cost $20.0 here: base is",
        "Against all traffic on cmi alone, routing saved $2.03.",
        "Against all traffic on base (simulated, base weights) alone, routing cost $1.50 more.",
        "17.6% of the judged requests were late or wrong: 1765% of the error budget.",
    ):
        assert said in words


def test_a_box_that_can_never_win_is_said_to(ledger: Path) -> None:
    words = " ".join(
        made(ledger, text=POLICY.replace("usd_per_month: 262.80", "usd_per_month: 2628")).sections[0].words
    )
    assert "box can never be cheaper per token than base (simulated, base weights) at its capacity" in words
    assert "it would take 3.3 times what it can do" in words


def test_the_terminal_has_every_section_and_marks_what_is_simulated(ledger: Path) -> None:
    text = shown(made(ledger))
    words = " ".join(text.split())
    for said in ("All times are UTC", "base †", "† simulated, a stand-in", "Usage basis", "of the error budget", "UTC"):
        assert said in words
    for section in made(ledger).sections:
        assert section.title in text
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 150


def test_markdown_tables_are_whole_and_take_any_name(tmp_path: Path) -> None:
    records = [attempt("a", "box", output_tokens=5), operation("a", "box", key="a|b*<i>", alias="x_y")]
    text = formats.markdown(made(written(tmp_path / "l.sqlite3", [*accruals(T0, T0 + 120), *records])))
    assert "a&#124;b&#42;&lt;i&gt;" in text
    assert "x&#95;y" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    width = 0
    for line in rows:
        if set(line) <= set("|-:"):
            assert line.count("|") == width
        width = line.count("|")
    assert len([line for line in rows if set(line) <= set("|-:")]) >= 8


def test_csv_has_every_nano_dollar_and_the_unit_in_its_header(ledger: Path) -> None:
    tables = formats.csv_tables(made(ledger))
    rows = list(csv.DictReader(io.StringIO(tables["serving"])))
    assert [row["cost_usd"] for row in rows] == ["0.360000000", "1.200000000", "0.006000000"]
    assert rows[0]["reservation_usd_per_1m_output_tokens"] == "20.0"
    speeds = list(csv.DictReader(io.StringIO(tables["speed"])))
    assert speeds[1]["ttft_p95_seconds"] == "2.0"
    assert speeds[2]["utilization_ratio"] == ""
    saved = list(csv.DictReader(io.StringIO(tables["saved_against"])))
    assert {row["path"]: row["saved_usd"] for row in saved} == {"cmi": "2.034000000", "base": "-1.503900000"}
    for text in tables.values():
        lengths = {len(row) for row in csv.reader(io.StringIO(text))}
        assert len(lengths) == 1


def test_csv_in_one_text_names_each_table(ledger: Path) -> None:
    text = formats.csv_sections(made(ledger))
    names = re.findall(r"^# (\w+): ", text, re.MULTILINE)
    assert names == list(formats.csv_tables(made(ledger)))


def test_a_spreadsheet_never_takes_a_name_for_a_formula(tmp_path: Path) -> None:
    records = [attempt("a", "box", output_tokens=5), operation("a", "box", key="=1+1")]
    text = formats.csv_tables(made(written(tmp_path / "l.sqlite3", [*accruals(T0, T0 + 60), *records])))["by_key"]
    assert "'=1+1" in text


def test_json_has_integers_of_nano_dollars_and_null_for_what_is_unknown(ledger: Path) -> None:
    one = report_of(ledger)
    answer = json.loads(json.dumps(formats.as_json(document(one), one), allow_nan=False))
    assert answer["period"]["since"] == "2026-11-01T12:00:00Z"
    assert answer["simulated"] == ["base"]
    tables = {name: table for section in answer["sections"] for name, table in section["tables"].items()}
    box, cmi, base = tables["serving"]["rows"]
    assert (box["cost_nanousd"], box["cost_usd"], box["usage_usd_per_1m_output_tokens"]) == (360_000_000, 0.36, 5.0)
    assert tables["speed"]["rows"][2]["utilization_ratio"] is None
    assert sum(row["cost_nanousd"] for row in (box, cmi, base)) == tables["by_path"]["rows"][-1]["cost_nanousd"]


class Page(HTMLParser):
    """Whether every element closes, and what would leave the page."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def html_of(ledger: Path, period: Period = WHOLE) -> str:
    one = report_of(ledger, period)
    return page(document(one), one)


def test_the_page_holds_all_it_needs(ledger: Path) -> None:
    text = html_of(ledger)
    read = Page(text)
    assert read.open == []
    assert "script" not in read.seen
    assert all(link.startswith("#") for link in read.links)
    assert "@import" not in text
    assert "url(" not in text
    # Each chart for a wide page and for a phone: spend, the crossover, what was saved.
    assert read.seen.count("svg") == 2 * 3
    assert "prefers-color-scheme:dark" in text


def test_names_do_not_become_markup(tmp_path: Path) -> None:
    records = [attempt("a", "box", output_tokens=5), operation("a", "box", key="<script>x</script>")]
    text = html_of(written(tmp_path / "l.sqlite3", [*accruals(T0, T0 + 60), *records]))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_box_that_was_seen_for_hours_gets_them_drawn(tmp_path: Path) -> None:
    calls = [attempt(f"c{k}", "box", started_at=T0 + k * HOUR, output_tokens=5000 * k) for k in range(5)]
    text = html_of(written(tmp_path / "l.sqlite3", [*accruals(T0, T0 + 5 * HOUR), *calls]), Period(T0, T0 + 5 * HOUR))
    assert "box: utilization by hour" in text


@pytest.mark.parametrize("kind", ["windows only", "box only", "one token"])
def test_every_format_takes_a_ledger_with_little_in_it(tmp_path: Path, kind: str) -> None:
    records = {
        "windows only": [WindowRecord("run", "cmi", 1, 1, T0, T0 + 300, 600_000_000)],
        "box only": list(accruals(T0, T0 + 60)),
        "one token": [attempt("a", "base", input_tokens=1, nanousd=500)],
    }[kind]
    path = written(tmp_path / "l.sqlite3", records)
    one = report_of(path)
    assert Page(html_of(path)).open == []
    assert shown(document(one))
    assert formats.markdown(document(one))
    assert formats.csv_sections(document(one))
    json.dumps(formats.as_json(document(one), one), allow_nan=False)


@pytest.mark.parametrize(
    ("amount", "digits", "text"),
    [(0, 2, "$0"), (1, 2, "<$0.01"), (12_345_678_901_234, 2, "$12,345.68"), (5_000_000, 2, "<$0.01"),
     (5_000_001, 2, "$0.01"), (571_800_000, 4, "$0.5718")],
)  # fmt: skip
def test_money_above_0_is_never_shown_as_0(amount: int, digits: int, text: str) -> None:
    assert nanousd_text(amount, digits) == text


def test_shares_and_differences_read_like_words() -> None:
    assert [percent(share) for share in (0, 0.00001, 0.0031, 0.622, 1, 17.65)] == [
        "0%", "<0.01%", "0.31%", "62.2%", "100%", "1765%",
    ]  # fmt: skip
    assert [factor(ratio) for ratio in (1.0, 1.12, 0.96, 6.4, 0.125)] == [
        "the same", "+12.0%", "-4.0%", "6.4 times", "1/8",
    ]  # fmt: skip
