"""`crossover economics --plot`: marks stand where the numbers say, nothing overlaps, nothing unknown is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
from typer.testing import CliRunner

from gateway.economics.crossover import crossovers
from gateway.economics.path import Path as ServingPath
from gateway.policy import load_policy
from gateway.policy.paths import serving_paths
from gateway.report.cli import economics
from gateway.report.contents import report
from gateway.report.labels import Rect, spread, text_width
from gateway.report.plot import plot
from gateway.report.tables import percent

ROOT = Path(__file__).parents[2]
LAB = ROOT / "policies" / "seed-lab.yaml"
POLICIES = [LAB, ROOT / "policies" / "spark-bedrock.yaml"]
IN_DOCS = ("bedrock-base", "spark-llama", "spark-gemma", "cmi", "provisioned")
LAYOUTS = ("wide", "narrow")
SVG = "{http://www.w3.org/2000/svg}"

app = typer.Typer()
app.command()(economics)
runner = CliRunner()


def paths_of(policy: Path) -> list[ServingPath]:
    return serving_paths(load_policy(policy, require_environment=False))


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def layout(root: ElementTree.Element, name: str) -> ElementTree.Element:
    (found,) = [group for group in root.findall(f"{SVG}g") if (group.get("class") or "").split()[0] == name]
    return found


def of_class(group: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in group.iter() if name in (element.get("class") or "").split()]


class Axes:
    """What a reader takes from the ticks: positions turned back into utilization and dollars."""

    def __init__(self, group: ElementTree.Element) -> None:
        across = {tick.text: float(tick.get("x", "")) for tick in of_class(group, "tick-x")}
        self.left, self.right = across["0%"], across["100%"]
        lift = 0.3 * float(group.get("font-size", ""))  # a label's baseline lies that far below its line
        down = {
            float(str(t.text)[1:].replace(",", "")): float(t.get("y", "")) - lift for t in of_class(group, "tick-y")
        }
        (low, self.bottom), (high, self.top) = min(down.items()), max(down.items())
        self.low, self.decades = low, math.log10(high / low)

    def utilization(self, x: float) -> float:
        return (x - self.left) / (self.right - self.left)

    def usd(self, y: float) -> float:
        return self.low * 10 ** (self.decades * (self.bottom - y) / (self.bottom - self.top))


def boxes(group: ElementTree.Element) -> list[tuple[str, Rect]]:
    """Every piece of text as the rectangle it may fill."""
    size, found = float(group.get("font-size", "")), []
    for element in group.iter(f"{SVG}text"):
        kinds = (element.get("class") or "").split()
        font = size * {"title": 1.3, "small": 0.86, "tiny": 0.8}.get(kinds[0], 1.0)
        width = text_width(str(element.text), font, bold=kinds[0] in ("title", "bold"))
        x, y = float(element.get("x", "")), float(element.get("y", ""))
        left = x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[element.get("text-anchor", "")]
        found.append((str(element.text), Rect(left, y - 0.75 * font, left + width, y + 0.2 * font)))
    return found


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.stem)
def test_each_crossover_the_box_reaches_is_marked_where_its_numbers_say(policy: Path, name: str) -> None:
    paths = paths_of(policy)
    group = layout(parsed(plot(report(paths))), name)
    axes, wanted = Axes(group), {}
    for one in crossovers(paths):
        if one.wins:
            assert one.utilization is not None
            wanted[percent(one.utilization)] = (float(one.utilization), float(one.against_usd_per_1m_tokens or 0))
    marks = of_class(group, "crossover")
    assert sorted(str(mark.find(f"{SVG}text").text) for mark in marks) == sorted(wanted)  # type: ignore[union-attr]
    for mark in marks:
        dot, label = mark.find(f"{SVG}circle"), mark.find(f"{SVG}text")
        assert dot is not None
        assert label is not None
        utilization, usd = wanted[str(label.text)]
        assert axes.utilization(float(dot.get("cx", ""))) == pytest.approx(utilization, abs=0.001)
        assert axes.usd(float(dot.get("cy", ""))) == pytest.approx(usd, rel=0.005)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_box_falls_as_one_over_u_inside_its_band_and_the_rest_are_flat(name: str) -> None:
    group = layout(parsed(plot(report([path for path in paths_of(LAB) if path.name in ("spark-llama", "cmi")]))), name)
    axes = Axes(group)

    def points(element: ElementTree.Element) -> list[tuple[float, float]]:
        pairs = (pair.split() for pair in element.get("d", "").strip("MZ").split("L"))
        return [(axes.utilization(float(x)), axes.usd(float(y))) for x, y in pairs]

    box, cmi = (points(line) for line in of_class(group, "line"))
    assert [usd * busy for busy, usd in box] == pytest.approx([5.43597] * len(box), rel=0.01)
    assert box[-1][0] == pytest.approx(1, abs=0.001)
    assert [usd for _, usd in cmi] == pytest.approx([27.5439] * 2, rel=0.005)
    assert [busy for busy, _ in cmi] == pytest.approx([0, 1], abs=0.001)
    ends = [usd for busy, usd in points(of_class(group, "band")[0]) if busy > 0.9999]
    assert ends == pytest.approx([4.3488, 7.4745], rel=0.005)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("only", [None, IN_DOCS], ids=["all", "docs"])
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.stem)
def test_no_text_touches_another_or_leaves_the_picture(policy: Path, only: Sequence[str] | None, name: str) -> None:
    paths = [path for path in paths_of(policy) if only is None or policy != LAB or path.name in only]
    root = parsed(plot(report(paths)))
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    texts = boxes(layout(root, name))
    touching = [(one, two) for (one, here), (two, there) in combinations(texts, 2) if here.overlaps(there)]
    assert touching == []
    outside = [text for text, box in texts if box.left < 0 or box.top < 0 or box.right > width or box.bottom > height]
    assert outside == []


def test_it_says_what_it_is_for_those_who_cannot_see_it() -> None:
    root = parsed(plot(report(paths_of(LAB))))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title desc"
    described = root.findtext(f"{SVG}desc") or ""
    for said in ("spark-llama is cheaper than cmi above 19.7% utilization", "provisioned: $20.8 at full duty"):
        assert said in described
    assert "prefers-color-scheme:dark" in (root.findtext(f"{SVG}style") or "")


def test_the_caption_gives_the_prices_day_and_what_is_assumed() -> None:
    words = " ".join(parsed(plot(report(paths_of(POLICIES[1])))).itertext())
    assert "us-east-1, 2026-08-01: AWS Price List" in words
    words = " ".join(parsed(plot(report(paths_of(LAB)))).itertext())
    for said in ("speed assumed", "base weights", "Never cheaper than bedrock-base", "crossover 1359.0%"):
        assert said in words


def test_an_unknown_price_is_left_out_and_said_so_and_names_are_escaped(tmp_path: Path) -> None:
    file = tmp_path / "unknown.yaml"
    file.write_text(
        "version: 1\nbackends:\n"
        "  box:\n    cost: {kind: amortized, usd_per_month: 200}\n    speed: {single_stream_tokens_per_second: 14}\n"
        '    price: {source: "a <b> & \\u0007 bell"}\n'
        "  pt:\n    cost: {kind: provisioned}\n    speed: {single_stream_tokens_per_second: 95}\n"
    )
    root = parsed(plot(report(paths_of(file))))
    assert len(of_class(layout(root, "wide"), "name")) == 1
    words = " ".join(root.itertext())
    assert "Left out (price unknown): pt." in words
    assert "a <b> &" in words


def test_the_chart_in_the_docs_is_what_the_command_draws_now(tmp_path: Path) -> None:
    drawn = tmp_path / "crossover.svg"
    options = [word for name in IN_DOCS for word in ("--path", name)]
    result = runner.invoke(app, ["--policy", str(LAB), "--plot", str(drawn), *options])
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert drawn.read_text() == (ROOT / "docs" / "crossover.svg").read_text(), "draw docs/crossover.svg anew"


@pytest.mark.parametrize(
    ("name", "says"),
    [("chart.png", "must end in .svg"), ("folder.svg", "not a file"), ("missing/chart.svg", "there is no folder")],
)
def test_a_place_that_cannot_take_a_chart_is_refused(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder.svg").mkdir()
    result = runner.invoke(app, ["--policy", str(LAB), "--plot", str(tmp_path / name)], terminal_width=300)
    assert result.exit_code == 2
    assert says in result.stderr
    assert (tmp_path / "folder.svg").is_dir()
    assert [file.name for file in tmp_path.iterdir()] == ["folder.svg"]


def test_a_path_that_the_policy_lacks_is_refused_and_those_it_has_are_named() -> None:
    result = runner.invoke(app, ["--policy", str(LAB), "--path", "cmi", "--path", "cim"], terminal_width=300)
    assert result.exit_code == 2
    assert "--path cim" in result.stderr
    assert "spark-gemma" in result.stderr


def test_a_policy_without_a_price_has_no_chart(tmp_path: Path) -> None:
    file = tmp_path / "unpriced.yaml"
    file.write_text("version: 1\nbackends:\n  pt:\n    speed: {single_stream_tokens_per_second: 95}\n")
    result = runner.invoke(app, ["--policy", str(file), "--plot", str(tmp_path / "x.svg")], terminal_width=300)
    assert result.exit_code == 2
    assert "nothing to plot" in result.stderr
    assert not (tmp_path / "x.svg").exists()


def test_labels_pushed_apart_keep_their_order_and_do_not_touch() -> None:
    centers = spread([100, 104, 50, 103], [20, 20, 20, 30], 0, 200)
    assert [sorted(range(4), key=lambda k: centers[k])] == [[2, 0, 3, 1]]
    spans = sorted((c - h / 2, c + h / 2) for c, h in zip(centers, [20, 20, 20, 30], strict=True))
    assert all(low[1] <= high[0] + 1e-9 for low, high in pairwise(spans))
    assert spread([195, 199], [20, 20], 0, 200) == [170, 190]
