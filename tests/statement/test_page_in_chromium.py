"""The page in a real browser: it asks for nothing, fits a phone, and is dark or light as its reader is."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser

from gateway.statement.page import page
from gateway.statement.period import Period
from gateway.statement.sections import document
from tests.chromium import chromium, watched_page
from tests.statement.ledgers import HOUR, T0, accruals, attempt, report_of, round_hour, written

__all__ = ["chromium"]

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]

OUTSIDE = """() => [...document.querySelectorAll("figure svg")].filter(svg => svg.checkVisibility()).flatMap(svg => {
  const frame = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text, rect, circle, path.line")].filter(part => {
    const box = part.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
  }).map(part => part.textContent || part.tagName);
})"""
"""What of a chart is drawn beyond its edges."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    more = [attempt(f"late{k}", "box", started_at=T0 + k * HOUR, output_tokens=9000 * k) for k in range(1, 4)]
    records = [*round_hour(), *accruals(T0 + HOUR, T0 + 4 * HOUR), *more]
    one = report_of(written(folder / "l.sqlite3", records), Period(T0, T0 + 5 * HOUR))
    (folder / "report.html").write_text(page(document(one), one))
    return folder / "report.html"


@pytest.mark.parametrize(("width", "shown", "hidden"), [(1200, "wide", "narrow"), (375, "narrow", "wide")])
async def test_it_fits_its_reader_and_asks_for_nothing(
    chromium: Browser, file: Path, width: int, shown: str, hidden: str
) -> None:
    async with watched_page(chromium, file.parent.as_uri(), viewport={"width": width, "height": 800}) as watched:
        tab = watched.page
        await tab.goto(file.as_uri())
        assert watched.requests == [file.as_uri()]
        assert watched.problems == []
        assert await watched.violations() == []
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        assert await tab.locator(f"figure svg.{shown}:visible").count() == 4
        assert await tab.locator(f"figure svg.{hidden}:visible").count() == 0
        assert await tab.evaluate(OUTSIDE) == []


@pytest.mark.parametrize(
    ("scheme", "media", "color"),
    [
        ("dark", "screen", "rgb(13, 17, 23)"),
        ("light", "screen", "rgb(255, 255, 255)"),
        ("dark", "print", "rgb(255, 255, 255)"),
    ],
)
async def test_it_is_dark_for_those_who_like_it_and_never_on_paper(
    chromium: Browser, file: Path, scheme: str, media: str, color: str
) -> None:
    async with watched_page(chromium, file.parent.as_uri(), color_scheme=scheme) as watched:
        await watched.page.emulate_media(media=media)  # type: ignore[arg-type]
        await watched.page.goto(file.as_uri())
        assert await watched.page.evaluate("getComputedStyle(document.body).backgroundColor") == color
