"""The charts of a replay: for both schemes, whole as XML, nothing outside the page, no two labels on one spot."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from gateway.replay.cost_plot import Point, Scatter, cost_plot
from gateway.replay.timeline import MOST_BINS, bin_seconds, timeline
from gateway.replay.timeline_plot import time_ticks, timeline_plot
from gateway.report.labels import text_width
from gateway.routing.speed import SpeedModel
from tests.replay.hand_run import DAY, DOLLAR, run, window

SVG = "{http://www.w3.org/2000/svg}"
BOX = SpeedModel(0.0, 0.005, 32, 1000.0, 0.0, 200.0)
"""A step of full batch takes 0.16 s: 200 tokens/s; a prompt of 1,000 tokens takes a second."""


def scatter(*points: Point, budget: float = 0.01) -> Scatter:
    return Scatter("by hand", points, budget, ((0.0, 150.0), (0.01, 120.0), (1.0, 100.0)), "Whiskers: by hand.")


CROWD = [
    Point("crossover", 0.0087, 872, 800, 950),
    Point("box-only", 0.75, 199),
    Point("imported-only", 0.0, 5074),
    Point("spill", 0.038, 2837),
    Point("least-busy", 0.0002, 5382),
    Point("lowest-cost", 0.42, 2417),
    Point("ceiling-greedy", 0.055, 2552),
    Point("hindsight", 0.0096, 694, hollow=True),
]


@pytest.mark.parametrize("layout", ["wide", "narrow"])
def test_every_policy_has_a_label_of_its_own_inside_the_page(layout: str) -> None:
    root = ElementTree.fromstring(cost_plot([scatter(*CROWD)]))
    drawing = next(group for group in root.iter(f"{SVG}g") if layout in group.get("class", ""))
    size = float(drawing.get("font-size", "0"))
    boxes = []
    for group in drawing.iter(f"{SVG}g"):
        if "policy" in group.get("class", ""):
            (text,) = group.iter(f"{SVG}text")
            left, base = float(text.get("x", "0")), float(text.get("y", "0"))
            boxes.append((left, base - 0.8 * size, left + text_width(text.text or "", 0.86 * size), base))
    assert len(boxes) == len(CROWD)
    for number, one in enumerate(boxes):
        assert one[0] >= 0
        assert one[2] <= 800
        for other in boxes[number + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)


def test_a_policy_that_costs_nothing_has_no_place_on_a_log_axis() -> None:
    with pytest.raises(ValueError, match="logarithmic"):
        cost_plot([scatter(Point("free", 0.0, 0.0))])


def test_names_of_any_letters_stay_inside_the_xml() -> None:
    root = ElementTree.fromstring(cost_plot([scatter(Point('<b>&"x\x00', 0.1, 10.0))]))
    assert '<b>&"x' in " ".join(root.itertext())


def test_both_colour_schemes_are_in_the_file() -> None:
    assert "prefers-color-scheme:dark" in cost_plot([scatter(*CROWD)])


@pytest.mark.parametrize("span", [30.0, 3504.0, 86400.0, 7 * 86400.0, 60 * 86400.0])
def test_bins_are_few_and_ticks_are_a_handful(span: float) -> None:
    assert span / bin_seconds(span) <= MOST_BINS
    assert 2 <= len(time_ticks(span)) <= 11


def test_a_timeline_adds_up_to_the_run() -> None:
    rows = [
        (100.0, "box", {"in_tokens": 1000, "out_tokens": 400}),
        (200.0, "base", {"nanousd": DOLLAR, "late": True}),
        (50_000.0, "cmi", {"wrong": True, "late": True}),
        (60_000.0, None, {}),
    ]
    made = timeline(run(*rows, windows=[window(50_000), window(50_300), window(50_000, copy=2)]), ("box", BOX))
    hours = made.bin_seconds / 3600
    spent = {name: float(rate.sum()) * hours for name, rate in made.usd_per_hour.items()}
    assert spent["box"] == pytest.approx(199 * 24 / 730)
    assert spent["base"] == pytest.approx(1.0)
    assert spent["cmi"] == pytest.approx(1.5)
    assert {cause: float(rate.sum()) * hours for cause, rate in made.bad_per_hour.items()} == pytest.approx(
        {"late": 1, "wrong": 1, "refused": 1}
    )
    assert float(made.boxed.sum()) * made.bin_seconds == pytest.approx(1 + 400 / 200)
    assert float(made.offered.sum()) > float(made.boxed.sum())
    assert [(span.lane, span.windows, span.opens_s, span.ends_s) for span in made.spans] == [
        (0, 2, 50_000, 50_600),
        (1, 1, 50_000, 50_300),
    ]


def test_a_timeline_says_whose_it_is_and_that_it_is_simulated() -> None:
    drawn = timeline_plot(timeline(run((0, "box", {}), span=2 * DAY), ("box", BOX)), "by hand at 80%")
    words = " ".join(ElementTree.fromstring(drawn).itertext())
    for text in ("simulated", "by hand at 80%", "Policy by hand over 2 days", "hours from the start"):
        assert text in words
    assert not re.search(r"\bnan\b", drawn)


def test_without_a_box_there_is_no_panel_of_its_load() -> None:
    drawn = timeline_plot(timeline(run((0, "base", {})), None), "by hand")
    assert "Load, %" not in drawn
    assert "nan" not in drawn
