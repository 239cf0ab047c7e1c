"""A real Chromium for tests, driven by Playwright, and a page that keeps what must not happen on it.

Tests that use it run in the session's event loop: `pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, async_playwright, expect

ARGUMENTS = (
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
MISSING = "No Chromium on this machine. scripts/chromium.sh installs Debian's; CHROMIUM=/path/to/it names another."
NAMES = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_MS = 15_000
expect.set_options(timeout=TIMEOUT_MS)  # its own default is 5 s, whatever the page's is
VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


def chromium_path() -> str | None:
    """The browser of this machine; None: there is none."""
    return next((path for name in (os.environ.get("CHROMIUM"), *NAMES) if name and (path := shutil.which(name))), None)


@asynccontextmanager
async def open_chromium() -> AsyncIterator[Browser]:
    """Raises FileNotFoundError with the mend where there is none."""
    path = chromium_path()
    if path is None:
        raise FileNotFoundError(MISSING)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    try:
        async with open_chromium() as browser:
            yield browser
    except FileNotFoundError as error:
        pytest.fail(str(error))


class Watched:
    """A page of `root` (http://host:port). `problems`: console errors, uncaught errors, and requests to elsewhere,
    which are stopped. A failed request is one of them unless `ignored` matches it."""

    def __init__(self, page: Page, root: str) -> None:
        self.page = page
        self.root = root
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.ignored: re.Pattern[str] | None = None
        page.on("console", lambda said: self._note(f"console: {said.text} {said.location.get('url', '')}", said.type))
        page.on("pageerror", lambda error: self._note(f"uncaught: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))

    def _note(self, problem: str, type: str = "error") -> None:
        if type in ("error", "warning") and not (self.ignored and self.ignored.search(problem)):
            self.problems.append(problem)

    async def stop(self, route: Route) -> None:
        self.problems.append(f"left the host: {route.request.url}")
        await route.abort()

    async def violations(self) -> list[str]:
        """Of the content security policy, on the page that is open."""
        found: list[str] = await self.page.evaluate("window.violations")
        return found


@asynccontextmanager
async def watched_page(browser: Browser, root: str, **context: Any) -> AsyncIterator[Watched]:
    """`context`: as for Playwright's `new_context` (viewport, color_scheme...)."""
    made = await browser.new_context(**context)
    made.set_default_timeout(TIMEOUT_MS)
    try:
        page = await made.new_page()
        watched = Watched(page, root)
        await page.add_init_script(VIOLATIONS)
        await made.route(re.compile(rf"^(?!{re.escape(root)}/)"), watched.stop)
        yield watched
    finally:
        await made.close()
