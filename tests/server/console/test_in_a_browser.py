"""The console as its owner sees it: a real Chromium on a real gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from playwright.async_api import Browser, Page, expect

from gateway.sandbox.hosting import free_port
from tests.chromium import Watched, watched_page
from tests.gateway_process import ADMIN_KEY, API_KEY, GatewayProcess
from tests.server.console.conftest import policy

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]
Start = Callable[..., GatewayProcess]


async def log_in(page: Page, gateway: GatewayProcess) -> None:
    await page.goto(f"{gateway.root}/console")
    await page.wait_for_url("**/console/login")
    await page.keyboard.type(ADMIN_KEY)  # the field has the focus
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console")
    await expect(page.locator("#link-state")).to_have_attribute("data-link", "live")


async def ask(gateway: GatewayProcess, times: int, max_tokens: int = 200) -> None:
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
        asked = [
            client.chat.completions.create(
                model="tuned", messages=[{"role": "user", "content": "May I carry leave over?"}], max_tokens=max_tokens
            )
            for _ in range(times)
        ]
        await asyncio.gather(*asked)


async def clean(watched: Watched) -> None:
    assert watched.problems == []
    assert await watched.violations() == []
    assert watched.requests
    assert all(url.startswith(watched.root) for url in watched.requests)


async def test_the_point_moves_on_the_curve_under_traffic(gateway: GatewayProcess, chromium: Browser) -> None:
    async with watched_page(chromium, gateway.root, viewport={"width": 1440, "height": 900}) as watched:
        page = watched.page
        await log_in(page, gateway)
        await expect(page.locator("#verdict-sentence")).to_contain_text("Nothing was served by box")
        await expect(page.locator(".prices .idle")).to_have_count(2)
        dot = page.locator(".crossover-chart .live")
        await expect(dot).to_have_attribute("visibility", "hidden")

        await ask(gateway, 6)
        await expect(dot).not_to_have_attribute("visibility", "hidden")
        before = float(await dot.get_attribute("data-utilization") or 0)
        await ask(gateway, 30)
        await expect(dot).not_to_have_attribute("data-utilization", f"{before:.5f}")
        await page.wait_for_function(
            "before => Number(document.querySelector('.live').dataset.utilization) > before", arg=before
        )

        await expect(page.locator("#verdict-sentence")).to_contain_text("cloud")
        await expect(page.locator("#verdict-simulated")).to_have_text("simulated: box")
        await expect(page.locator("#books tbody tr")).to_have_count(2)
        await expect(page.locator("#backends .backend")).to_have_count(2)
        await expect(page.locator("#adapters tbody")).to_contain_text("not judged")
        await expect(page.locator("#time-chart canvas")).to_have_count(2)
        await expect(page.locator("#tab-replay")).to_be_hidden()
        async with page.expect_response("**/console/api/history?span=24h") as asked:
            await page.get_by_role("button", name="24 h").click()
        assert (await asked.value).ok
        await expect(page.locator("#time-chart canvas")).to_have_count(2)
        await clean(watched)

        await page.evaluate(
            "const script = document.createElement('script'); script.textContent = 'window.injected = true';"
            "document.body.append(script); document.body.insertAdjacentHTML('beforeend', '<i style=\"top: 1px\"></i>');"
        )
        assert await page.evaluate("window.injected") is None, "the content policy stops a script in the page"
        assert {found.split()[0] for found in await watched.violations()} == {"script-src-elem", "style-src-attr"}


async def test_a_decision_opens_into_its_whole_explanation_by_keyboard(
    gateway: GatewayProcess, chromium: Browser
) -> None:
    await ask(gateway, 3, 20)
    async with watched_page(chromium, gateway.root) as watched:
        page = watched.page
        await log_in(page, gateway)
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip")).to_be_focused()
        await page.locator("#tab-overview").focus()
        await page.keyboard.press("ArrowRight")
        await expect(page.locator("#tab-decisions")).to_be_focused()
        await expect(page.locator("#decisions")).to_be_visible()
        await expect(page.locator("#overview")).to_be_hidden()

        rows = page.locator("#decision-list .row-open")
        await expect(rows).to_have_count(3)
        await page.keyboard.press("Tab")
        for _ in range(6):  # past the theme and logout buttons
            if await rows.first.evaluate("row => row === document.activeElement"):
                break
            await page.keyboard.press("Tab")
        await expect(rows.first).to_be_focused()
        await page.keyboard.press("Enter")
        dialog = page.locator("dialog")
        await expect(dialog).to_be_visible()
        told = gateway.admin(f"decisions/{await rows.first.get_attribute('data-decision')}")
        await expect(dialog.locator("h2")).to_have_text(told["sentence"])
        heads = await dialog.locator(".candidates thead th").all_inner_texts()
        assert [re.split(r"\W", head)[0] for head in heads] == [one["backend"] for one in told["candidates"]]
        await expect(dialog.locator(".candidates thead .chosen")).to_contain_text(told["chosen"])
        for said in ("First token, predicted", "Chance to be late", "Adds to the bill", "Input tokens, estimated"):
            await expect(dialog).to_contain_text(said)
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(rows.first).to_be_focused()

        await ask(gateway, 2, 20)
        await expect(page.locator("#decision-list .held")).to_contain_text("2 new ones wait while you read")
        await expect(rows).to_have_count(3)
        await rows.first.blur()
        await expect(rows).to_have_count(5)
        await clean(watched)


async def test_after_a_restart_the_page_starts_anew(start_gateway: Start, peer_url: str, chromium: Browser) -> None:
    gateway = start_gateway(**policy(peer_url, server={"port": free_port()}))
    await ask(gateway, 4)
    async with watched_page(chromium, gateway.root) as watched:
        page = watched.page
        await log_in(page, gateway)
        await expect(page.locator("#latest .row-open")).to_have_count(4)
        watched.ignored = re.compile("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|status of 50")
        await asyncio.to_thread(gateway.stop)
        await expect(page.locator("#banner")).to_be_visible()
        await expect(page.locator("#banner-age")).to_contain_text("These figures are")
        await expect(page.locator("#link-state")).to_have_text("no contact")
        await page.locator("#banner-now").click()
        await expect(page.locator("#banner-what")).to_have_text("No contact with the gateway.")

        watched.ignored = re.compile("ERR_CONNECTION_REFUSED|status of 401")
        await asyncio.to_thread(gateway.restart)
        await page.wait_for_url("**/console/login")
        await log_in(page, gateway)
        await expect(page.locator("#latest .row-open")).to_have_count(0)
        await expect(page.locator("#latest")).to_contain_text("No request has been decided on")
        await expect(page.locator(".crossover-chart .live")).to_have_attribute("visibility", "hidden")
        assert watched.problems == []


async def test_another_run_without_a_break_leaves_no_stale_point(gateway: GatewayProcess, chromium: Browser) -> None:
    """A proxy may keep the session's cookie good for a second gateway: only the run's name tells them apart."""
    await ask(gateway, 6)
    async with watched_page(chromium, gateway.root) as watched:
        page = watched.page
        await log_in(page, gateway)
        await expect(page.locator(".crossover-chart .trail.age-0")).to_have_attribute("points", re.compile(r"\d .*\d"))
        state = await (await page.request.get(f"{gateway.root}/console/api/state")).json()
        other: dict[str, Any] = state | {"run": "another", "decisions": [], "at": state["at"] + 5}
        for box in other["boxes"]:
            box["usd_per_1m"] = None
        await page.evaluate(
            "async (state) => { const { onState } = await import('/console/static/app.js'); onState(state); }", other
        )
        await expect(page.locator(".crossover-chart .trail.age-0")).to_have_attribute("points", "")
        await clean(watched)


async def test_a_phone_in_the_dark(
    start_gateway: Start, peer_url: str, chromium: Browser, tmp_path: Path, replay_report: str
) -> None:
    file = tmp_path / "replay.json"
    file.write_text(replay_report)
    gateway = start_gateway(**policy(peer_url, console={"replay_report": str(file)}))
    await ask(gateway, 4)
    phone = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark", "has_touch": True}
    async with watched_page(chromium, gateway.root, **phone) as watched:
        page = watched.page
        await log_in(page, gateway)
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await expect(page.locator("#latest .row-open")).to_have_count(4)
        wide = "document.documentElement.scrollWidth > innerWidth"
        for tab in ("overview", "decisions", "replay"):
            await page.locator(f"#tab-{tab}").click()
            await expect(page.locator(f"#{tab}")).to_be_visible()
            assert not await page.evaluate(wide), f"{tab} is wider than the phone"
        await expect(page.locator("#replay")).to_contain_text("simulated")
        await expect(page.locator("#replay tbody tr")).to_have_count(1)

        await page.locator("#theme").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "light")
        await page.reload()
        await expect(page.locator("html")).to_have_attribute("data-theme", "light")
        await expect(page.locator("#replay")).to_be_visible()  # the address keeps the tab
        await page.locator("#logout").click()
        await page.wait_for_url("**/console/login")
        await page.goto(f"{gateway.root}/console")
        await page.wait_for_url("**/console/login")
        watched.ignored = re.compile("status of 401")
        await page.fill("#key", "not the key")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("not an admin key")
        assert not await page.evaluate(wide)
        await clean(watched)
