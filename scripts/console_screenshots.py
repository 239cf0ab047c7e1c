"""Pictures of a running gateway's console: wide, dark, a phone, a decision.

    python scripts/console_screenshots.py --url http://127.0.0.1:8080 --admin-key KEY --out docs/

Writes console-wide.png, console-dark.png, console-phone.png and console-decision.png. Needs Chromium:
scripts/chromium.sh installs it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # run as a file

from playwright.async_api import Browser, Error, Page, expect  # noqa: E402

from tests.chromium import open_chromium  # noqa: E402

SETTLE_SECONDS = 4.0
"""A few states, so that the charts have drawn and the point has come to rest."""
MOST_BYTES = 300_000
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Pictures of a running gateway's console.")
    parser.add_argument("--url", required=True, help="the gateway, for example http://127.0.0.1:8080")
    parser.add_argument("--admin-key", required=True, help="one of the policy's auth.admin_keys")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", metavar="FOLDER", help="where they go (docs/)")
    asked = parser.parse_args(arguments)
    parts = urlsplit(asked.url)
    asked.out.mkdir(parents=True, exist_ok=True)
    try:
        return asyncio.run(_take(f"{parts.scheme}://{parts.netloc}", asked.admin_key, asked.out))
    except (Error, FileNotFoundError, AssertionError) as error:
        print(f"No picture: {error}", file=sys.stderr)
        return 1


async def _take(root: str, key: str, out: Path) -> int:
    async with open_chromium() as browser:
        too_large = [
            await _picture(browser, root, key, out / "console-wide.png", WIDE, "light"),
            await _picture(browser, root, key, out / "console-dark.png", WIDE, "dark"),
            await _picture(browser, root, key, out / "console-phone.png", PHONE, "light"),
            await _picture(browser, root, key, out / "console-decision.png", WIDE, "light", _open_decision),
        ]
    return max(too_large)


async def _picture(
    browser: Browser, root: str, key: str, file: Path, size: dict[str, int], scheme: str,
    before: Callable[[Page], Awaitable[None]] | None = None,
) -> int:  # fmt: skip
    """1 when the file is larger than it should be, else 0."""
    context = await browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(f"{root}/console/login")
    await page.fill("#key", key)
    await page.keyboard.press("Enter")
    refused = page.get_by_role("alert")
    await expect(refused.or_(page.locator("#link-state"))).to_be_visible()
    if await refused.count():
        raise AssertionError(await refused.inner_text())
    await expect(page.locator("#link-state")).to_have_attribute("data-link", "live")
    await asyncio.sleep(SETTLE_SECONDS)
    if before is not None:
        await before(page)
    whole = {} if before is not None else {"full_page": True, "clip": await _top(page, size)}
    written = len(await page.screenshot(path=file, **whole))  # type: ignore[arg-type]
    await context.close()
    print(f"{file}: {written / 1000:.0f} kB")
    if written > MOST_BYTES:
        print(f"{file} is larger than {MOST_BYTES / 1000:.0f} kB", file=sys.stderr)
    return int(written > MOST_BYTES)


async def _top(page: Page, size: dict[str, int]) -> dict[str, float]:
    """The page down to the end of the backends; a phone's is long, and its top shows enough."""
    end = await page.evaluate("document.getElementById('backends').getBoundingClientRect().bottom + scrollY")
    return {"x": 0, "y": 0, "width": size["width"], "height": min(end + 12, 4.2 * size["width"])}


async def _open_decision(page: Page) -> None:
    """The newest one that chose among several."""
    await page.locator("#latest .row-open").first.click()
    await expect(page.locator("dialog")).to_be_visible()
    await page.wait_for_timeout(300)


if __name__ == "__main__":
    raise SystemExit(main())
