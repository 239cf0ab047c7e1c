"""The dashboards' files are what the program writes, keep Grafana's rules for good dashboards, and name real series."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.metering.series import Series
from grafana import build
from grafana.layout import JSONEncoder
from grafana.layout import dashboard as models
from grafana.panels import words
from tests.grafana.panels import FILES, dashboard, own_variables, panels, queries

ROOT = Path(__file__).parents[2]
EVERY_FILE = pytest.mark.parametrize("file", FILES)
COUNTER = re.compile(r"crossover_\w+_(?:total|bucket)\b")
IN_A_RATE = re.compile(r"\b(?:rate|increase)\(\s*(crossover_\w+)(?:\{[^}]*\})?\[([^\]]+)\]")
INSTANCE = 'instance=~"$instance"'


# -- current -----------------------------------------------------------------------------------------------------------


def test_the_files_are_what_the_program_writes() -> None:
    assert build.stale(build.FOLDER, build.documents()) == []


def test_the_check_tells_of_a_file_that_was_edited_is_missing_or_is_nobodys(tmp_path: Path) -> None:
    wanted = dict(build.documents())
    for name, text in wanted.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert build.stale(tmp_path, wanted) == []
    (tmp_path / FILES[0]).write_text(wanted[FILES[0]].replace('"s"', '"ms"', 1), encoding="utf-8")
    (tmp_path / FILES[1]).unlink()
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    assert set(build.stale(tmp_path, wanted)) == {
        f"{FILES[0]} is not what the program writes",
        f"{FILES[1]} is not what the program writes",
        "other.json is not written by the program",
    }


@EVERY_FILE
def test_grafanas_own_model_reads_a_file_and_writes_the_same(file: str) -> None:
    read = dashboard(file)
    again = json.loads(json.dumps(models.Dashboard.from_json(read), cls=JSONEncoder))
    again["schemaVersion"] = read["schemaVersion"]  # the model always writes its own
    del again["links"][0]["placement"]  # and this
    assert {"id": None, **again} == read


# -- the dashboard -----------------------------------------------------------------------------------------------------


@EVERY_FILE
def test_a_dashboard_loads_anywhere_and_is_not_edited_in_place(file: str) -> None:
    board = dashboard(file)
    assert board["id"] is None
    assert re.fullmatch(r"crossover-[a-z]+", board["uid"])
    assert board["editable"] is False
    assert board["graphTooltip"] == 1
    assert board["schemaVersion"] == 39  # Grafana 10.4's: newer ones bring it up to date
    assert "__inputs" not in board
    assert board["description"]


def test_dashboards_have_addresses_of_their_own() -> None:
    assert len({dashboard(file)["uid"] for file in FILES}) == len({dashboard(file)["title"] for file in FILES}) == 3


@EVERY_FILE
def test_the_data_source_and_the_gateways_are_variables(file: str) -> None:
    source, instance = dashboard(file)["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert (instance["name"], instance["type"]) == ("instance", "query")
    assert instance["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert (instance["multi"], instance["includeAll"], instance["allValue"]) == (True, True, ".+")
    assert instance["refresh"] == 2  # whenever the time range changes
    assert "crossover_build_info" in instance["query"]["query"]


@EVERY_FILE
def test_a_dashboard_links_to_the_others_by_a_tag_that_all_of_them_have(file: str) -> None:
    [link] = dashboard(file)["links"]
    assert link["type"] == "dashboards"
    assert link["includeVars"]
    assert link["keepTime"]
    for other in FILES:
        assert set(link["tags"]) <= set(dashboard(other)["tags"])


@EVERY_FILE
def test_a_dashboard_is_short_and_its_rows_say_what_is_in_them(file: str) -> None:
    everything = dashboard(file)["panels"]
    assert everything[0]["type"] == "row"
    assert all(panel["title"] for panel in everything)
    assert len(panels(file)) <= 18
    assert len({panel["title"] for panel in everything}) == len(everything)
    assert len({panel["id"] for panel in everything}) == len(everything)


@EVERY_FILE
def test_no_panel_lies_on_another_or_beside_the_grid(file: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(file)["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


# -- its panels --------------------------------------------------------------------------------------------------------


@EVERY_FILE
def test_a_panel_says_what_it_shows_and_which_series_that_is(file: str) -> None:
    for panel in panels(file):
        prose, _, named = panel["description"].partition("\n\nSeries: ")
        assert len(prose) > 20, panel["title"]
        assert prose.endswith((".", ")")), panel["title"]
        for target in panel["targets"]:
            shown = [word for word in words(target["expr"]) if not word.endswith("_info")]
            assert all(f"`{word}`" in named for word in shown), panel["title"]


def columns_without_unit(panel: dict[str, Any]) -> set[str]:
    """Of a table's numbers, by the title of their column."""
    numbers = [f"Value #{t['refId']}" if len(panel["targets"]) > 1 else "Value" for t in panel["targets"]]
    organize = panel["transformations"][-1]["options"]
    shown = {organize["renameByName"][name] for name in numbers if not organize["excludeByName"].get(name)}
    rules = panel["fieldConfig"]["overrides"]
    return shown - {rule["matcher"]["options"] for rule in rules if any(p["id"] == "unit" for p in rule["properties"])}


@EVERY_FILE
def test_a_panel_has_a_unit_and_words_for_nothing(file: str) -> None:
    for panel in panels(file):
        defaults = panel["fieldConfig"]["defaults"]
        if panel["type"] == "table":
            assert columns_without_unit(panel) == set(), panel["title"]
            continue
        in_words = any(mapping["type"] in ("value", "range") for mapping in defaults["mappings"])
        assert defaults["unit"], panel["title"]
        assert defaults["unit"] != "none" or in_words, panel["title"]
        assert defaults["noValue"], panel["title"]
        assert defaults["mappings"][-1]["options"]["match"] == "null+nan", panel["title"]


@EVERY_FILE
def test_a_hole_in_a_line_stays_a_hole(file: str) -> None:
    for panel in panels(file):
        if panel["type"] == "timeseries":
            assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False, panel["title"]


@EVERY_FILE
def test_a_panel_asks_the_chosen_data_source_and_names_its_lines(file: str) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels(file):
        assert panel["datasource"] == chosen, panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == chosen, panel["title"]
            if panel["type"] in ("timeseries", "bargauge") or len(panel["targets"]) > 1:
                assert target.get("legendFormat") or target["format"] == "table", panel["title"]


# -- its queries -------------------------------------------------------------------------------------------------------


@EVERY_FILE
def test_a_counter_is_only_read_as_a_rate_over_time_enough(file: str) -> None:
    for asked in queries(file):
        in_rates = IN_A_RATE.findall(asked.expr)
        assert len(COUNTER.findall(asked.expr)) == len(in_rates), asked
        assert {window for _, window in in_rates} <= {"$__rate_interval", "$__range", "5m"}, asked


@EVERY_FILE
def test_what_is_chosen_counts_or_the_panel_says_that_it_does_not(file: str) -> None:
    """A query reads the chosen gateways, or recorded rules, which have all of them: then the panel tells."""
    described = {panel["title"]: panel["description"] for panel in panels(file)}
    for asked in queries(file):
        if any(":" in word for word in words(asked.expr)):
            assert "All gateways together" in described[asked.panel], asked
        else:
            assert INSTANCE in asked.expr, asked


@EVERY_FILE
def test_no_variable_is_left_that_nobody_gives(file: str) -> None:
    for asked in queries(file):
        assert own_variables(asked.expr) <= {"instance", "__rate_interval", "__range"}, asked


def known_series() -> set[str]:
    """Every name that a gateway can serve, and every one that the shipped rules record."""
    series = Series({"box": ["m"], "cmi": ["m"]}, {"box": "amortized", "cmi": "window"}, "0", "0")
    series.spend_budget(1.0)
    series.ledger(writing=True, lost=0)
    names = set()
    for family in series.registry.collect():
        names |= {family.name} | {sample.name for sample in family.samples}
    # A family whose label sets come with the policy has no samples here; its type says what they will be called.
    names |= {f"{family.name}_total" for family in series.registry.collect() if family.type == "counter"}
    names |= {f"{family.name}_bucket" for family in series.registry.collect() if family.type == "histogram"}
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules/recording.yml").read_text(encoding="utf-8"))
    return names | {rule["record"] for group in rules["groups"] for rule in group["rules"]}


@EVERY_FILE
def test_every_series_exists(file: str) -> None:
    known = known_series()
    for asked in queries(file):
        assert words(asked.expr), asked
        assert set(words(asked.expr)) <= known, asked


# -- provisioning ------------------------------------------------------------------------------------------------------


def provisioned(path: str) -> Any:
    return yaml.safe_load((ROOT / "grafana/provisioning" / path).read_text(encoding="utf-8"))


def test_the_data_source_knows_how_often_prometheus_scrapes() -> None:
    [source] = provisioned("datasources/prometheus.yaml")["datasources"]
    shipped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    assert source["jsonData"]["timeInterval"] == shipped["global"]["scrape_interval"]
    assert source["type"] == "prometheus"
    assert source["uid"]


def test_the_readme_mounts_the_dashboards_where_grafana_is_told_to_look() -> None:
    [provider] = provisioned("dashboards/crossover.yaml")["providers"]
    assert provider["allowUiUpdates"] is False
    readme = (ROOT / "grafana/README.md").read_text(encoding="utf-8")
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in readme
    assert "./grafana/provisioning:/etc/grafana/provisioning:ro" in readme
