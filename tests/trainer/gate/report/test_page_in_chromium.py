"""The report in a real browser: nothing of an answer runs, it asks for nothing, and it fits a phone, light or dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.chromium import chromium, watched_page
from tests.statement.test_page_in_chromium import OUTSIDE
from tests.trainer.gate.report.views import hostile_view
from trainer.gate.report.page import page

__all__ = ["chromium"]

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page") / "report.html"
    made.write_text(page(hostile_view()))
    return made


@pytest.mark.parametrize(
    ("width", "scheme", "color"), [(1200, "light", "rgb(255, 255, 255)"), (375, "dark", "rgb(13, 17, 23)")]
)
async def test_it_fits_its_reader_and_nothing_of_an_answer_runs(
    chromium: Browser, file: Path, width: int, scheme: str, color: str
) -> None:
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    async with watched_page(chromium, file.parent.as_uri(), **options) as watched:
        tab = watched.page
        await tab.goto(file.as_uri())
        assert watched.requests == [file.as_uri()]
        assert watched.problems == []
        assert await watched.violations() == []
        assert await tab.evaluate("window.injected") is None
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        assert await tab.evaluate("getComputedStyle(document.body).backgroundColor") == color
        assert await tab.evaluate(OUTSIDE) == []
        assert await tab.locator("figure svg:visible").count() == 3
        assert await tab.locator(".asked").count() == 12
