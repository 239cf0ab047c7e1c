"""What the page works out itself: numbers in words, and where things go on the chart. The page's own modules, in
Chromium, without a gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route

from gateway.server.console.files import read_files

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]
ROOT = "http://console.invalid"


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    files = read_files()

    async def served(route: Route) -> None:
        file = files.get(route.request.url.removeprefix(f"{ROOT}/"))
        await route.fulfill(
            body="" if file is None else file.body, content_type="text/html" if file is None else file.kind
        )

    context = await chromium.new_context(timezone_id="UTC")
    made = await context.new_page()
    await made.route("**/*", served)
    await made.goto(f"{ROOT}/")
    yield made
    await context.close()


async def call(page: Page, module: str, function: str, *arguments: Any) -> Any:
    return await page.evaluate(
        "async ([module, name, args]) => (await import(`/${module}.js`))[name](...args)",
        [module, function, list(arguments)],
    )


async def test_numbers_are_written_as_people_read_them(page: Page) -> None:
    for function, written in {
        "usd": {
            431.55: "$432", 27.53: "$27.5", 2.546: "$2.55", 0.41: "$0.41", 0.04134: "$0.041", 1234.5: "$1,235",
            0.000013: "$0.000013", 0: "$0", -0.0312: "−$0.031",
        },
        "amount": {1.2345: "$1.23", 12.3: "$12.30", 5073.6: "$5,074", 0.00474: "$0.0047", -12.0: "−$12.00"},
        "percent": {0.079: "7.9%", 0.6218: "62%", 0.0004: "<0.1%", 0: "0%", 5.66: "566%"},
        "share": {1: "100%", 0.98969: "98.96%", 0.999999: "99.99%", 0.0092: "0.92%", 0: "0%", 0.4177: "41.7%"},
        "seconds": {0.0004: "0.4 ms", 0.0862: "86 ms", 0.45: "0.45 s", 12.2: "12 s", 35945: "9 h 59 min"},
        "countdown": {244.2: "4:05", 59: "0:59", 0: "0:00"},
        "duration": {42: "42 s", 720: "12 min", 11100: "3 h 5 min", 187200: "2 d 4 h"},
        "tokens": {1861: "1,861", 48210: "48.2k", 3100000: "3.1M"},
        "clock": {1790000000: "14:13:20"},
    }.items():  # fmt: skip
        for value, text in written.items():
            assert await call(page, "format", function, value) == text, (function, value)
        assert await call(page, "format", function, None) == "–", f"{function}: unknown is never 0"


async def test_labels_keep_clear_of_each_other_and_inside_the_chart(page: Page) -> None:
    labels = [{"y": y} for y in (100, 102, 103, 300, 395)]
    moved = await call(page, "crossover_scale", "spread", labels, 18, 14, 390)
    at = sorted(label["at"] for label in moved)
    assert all(after - before >= 18 for before, after in pairwise(at))
    assert at[0] >= 14
    assert at[-1] <= 390


async def test_the_axis_of_dollars_grows_at_once_and_shrinks_late(page: Page) -> None:
    ranges = await page.evaluate(
        """async () => {
          const { DollarRange } = await import('/crossover_scale.js');
          const range = new DollarRange();
          const first = range.around([0.4, 27.5]);
          const grown = range.around([0.4, 431]);
          const soon = range.around([0.4, 27.5]);
          for (let update = 0; update < 40; update += 1) range.around([0.4, 27.5]);
          return [first, grown, soon, range.around([0.4, 27.5])];
        }"""
    )
    assert ranges == [[0.2, 50], [0.2, 1000], [0.2, 1000], [0.2, 50]]


async def test_the_curve_is_full_price_over_utilization(page: Page) -> None:
    points = await page.evaluate(
        """async () => {
          const { hyperbola, layout, scales } = await import('/crossover_scale.js');
          const frame = layout(900);
          const scale = scales(frame, [0.2, 100]);
          const curve = hyperbola(1.58, 100, scale).map((point) => point.split(',').map(Number));
          return curve.map(([x, y]) => {
            const utilization = (x - frame.left) / (frame.right - frame.left);
            const usd = 0.2 * Math.exp((frame.bottom - y) / (frame.bottom - frame.top) * Math.log(100 / 0.2));
            return [utilization, usd];
          });
        }"""
    )
    assert points[0][1] == pytest.approx(100, rel=0.02)
    assert points[-1] == pytest.approx([1, 1.58], rel=0.02)
    for utilization, usd in points[40:]:
        assert usd * utilization == pytest.approx(1.58, rel=0.02)


async def test_the_past_takes_what_comes_and_asks_again_after_a_hole(page: Page) -> None:
    found = await page.evaluate(
        """async () => {
          const { Past } = await import('/past.js');
          const past = new Past({
            at: [100, 103], series: { box: { usd_per_1m: [0, 2] } },
            boxes: { box: { utilization: [0.1, 0.2], elsewhere: { cmi: [null, 20] } } },
          }, '15m');
          const state = (at) => ({
            at, tiles: { usd_per_1m: { box: at / 100 } },
            boxes: [{ name: 'box', utilization: 0.5, elsewhere: [{ path: 'cmi', usd_per_1m: 30 }] }],
          });
          const young = past.range();
          const taken = [past.add(state(104.2)), past.add(state(104.4)), past.add(state(140))];
          const columns = JSON.parse(JSON.stringify([past.priceColumns(), past.busyColumns([0.3])]));
          for (let at = 105; at <= 1100; at += 1) past.add(state(at));
          return { young, taken, columns, kept: past.at.length, range: past.range() };
        }"""
    )
    assert found["young"] == [-77, 103], "a short past fills the chart, but for three minutes at least"
    assert found["taken"] == [True, True, False]
    assert found["columns"] == [
        [[100, 103, 104], [None, 2, 1.042], [None, 20, 30]],
        [[100, 103, 104], [0.1, 0.2, 0.5], [0.3, 0.3, 0.3]],
    ]
    assert (found["kept"], found["range"]) == (901, [200, 1100])
