"""A dashboard from its rows: variables, links to its siblings, numbered panels on Grafana's grid of 24 columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from grafana.panels import DATASOURCE, Panel

TAG = "crossover"
SCHEMA_VERSION = 39
"""Grafana 10.4's. Newer ones bring an older dashboard up to date as they load it; the other way there is nothing."""

Rows = Mapping[str, Sequence[Panel]]
"""Panels by the title of their row."""


def document(uid: str, title: str, text: str, rows: Rows, *, time_from: str = "now-6h", refresh: str = "30s") -> str:
    """The dashboard's file: JSON in Grafana's classic form."""
    board = builders.Dashboard(title).uid(uid).description(text).tags([TAG]).readonly()
    board.tooltip(dashboard.DashboardCursorSync.CROSSHAIR).time(time_from, "now").refresh(refresh).timezone("browser")
    board.with_variable(_datasource()).with_variable(_instance()).link(_siblings())
    number = 0
    for row, panels in rows.items():
        number += 1
        board.with_row(builders.Row(row).id(number))
        for panel in panels:
            number += 1
            panel.build().id_val = number
            board.with_panel(panel)
    built = board.build()
    built.schema_version = SCHEMA_VERSION
    encoded: dict[str, Any] = json.loads(json.dumps(built, cls=JSONEncoder))
    for link in encoded["links"]:
        del link[
            "placement"
        ]  # the builder knows one place alone, a menu of Grafana 13's; beside the variables it is seen
    return json.dumps({"id": None, **encoded}, indent=2, ensure_ascii=False) + "\n"


def _datasource() -> builders.DatasourceVariable:
    source = builders.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return source.description("The Prometheus that scrapes the gateway and has the project's recording rules.")


def _instance() -> builders.QueryVariable:
    query = "label_values(crossover_build_info, instance)"
    variable = builders.QueryVariable("instance").label("Gateway").datasource(DATASOURCE).definition(query)
    variable.query({"query": query, "refId": "instances"}).multi(True).include_all(True).all_value(".+")
    variable.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    variable.current(dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]))
    return variable.description("Panels that show recorded rules say so, and are of all gateways together.")


def _siblings() -> builders.DashboardLink:
    link = builders.DashboardLink("Crossover").type(dashboard.DashboardLinkType.DASHBOARDS).tags([TAG]).icon("")
    return link.as_dropdown(False).include_vars(True).keep_time(True).target_blank(False).url("").tooltip("")
