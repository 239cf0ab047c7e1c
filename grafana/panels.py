"""Panels with everything a panel must have: a description that names its series, a unit, words for "no traffic"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeVar

from grafana_foundation_sdk.builders import bargauge as bargauge_builders
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import prometheus as prometheus_builders
from grafana_foundation_sdk.builders import stat as stat_builders
from grafana_foundation_sdk.builders import table as table_builders
from grafana_foundation_sdk.builders import timeseries as timeseries_builders
from grafana_foundation_sdk.cog import builder
from grafana_foundation_sdk.models import common, dashboard, prometheus

from grafana.queries import Query

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
NO_TRAFFIC = "no traffic"

USD = "currencyUSD"
SHARE = "percentunit"
"""0 to 1, shown as 0% to 100%."""
SECONDS = "s"
REQUESTS_PER_SECOND = "reqps"
TOKENS_PER_SECOND = "suffix: tok/s"
COUNT = "short"
TIMES = "suffix:x"

GREEN, AMBER, RED, BLUE, GREY = "green", "orange", "red", "blue", "text"

Panel: TypeAlias = builder.Builder[dashboard.Panel]
_Any = TypeVar("_Any", stat_builders.Panel, timeseries_builders.Panel, bargauge_builders.Panel, table_builders.Panel)
Steps: TypeAlias = Sequence[tuple[float | None, str]]
"""From this value on, this colour; the first from None, which is 'below all'."""

_SERIES = re.compile(r"\bcrossover[_:][a-z0-9_:]+")


def words(expr: str) -> list[str]:
    """The series that a query reads, in order, each once."""
    return list(dict.fromkeys(_SERIES.findall(expr)))


def _described(text: str, queries: Sequence[Query]) -> str:
    """`text`, and after it what the panel reads: the reader can look it up."""
    read = list(dict.fromkeys(word for query in queries for word in words(query.expr) if not word.endswith("_info")))
    read = read or list(dict.fromkeys(word for query in queries for word in words(query.expr)))
    together = " All gateways together: recorded by rules." if any(":" in word for word in read) else ""
    return f"{text}{together}\n\nSeries: {', '.join(f'`{word}`' for word in read)}"


def _target(number: int, query: Query, instant: bool) -> prometheus_builders.Dataquery:
    target = prometheus_builders.Dataquery().ref_id(chr(ord("A") + number)).datasource(DATASOURCE).expr(query.expr)
    target.editor_mode(prometheus.QueryEditorMode.CODE)
    if query.format == "table":
        target.format(prometheus.PromQueryFormat.TABLE)
    else:
        target.legend_format(query.legend)
    return target.instant() if instant else target.range()


def _begin(
    panel: _Any, title: str, text: str, queries: Sequence[Query], unit: str, width: int, height: int, instant: bool,
    no_value: str,
) -> _Any:  # fmt: skip
    panel.title(title).description(_described(text, queries)).datasource(DATASOURCE)
    panel.unit(unit).no_value(no_value).span(width).height(height)
    for number, query in enumerate(queries):
        panel.with_target(_target(number, query, instant))
    return panel


def _nothing(text: str) -> list[dashboard.ValueMapping]:
    """NaN and null, in words."""
    result = dashboard.ValueMappingResult(text=text, color=GREY, index=9)
    options = dashboard.DashboardSpecialValueMapOptions(match=dashboard.SpecialValueMatch.NULL_AND_NAN, result=result)
    return [dashboard.SpecialValueMap(options=options)]


def between(low: float | None, high: float | None, text: str, color: str, index: int = 0) -> dashboard.ValueMapping:
    """Shows `text` for values from `low` to `high`; None: without an end."""
    result = dashboard.ValueMappingResult(text=text, color=color, index=index)
    return dashboard.RangeMap(options=dashboard.DashboardRangeMapOptions(from_val=low, to=high, result=result))


def value_text(values: Mapping[str, tuple[str, str]]) -> dashboard.ValueMapping:
    """Shows words for exact values: value -> (text, color)."""
    results = {
        value: dashboard.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(values.items())
    }
    return dashboard.ValueMap(options=results)


SIMULATED = value_text({"true": ("simulated", AMBER), "false": ("real", GREEN)})
PAID_BY = value_text(
    {
        "amortized": ("the month", GREY),
        "window": ("the window", GREY),
        "per_token": ("the token", GREY),
        "provisioned": ("the hour", GREY),
        "unknown": ("price unknown", RED),
    }
)
"""What `crossover_backend_info` says of a backend, in words."""


def _thresholds(steps: Steps) -> dashboard_builders.ThresholdsConfig:
    made = [dashboard.Threshold(value=value, color=color) for value, color in steps]
    return dashboard_builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(made)


def _color(mode: dashboard.FieldColorModeId) -> dashboard_builders.FieldColor:
    return dashboard_builders.FieldColor().mode(mode)


def _last() -> common_builders.ReduceDataOptions:
    return common_builders.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)


def stat(
    title: str, text: str, *queries: Query, unit: str, width: int = 4, height: int = 5, steps: Steps = ((None, BLUE),),
    decimals: int | None = None, mappings: Sequence[dashboard.ValueMapping] = (), names: bool = False,
    filled: bool = False, no_value: str = NO_TRAFFIC, one_above_another: bool = False, value_size: int | None = None,
    beside: bool = False, spark: bool = False,
) -> stat_builders.Panel:  # fmt: skip
    """The value now, large. `names`: with each series' name, above it or `beside` it. `filled`: the colour behind it,
    for a verdict. `spark`: with its course behind it."""
    panel = _begin(stat_builders.Panel(), title, text, queries, unit, width, height, not spark, no_value)
    panel.thresholds(_thresholds(steps)).mappings([*mappings, *_nothing(no_value)])
    panel.color_scheme(_color(dashboard.FieldColorModeId.THRESHOLDS))
    panel.color_mode(common.BigValueColorMode.BACKGROUND if filled else common.BigValueColorMode.VALUE)
    panel.graph_mode(common.BigValueGraphMode.AREA if spark else common.BigValueGraphMode.NONE).reduce_options(_last())
    panel.justify_mode(common.BigValueJustifyMode.AUTO)
    panel.orientation(common.VizOrientation.HORIZONTAL if one_above_another else common.VizOrientation.AUTO)
    panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME if names else common.BigValueTextMode.VALUE)
    panel.wide_layout(beside)
    if value_size is not None:
        panel.text(common_builders.VizTextDisplayOptions().value_size(value_size).title_size(13))
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def bars(
    title: str, text: str, *queries: Query, unit: str, width: int = 6, height: int = 5, maximum: float | None = None,
    steps: Steps = ((None, BLUE),), decimals: int | None = None, no_value: str = NO_TRAFFIC,
    colors: Mapping[str, str] | None = None,
) -> bargauge_builders.Panel:  # fmt: skip
    """One bar a series, values now. `colors`: a fixed colour for each query, by its letter."""
    panel = _begin(bargauge_builders.Panel(), title, text, queries, unit, width, height, True, no_value)
    panel.thresholds(_thresholds(steps)).mappings(_nothing(no_value)).min(0)
    panel.color_scheme(_color(dashboard.FieldColorModeId.THRESHOLDS))
    panel.orientation(common.VizOrientation.HORIZONTAL).display_mode(common.BarGaugeDisplayMode.BASIC)
    panel.value_mode(common.BarGaugeValueMode.COLOR).reduce_options(_last()).show_unfilled(True)
    panel.name_placement(common.BarGaugeNamePlacement.TOP)
    panel.text(common_builders.VizTextDisplayOptions().title_size(14).value_size(18))
    if maximum is not None:
        panel.max(maximum)
    if decimals is not None:
        panel.decimals(decimals)
    for letter, color in (colors or {}).items():
        panel.override_by_query(letter, [_property("color", {"mode": "fixed", "fixedColor": color})])
    return panel


def _property(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def lines(
    title: str, text: str, *queries: Query, unit: str, width: int = 8, height: int = 8, stacked: bool = False,
    filled: int = 8, logarithmic: bool = False, minimum: float | None = 0, maximum: float | None = None,
    soft_maximum: float | None = None, decimals: int | None = None, dashed: str = "",
    steps: Steps = (), no_value: str = NO_TRAFFIC, colors: Mapping[str, str] | None = None, thin: str = "",
    centered_zero: bool = False, stepped: bool = False, last: bool = True,
) -> timeseries_builders.Panel:  # fmt: skip
    """Values over time; nothing is drawn where there was none (`spanNulls` false).

    `dashed`, `thin`: letters of queries whose lines are limits, or of less weight. `steps`: drawn as dashed lines.
    `colors`: by the name of a series, as a regular expression. `last`: the legend gives each line's last value."""
    panel = _begin(timeseries_builders.Panel(), title, text, queries, unit, width, height, False, no_value)
    panel.color_scheme(_color(dashboard.FieldColorModeId.PALETTE_CLASSIC)).mappings(_nothing(no_value))
    panel.draw_style(common.GraphDrawStyle.LINE).line_width(2).fill_opacity(35 if stacked else filled)
    panel.line_interpolation(common.LineInterpolation.STEP_AFTER if stepped else common.LineInterpolation.LINEAR)
    panel.show_points(common.VisibilityMode.AUTO).point_size(4).span_nulls(False).axis_placement(
        common.AxisPlacement.AUTO
    )
    scale = common_builders.ScaleDistributionConfig()
    if logarithmic:
        panel.scale_distribution(scale.type(common.ScaleDistribution.LOG).log(10))
    else:
        panel.scale_distribution(scale.type(common.ScaleDistribution.LINEAR))
        if minimum is not None:
            panel.min(minimum)
    if maximum is not None:
        panel.max(maximum)
    if soft_maximum is not None:
        panel.axis_soft_max(soft_maximum)
    if centered_zero:
        panel.axis_centered_zero(True)
    if decimals is not None:
        panel.decimals(decimals)
    mode = common.StackingMode.NORMAL if stacked else common.StackingMode.NONE
    panel.stacking(common_builders.StackingConfig().mode(mode).group("A"))
    if steps:
        panel.thresholds(_thresholds(steps))
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel.thresholds_style(style)
    legend = common_builders.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).show_legend(True)
    panel.legend(legend.placement(common.LegendPlacement.BOTTOM).calcs(["lastNotNull"] if last else []))
    panel.tooltip(
        common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )
    for letter in dashed:
        panel.override_by_query(letter, [
            _property("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}), _property("custom.fillOpacity", 0),
            _property("custom.lineWidth", 2), _property("custom.showPoints", "never"),
        ])  # fmt: skip
    for letter in thin:
        panel.override_by_query(letter, [_property("custom.lineWidth", 1), _property("custom.fillOpacity", 0)])
    for pattern, color in (colors or {}).items():
        panel.override_by_regexp(f"/{pattern}/", [_property("color", {"mode": "fixed", "fixedColor": color})])
    return panel


Column: TypeAlias = tuple[str, str, str]
"""The field as the queries give it, the column's title, its unit ('' = text)."""


def table(
    title: str, text: str, *queries: Query, columns: Sequence[Column], width: int = 12, height: int = 8,
    hidden: Sequence[str] = ("Time",), mappings: Mapping[str, dashboard.ValueMapping] | None = None,
    decimals: Mapping[str, int] | None = None, no_value: str = "",
) -> table_builders.Panel:  # fmt: skip
    """One row a label set: the queries' values side by side. `mappings`, `decimals`: by a column's title."""
    panel = _begin(table_builders.Panel(), title, text, queries, "none", width, height, True, no_value)
    panel.show_header(True).min_width(70).cell_height(common.TableCellHeight.SM)
    panel.color_scheme(_color(dashboard.FieldColorModeId.THRESHOLDS)).thresholds(_thresholds(((None, GREY),)))
    if len(queries) > 1:
        panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    organize = {
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {field: index for index, (field, _, _) in enumerate(columns)},
        "renameByName": {field: shown for field, shown, _ in columns},
    }
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=organize))
    for _, shown, unit in columns:
        properties = [_property("unit", unit)] if unit else []
        if decimals and shown in decimals:
            properties.append(_property("decimals", decimals[shown]))
        if mappings and shown in mappings:
            properties.append(_property("mappings", [mappings[shown].to_json()]))
        if properties:
            panel.override_by_name(shown, properties)
    return panel
