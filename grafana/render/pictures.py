"""Takes the pictures: one PNG a dashboard, in a headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, Error, sync_playwright

WIDTH = 1600
HEIGHT = 1000
DRAWN_MS = 60_000
SETTLE_MS = 800
"""After the last panel has its data: text that is measured before it is placed."""


class NotDrawnError(RuntimeError):
    """A panel could not be drawn; the message says which, and why."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium where there is one, else Playwright's own."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"]
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def _into(raised: list[str]) -> Callable[[Error], None]:
    return lambda error: raised.append(str(error))


def take(
    address: str, dashboards: Sequence[str], out: Path, *, minutes: int, scrape_seconds: float, theme: str, note: str
) -> list[Path]:
    """`dashboards`: file names. Returns the pictures' files. Raises `NotDrawnError`."""
    made = []
    with chromium() as browser:
        for name in dashboards:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            raised: list[str] = []
            page.on("pageerror", _into(raised))
            asked = {"dashboard": name, "minutes": minutes, "scrape": scrape_seconds, "theme": theme, "note": note}
            page.goto(f"{address}/?{urlencode(asked)}")
            page.wait_for_selector("body[data-drawn]", timeout=DRAWN_MS)
            # Tables draw nothing while they are out of sight: the window becomes as tall as the page.
            tall = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": WIDTH, "height": tall})
            page.wait_for_timeout(SETTLE_MS)
            wrong = [page.evaluate("document.body.dataset.errors"), *raised]
            if any(wrong):
                raise NotDrawnError(f"{name}: {'; '.join(filter(None, wrong))}")
            picture = out / f"grafana-{Path(name).stem}.png"
            page.screenshot(path=picture, full_page=True)
            page.close()
            made.append(picture)
    return made
